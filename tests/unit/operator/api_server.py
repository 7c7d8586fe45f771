"""As much of an API server as the operator talks to: objects in memory, versions, watches, missing rights."""

from __future__ import annotations

import json
import queue
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from minga_operator.kinds import DEFINITION, EVENT, NETWORK, WATCHED, ObjectKind
from minga_operator.kube import Kube
from minga_operator.workqueue import Key

Item = dict[str, Any]
JSON = "Content-Type: application/json\r\n"
KINDS = {kind.plural: kind for kind in (*WATCHED, NETWORK, EVENT)}


def _group(name: str, version: str) -> Item:
    return {"name": name, "versions": [{"version": version}], "preferredVersion": {"version": version}}


def _resource(plural: str, kind: str, *, namespaced: bool) -> Item:
    verbs = ["list", "watch", "patch"]
    return {"name": plural, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": verbs}


DISCOVERY: dict[str, Item] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [_resource("namespaces", "Namespace", namespaced=False)]},
    "/apis": {"groups": [_group("minga.dev", "v1alpha1"), _group("apiextensions.k8s.io", "v1")]},
    NETWORK.root: {"resources": [_resource(NETWORK.plural, NETWORK.name, namespaced=True)]},
    DEFINITION.root: {"resources": [_resource(DEFINITION.plural, DEFINITION.name, namespaced=False)]},
}
"""What kopf looks at before it begins."""


