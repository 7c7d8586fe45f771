"""One node's REST, as the commands use it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
from werkzeug.http import http_date

from minga_node import tar
from minga_node.errors import InvalidName
from minga_node.model import Attributes
from minga_node.names import check_name

EXIT_CODES = {
    "not-found": 3,
    "ambiguous-name": 4,
    "no-holders": 5,
    "token-needed": 7,
    "invalid-token": 7,
    "insufficient-scope": 7,
}
REFUSALS = {
    "token-needed": "{node} answers only who has a token: set MINGA_TOKEN or give --token-file FILE",
    "invalid-token": "{node} does not take this token: it may have been changed, or be another network's",
    "insufficient-scope": "this token may only read at {node}: a write token is needed for that",
}
"""What to do about a refusal, by the problem's type."""


class ClientError(Exception):
    """What the user is told, and the exit code it ends with."""

    def __init__(self, message: str, exit_code: int = 1, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.problem = problem or {}


SLOWEST_HASHING = 10 * 1024 * 1024
"""Bytes a second in which a node hashes what it got, if its disk is slow and others want it too."""


class Client:
    """Talks to one node; every failure is a ClientError of one line."""

    def __init__(self, node: str, *, token: str = "", no_token: str = "", patience: float = 60) -> None:
        self.node = (node if "://" in node else f"http://{node}").rstrip("/")
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=min(5.0, patience), read=patience), maxsize=16
        )
        self._patience = patience
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._no_token = no_token
        self._may_write = False

    def get(self, path: str, **query: Any) -> Any:
        return self._json("GET", path, query)

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        return self._json("POST", path, query, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._json("DELETE", path, query)

    def put_file(
        self,
        name: str,
        body: io.RawIOBase,
        length: int | None,
        attributes: Attributes = Attributes(),  # noqa: B008 - it cannot be changed
    ) -> Any:
        """Uploads; ``length`` in bytes, ``None`` where it is not known."""
        self._check_write()
        headers = {"Content-Type": "application/octet-stream"} | self._headers
        if length is not None:
            headers["Content-Length"] = str(length)
        if attributes.modified is not None:
            headers["Last-Modified"] = http_date(max(0.0, attributes.modified))
        if attributes.executable:
            headers["Minga-Executable"] = "1"
        # It answers when it has hashed all of it.
        seconds = None if length is None else self._patience + length / SLOWEST_HASHING
        with self._errors():
            response = self._pool.request(
                "PUT",
                self.url(file_path(name)),
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(5.0, self._patience), read=seconds),
            )
        return self._checked(response)

    def post_archive(self, body: bytes) -> Any:
        """Puts the files of a tar into the node's library."""
        self._check_write()
        headers = {"Content-Type": tar.MEDIA_TYPE} | self._headers
        with self._errors():
            response = self._pool.request("POST", self.url("/api/v1/archive"), body=body, headers=headers)
        return self._checked(response)

    @contextmanager
    def open(
        self, path: str, headers: dict[str, str] | None = None, **query: Any
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """A response whose body is read as it comes."""
        with self._errors():
            response = self._pool.request(
                "GET", self.url(path, query), headers=self._headers | (headers or {}), preload_content=False
            )
            try:
                if response.status >= 400:
                    self._raise(response.status, response.read())
                yield response
            finally:
                response.close()

    def events(self, path: str) -> Iterator[dict[str, Any]]:
        """The data of a stream of server-sent events."""
        with self.open(path, {"Accept": "text/event-stream"}) as response:
            rest = b""
            for chunk in response.stream(4096):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:"):
                        yield json.loads(line[5:])

    def url(self, path: str, query: dict[str, Any] | None = None) -> str:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        return f"{self.node}{path}" + (f"?{urlencode(given, doseq=True)}" if given else "")

    def _json(self, method: str, path: str, query: dict[str, Any], body: Any = None) -> Any:
        with self._errors():
            response = self._pool.request(
                method,
                self.url(path, query),
                body=json.dumps(body) if body is not None else None,
                headers=self._headers | ({"Content-Type": "application/json"} if body is not None else {}),
            )
        return self._checked(response)

    def _checked(self, response: urllib3.BaseHTTPResponse) -> Any:
        if response.status >= 400:
            self._raise(response.status, response.data)
        if not response.data:
            return None
        try:
            return json.loads(response.data)
        except ValueError:
            raise ClientError(f"{self.node} does not answer as a Minga node does", 6) from None

    def _check_write(self) -> None:
        """Asks before a body is sent: a refusal while it is on its way would be lost with the connection."""
        if self._may_write:
            return
        with self._errors():
            response = self._pool.request("GET", self.url("/api/v1/session"), headers=self._headers)
        if response.status != 404 and self._checked(response)["scope"] != "write":
            kind = "insufficient-scope" if self._headers else "token-needed"
            raise self._refused(kind, {})
        self._may_write = True

    def _refused(self, kind: str, problem: dict[str, Any]) -> ClientError:
        because = f" ({self._no_token})" if self._no_token and kind == "token-needed" else ""
        return ClientError(REFUSALS[kind].format(node=self.node) + because, EXIT_CODES[kind], problem)

    def _raise(self, status: int, data: bytes) -> None:
        try:
            problem = json.loads(data)
        except ValueError:
            problem = {}
        if not isinstance(problem, dict) or "detail" not in problem:
            raise ClientError(f"{self.node} answers with status {status}")
        kind = str(problem.get("type", "")).rsplit(":", 1)[-1]
        if kind in REFUSALS:
            raise self._refused(kind, problem)
        lines = [str(problem["detail"])]
        lines += [
            f"  --id {choice['id']}  {choice['size']} bytes, at {', '.join(choice['holders'])}"
            for choice in problem.get("choices", [])
        ]
        raise ClientError("\n".join(lines), EXIT_CODES.get(kind, 1), problem)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except urllib3.exceptions.LocationParseError:
            raise ClientError(f"{self.node} is not an address such as http://127.0.0.1:5000", 2) from None
        except urllib3.exceptions.HTTPError as error:
            raise ClientError(f"no answer from {self.node}: {_why(error)}", 6) from None


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """Why there is no answer, and what to look at."""
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return "no host of that name is known here; is it spelled right?"
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        cause = error.__cause__ or error.__context__
        if isinstance(cause, ConnectionRefusedError) or not isinstance(cause, OSError):
            return "nobody listens there; is the node running? (`minga up` starts a network here)"
        return f"{cause.strerror or cause}; is the address right?"
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError):
        return "the host does not answer; is it on, and does a firewall let this port through?"
    return f"the connection broke ({type(error).__name__})"


def file_path(name: str) -> str:
    """The path of a file in REST.

    Raises:
        ClientError: no file can have the name; as a path it would lead elsewhere.
    """
    try:
        return f"/files/{quote(check_name(name))}"
    except InvalidName as error:
        raise ClientError(str(error), 2) from None
