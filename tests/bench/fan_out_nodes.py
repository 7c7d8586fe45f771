"""``minga-node`` processes in namespaces, steered over REST from the middle of the star."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.netns import Leaf, Star, entered

PORT = 5000
DEADLINE = 120.0


class Node:
    """One process and its directory."""

    def __init__(self, number: int, leaf: Leaf, star: Star, directory: Path) -> None:
        self.name = f"node{number}"
        self.leaf, self.directory, self._star = leaf, directory, star
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def share(self, path: Path) -> None:
        """Puts a file there by a hard link."""
        os.link(path, self.directory / path.name)

    def start(self, giver: Node) -> None:
        config = {
            "ip": "0.0.0.0",
            "port": PORT,
            "directory": str(self.directory),
            "name": self.name,
            "advertise": self.leaf.address,
            "seed": self is giver,
            "seed_peer": "" if self is giver else f"http://{giver.leaf.address}:{PORT}",
            "quiet_seconds": 0.1,
        }
        path = self.directory.with_suffix(".json")
        path.write_text(json.dumps(config))
        program = shutil.which("minga-node", path=str(Path(sys.executable).parent)) or "minga-node"
        with self.directory.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.leaf.prefix, program, "--config", str(path)], stdout=log, stderr=log
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(self.leaf.address, PORT, timeout=DEADLINE)
        with entered(self._star.middle):
            connection.connect()
        return connection

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = self._connect()
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            data = response.read()
            if response.status >= 300:
                raise RuntimeError(f"{self.name}: {method} {path}: {response.status} {data[:300]!r}")
            return json.loads(data)
        finally:
            connection.close()

    def _until(self, what: str, look: Any) -> Any:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                found = look()
            except (OSError, RuntimeError, http.client.HTTPException):
                found = None
            if found:
                return found
            if time.monotonic() > deadline:
                log = self.directory.with_suffix(".log").read_text()[-2000:]
                raise RuntimeError(f"{self.name}: never {what}\n{log}")
            time.sleep(0.1)

    def wait_ready(self) -> None:
        self._until("ready", lambda: self.ask("GET", "/readyz"))

    def wait_for_file(self, holder: Node, name: str) -> str:
        """Waits until this node knows that ``holder`` has the file; its id."""

        def look() -> str | None:
            for row in self.ask("GET", "/api/v1/files?scope=network")["files"]:
                if row["name"] == name and any(one["peer"] == holder.name for one in row["holders"]):
                    return str(row["id"])
            return None

        return str(self._until(f"told of {name}", look))

    def fetch(self, name: str, content_id: str) -> str:
        """Starts a download; its id."""
        return str(self.ask("POST", "/api/v1/downloads", {"name": name, "id": content_id})["id"])

    def verified(self, download: str) -> int:
        return int(self.ask("GET", f"/api/v1/downloads/{download}")["verified"])

    def detail(self, content_id: str) -> Any:
        downloads = self.ask("GET", "/api/v1/downloads")["downloads"]
        return next(one for one in downloads if one["content_id"] == content_id)

    def wait_complete(self, download: str) -> None:
        """Reads the download's events to its end, which comes at once."""
        connection = self._connect()
        try:
            connection.request("GET", f"/api/v1/downloads/{download}/events")
            response = connection.getresponse()
            state = ""
            for line in response:
                if line.startswith(b"event: "):
                    state = line[7:].strip().decode()
            if state != "complete":
                why = self.ask("GET", f"/api/v1/downloads/{download}")["error"]
                raise RuntimeError(f"{self.name}: the download ended as {state!r}: {why}")
        finally:
            connection.close()


def cpu_seconds(nodes: Sequence[Node]) -> float:
    """Processor time of the nodes so far, user and system."""
    ticks = 0
    for node in nodes:
        fields = Path(f"/proc/{node.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