class ApiServer:
    """Keeps what is written. Rights are taken by ``forbid``."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.version = 1
        self.objects: dict[tuple[str, str, str], Item] = {}
        """By plural, namespace and name."""
        self.forbidden: set[tuple[str, str]] = set()
        """(plural, namespace or "" for all)."""
        self.watches: list[tuple[str, str, queue.Queue[Item | None]]] = []
        self.status_writes = 0
        self.kube: Kube

    def forbid(self, kind: ObjectKind, namespace: str = "") -> None:
        """Takes a right; running watches end, as they do in time."""
        with self.lock:
            self.forbidden.add((kind.plural, namespace))
            for plural, _, events in self.watches:
                if plural == kind.plural:
                    events.put(None)

    def allow(self, kind: ObjectKind, namespace: str = "") -> None:
        with self.lock:
            self.forbidden.discard((kind.plural, namespace))

    def lose(self, kind: ObjectKind, key: Key) -> None:
        """Deletes an object in a gap of the watches: they end with 410 and say nothing of it."""
        with self.lock:
            self.version += 1
            del self.objects[kind.plural, *key]
            for plural, _, events in self.watches:
                if plural == kind.plural:
                    events.put({"type": "ERROR", "object": {"code": 410, "message": "too old"}})
                    events.put(None)

    def refuses(self, plural: str, namespace: str) -> bool:
        with self.lock:
            return not self.forbidden.isdisjoint({(plural, ""), (plural, namespace)})

    def network(self, key: Key, spec: Item | None = None) -> Item:
        """Makes one, or gives it another spec."""
        with self.lock:
            old = self.get(NETWORK, key) or {"metadata": {"generation": 0}}
            generation = old["metadata"]["generation"] + 1
            metadata = {"namespace": key[0], "name": key[1], "generation": generation}
            return self.write(NETWORK.plural, {**old, "metadata": metadata, "spec": spec or {}})

    def get(self, kind: ObjectKind, key: Key) -> Item | None:
        with self.lock:
            return self.objects.get((kind.plural, *key))

    def conditions(self, key: Key) -> dict[str, tuple[str, str]]:
        """(status, reason) of each."""
        found = (self.get(NETWORK, key) or {}).get("status", {}).get("conditions", ())
        return {item["type"]: (item["status"], item["reason"]) for item in found}

    def write(self, plural: str, item: Item) -> Item:
        with self.lock:
            self.version += 1
            metadata = item["metadata"]
            place = (plural, metadata["namespace"], metadata["name"])
            old = self.objects.get(place)
            kind = KINDS.get(plural)
            named = {"apiVersion": kind.api_version, "kind": kind.name} if kind else {}
            uid = old["metadata"]["uid"] if old else str(uuid.uuid4())
            new = {
                **item,
                **named,
                "metadata": {**metadata, "uid": uid, "resourceVersion": str(self.version)},
            }
            self.objects[place] = new
            for of, namespace, events in self.watches:
                if of == plural and namespace in {"", metadata["namespace"]}:
                    events.put({"type": "MODIFIED" if old else "ADDED", "object": new})
            return new


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key), value)
    return found


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """One on loopback."""
    state = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, content: Item) -> None:
            body = json.dumps(content).encode()
            self.wfile.write(
                f"HTTP/1.1 {status} X\r\n{JSON}Content-Length: {len(body)}\r\n\r\n".encode() + body
            )

        def handle_any(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            url = urlsplit(self.path)
            parts = url.path.strip("/").split("/")
            rest = parts[2:] if parts[0] == "api" else parts[3:]
            if not rest:
                self.answer(200, DISCOVERY.get(url.path, {"resources": []}))
                return
            namespace = ""
            if rest[0] == "namespaces":
                namespace, rest = rest[1], rest[2:]
            plural, *names = rest
            if state.refuses(plural, namespace):
                self.answer(403, {"message": f"{plural} is forbidden"})
            elif parse_qs(url.query).get("watch"):
                self.watch(plural, namespace, int(parse_qs(url.query)["resourceVersion"][0]))
            elif self.command == "GET" and not names:
                with state.lock:
                    items = [
                        item
                        for place, item in state.objects.items()
                        if place[0] == plural and namespace in {"", place[1]}
                    ]
                    version = str(state.version)
                named = {"kind": f"{KINDS[plural].name}List", "apiVersion": KINDS[plural].api_version}
                self.answer(200, {**named, "items": items, "metadata": {"resourceVersion": version}})
            else:
                self.one(plural, namespace, names, body)

        def one(self, plural: str, namespace: str, names: list[str], body: Item) -> None:
            with state.lock:
                name = names[0] if names else body["metadata"]["name"]
                old = state.objects.get((plural, namespace, name))
                if self.command == "PATCH" and names[1:] == ["status"]:
                    state.status_writes += 1
                if self.command == "POST" and old is not None:
                    self.answer(409, {"message": "it exists already"})
                elif self.command == "POST":
                    self.answer(201, state.write(plural, body))
                elif self.command == "PATCH" and "merge" not in self.headers["Content-Type"]:
                    self.answer(200, state.write(plural, body))
                elif old is None:
                    self.answer(404, {"message": "not found", "code": 404})
                elif body.get("metadata", {}).get("resourceVersion") not in {
                    None,
                    old["metadata"]["resourceVersion"],
                }:
                    self.answer(409, {"message": "the object has been modified"})
                elif self.command == "PATCH":
                    self.answer(200, state.write(plural, merged(old, body)))
                else:
                    self.answer(200, old)

        def watch(self, plural: str, namespace: str, since: int) -> None:
            events: queue.Queue[Item | None] = queue.Queue()
            with state.lock:
                for (of, where, _), item in state.objects.items():
                    newer = int(item["metadata"]["resourceVersion"]) > since
                    if of == plural and namespace in {"", where} and newer:
                        events.put({"type": "ADDED", "object": item})
                state.watches.append((plural, namespace, events))
            self.wfile.write(f"HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n".encode())
            while (event := events.get()) is not None:
                line = json.dumps(event).encode() + b"\n"
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        configuration = client.Configuration()
        configuration.host = f"http://127.0.0.1:{server.server_port}"
        state.kube = Kube(configuration)
        try:
            yield state
        finally:
            with state.lock:
                for _, _, events in state.watches:
                    events.put(None)
            server.shutdown()
            thread.join()
