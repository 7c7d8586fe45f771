"""A client for the Kubernetes API with nothing but the standard library, for our own processes."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_MERGE_PATCH = "application/merge-patch+json"


class Refused(Exception):
    """The API server answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """One identity at one API server, as its kubeconfig says (written by certificates.py)."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            self._context.load_cert_chain(pair.name)
        self._address = urllib.parse.urlsplit(cluster["server"]).netloc

    def get(self, path: str) -> Object:
        return self._call("GET", path)

    def create(self, path: str, body: Object) -> Object:
        return self._call("POST", path, body)

    def patch(self, path: str, body: Object) -> Object:
        """A merge patch (RFC 7386)."""
        return self._call("PATCH", path, body, _MERGE_PATCH)

    def delete(self, path: str) -> Object:
        return self._call("DELETE", path)

    def follow(self, path: str) -> Iterator[Object]:
        """Every object of a collection, then each that is added or changed, until the watch ends."""
        listed = self.get(path)
        yield from listed["items"]
        version = listed["metadata"]["resourceVersion"]
        # The server ends a watch after five to ten minutes; a connection that is silent for longer is dead.
        connection, answer = self._send("GET", f"{path}?watch=1&resourceVersion={version}", timeout=900)
        try:
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] != "DELETED":
                    yield event["object"]
        finally:
            connection.close()

    def _call(
        self, method: str, path: str, body: Object | None = None, kind: str = "application/json"
    ) -> Object:
        connection, answer = self._send(method, path, body, kind)
        try:
            result: Object = json.loads(answer.read())
        finally:
            connection.close()
        return result

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        kind: str = "application/json",
        timeout: float = 15,
    ) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPSConnection(self._address, timeout=timeout, context=self._context)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": kind, "User-Agent": "minga-test-cluster"})
        answer = connection.getresponse()
        if answer.status >= 300:
            text = answer.read().decode(errors="replace")
            connection.close()
            raise Refused(answer.status, text[:500])
        return connection, answer
