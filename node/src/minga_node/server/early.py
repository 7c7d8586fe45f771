"""What is decided of a request before its body is read: whether it may be made, and whether it is in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from flask import Flask, Response, request

View = TypeVar("View", bound=Callable[..., Any])
Check = Callable[[], None]


def before_body(check: Callable[..., None]) -> Callable[[View], View]:
    """Has ``check``, with the view's own arguments, raise what the head alone is reason enough for."""

    def attach(view: View) -> View:
        view.before_body = check  # type: ignore[attr-defined]
        return view

    return attach


class Early:
    """A WSGI app that knows only heads: it answers 100 where the body may come, and otherwise why not.

    Args:
        checks: what all requests are asked before their views.
    """

    def __init__(self, app: Flask, checks: Sequence[Check]) -> None:
        self._app, self._checks = app, checks

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._app.request_context(environ):
            return self._judge()(environ, start_response)

    def _judge(self) -> Response:
        app = self._app
        try:
            for check in self._checks:
                check()
            if request.routing_exception is not None:
                raise request.routing_exception
            view = app.view_functions[request.endpoint or ""]
            own = getattr(view, "before_body", None)
            if own is not None:
                own(**(request.view_args or {}))
        except Exception as error:  # noqa: BLE001 - the app's handlers know what each is
            return app.process_response(app.make_response(app.handle_user_exception(error)))
        return Response(status=HTTPStatus.CONTINUE)
