"""The API server: server-side apply, merge patches, deletion, lists and watches, as plain dictionaries."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import urllib3
from kubernetes import client, config

from minga_operator import metrics
from minga_operator.errors import Refused, Unavailable, Waiting
from minga_operator.kinds import ObjectKind
from minga_operator.resources.common import MANAGER, Object

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_TIMEOUT = urllib3.Timeout(connect=5, read=30)
WATCH_SECONDS = 290


class WriteConflict(Refused):
    """409: it exists already, or it changed under us."""

    reason = "Conflict"


class Invalid(Refused):
    """422: a field's value or change is not allowed."""

    reason = "Invalid"


class Kube:
    """One identity at one API server. Threads may share it."""

    def __init__(self, configuration: client.Configuration) -> None:
        self.configuration = configuration
        self.may_write: Callable[[], bool] = lambda: True
        """Asked before each write: who no longer leads writes no more."""
        api = client.ApiClient(configuration)
        self._pool: urllib3.PoolManager = api.rest_client.pool_manager

    @classmethod
    def connect(cls, connections: int = 48) -> Kube:
        """As the pod's service account, or else as the kubeconfig says."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(  # type: ignore[no-untyped-call]
                client_configuration=configuration
            )
        except config.ConfigException:
            config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        configuration.connection_pool_maxsize = connections
        return cls(configuration)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Object:
        """One request, whose answer is waited for at most so many seconds, or as long as is usual.

        Raises:
            Refused: the API server says no (Conflict, Invalid, or another 4xx); ``status`` says which.
            Unavailable: it does not answer, or not now.
        """
        timeout = _TIMEOUT if seconds is None else urllib3.Timeout(total=seconds)
        with self._send(method, path, body, content_type, timeout, query or {}) as response:
            content = _content(response)
        try:
            answer: Object = json.loads(content)
        except ValueError as error:
            raise Unavailable(f"the API server answers in no JSON: {error}") from error
        return answer

    def find(
        self, kind: ObjectKind, namespace: str | None, name: str, seconds: float | None = None
    ) -> Object | None:
        """One object, or None."""
        try:
            return self.request("GET", kind.path(namespace, name), seconds=seconds)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    def knows(self, kind: ObjectKind) -> bool:
        """Whether the cluster has that kind."""
        try:
            answer = self.request("GET", kind.root)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return any(item["name"] == kind.plural for item in answer.get("resources", ()))

    def apply(self, kind: ObjectKind, wanted: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply; fields of ours that others took are taken back. A dry run tells the result."""
        metadata = wanted["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        query = {"fieldManager": MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        return self.request("PATCH", path, wanted, APPLY, query)

    def create(self, kind: ObjectKind, wanted: Object, seconds: float | None = None) -> Object:
        """Makes an object.

        Raises:
            Conflict: there is one of that name.
        """
        path = kind.path(wanted["metadata"]["namespace"])
        return self.request("POST", path, wanted, query={"fieldManager": MANAGER}, seconds=seconds)

    def replace(self, kind: ObjectKind, wanted: Object) -> Object:
        """Puts an object in place of the one that ``wanted`` was made of.

        Raises:
            Conflict: it has changed since.
        """
        metadata = wanted["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        return self.request("PUT", path, wanted, query={"fieldManager": MANAGER})

    def merge(self, kind: ObjectKind, namespace: str, name: str, patch: Object, part: str = "") -> Object:
        """A merge patch (RFC 7386) of an object or of its ``part``, such as ``status``."""
        path = kind.path(namespace, name) + (f"/{part}" if part else "")
        return self.request("PATCH", path, patch, MERGE, {"fieldManager": MANAGER})

    def delete(self, kind: ObjectKind, live: Object, propagation: str = "Background") -> None:
        """Deletes exactly this object, not a later one of its name; gone already is fine."""
        metadata = live["metadata"]
        body = {"propagationPolicy": propagation, "preconditions": {"uid": metadata["uid"]}}
        try:
            self.request("DELETE", kind.path(metadata["namespace"], metadata["name"]), body)
        except Refused as refused:
            if refused.status not in {404, 409}:
                raise

    @contextmanager
    def watch(
        self, kind: ObjectKind, namespace: str | None, version: str
    ) -> Iterator[Iterator[tuple[str, Object]]]:
        """(ADDED | MODIFIED | DELETED | BOOKMARK, object) until the server ends the watch.

        Raises:
            Refused, Unavailable: at once or while it is read: it must begin anew with a list, as when
                ``version`` is too old.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        if kind.selector:
            query["labelSelector"] = kind.selector
        timeout = urllib3.Timeout(connect=5, read=WATCH_SECONDS + 30)
        with self._send("GET", kind.path(namespace), None, "application/json", timeout, query) as response:
            yield _events(response)

    def items(self, kind: ObjectKind, namespace: str | None) -> tuple[list[Object], str]:
        """All objects that concern us, and the version from which to watch."""
        query = {"labelSelector": kind.selector} if kind.selector else {}
        answer = self.request("GET", kind.path(namespace), query=query)
        for item in answer["items"]:
            # A list leaves out what all its items have in common.
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.name)
        return answer["items"], answer["metadata"]["resourceVersion"]

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None,
        content_type: str,
        timeout: urllib3.Timeout,
        query: Mapping[str, str],
    ) -> urllib3.BaseHTTPResponse:
        if method != "GET" and not self.may_write():
            raise Unavailable("the lease is over: nothing may be written")
        headers = {"Accept": "application/json", "User-Agent": MANAGER}
        settings: Mapping[str, Any] = self.configuration.auth_settings()
        for setting in settings.values():
            if setting["value"]:
                headers[setting["key"]] = setting["value"]
        if body is not None:
            headers["Content-Type"] = content_type
        url = self.configuration.host + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        verb = "WATCH" if "watch" in query else method
        try:
            response = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=timeout,
                retries=False,
                preload_content=False,
            )
        except urllib3.exceptions.HTTPError as error:
            metrics.API_REQUESTS.labels(verb, "unreachable").inc()
            raise Unavailable(f"the API server does not answer: {error}") from error
        metrics.API_REQUESTS.labels(verb, str(response.status)).inc()
        if response.status < 300:
            return response
        with response:
            raise error_of(response.status, _content(response))


def error_of(status: int, content: bytes) -> Exception:
    """The error for an answer of the API server that is not a success."""
    try:
        answer: dict[str, Any] = json.loads(content)
        message = str(answer["message"])
    except (ValueError, KeyError, TypeError):
        answer, message = {}, content[:200].decode(errors="replace")
    causes = (answer.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return Waiting("the namespace is being deleted")
    if status in {410, 429} or status >= 500:
        return Unavailable(f"{status}: {message}")
    return {409: WriteConflict, 422: Invalid}.get(status, Refused)(message, status)


def _content(response: urllib3.BaseHTTPResponse) -> bytes:
    """All of an answer: its head may have come from a server that ended before the rest."""
    try:
        return response.data
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"an answer of the API server broke off: {error}") from error


def _events(response: urllib3.BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
    for line in _lines(response):
        event = json.loads(line)
        if event["type"] == "ERROR":
            status = event["object"]
            raise error_of(int(status.get("code", 500)), json.dumps(status).encode())
        yield event["type"], event["object"]


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    try:
        for chunk in response.stream(65536, decode_content=True):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line for line in lines if line)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise Unavailable(f"a watch broke: {error}") from error
