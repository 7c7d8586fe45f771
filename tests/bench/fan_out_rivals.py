"""The same work by others, in the same namespaces: a tracker in the middle, one client in each leaf."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.bench.netns import Leaf, Star, entered

PIECE = 256 * 1024
TRACKER_PORT = 6969
DEADLINE = 600.0

LIBTORRENT = """
import json, sys, time
import libtorrent as lt
address, torrent, directory, seeds = sys.argv[1:]
session = lt.session({
    "listen_interfaces": address + ":6881", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
    "enable_natpmp": False, "alert_mask": lt.alert.category_t.status_notification,
    "enable_outgoing_utp": False, "enable_incoming_utp": False, "connection_speed": 100,
    "min_announce_interval": 1, "outgoing_interfaces": address,
})
parameters = lt.add_torrent_params()
parameters.ti = lt.torrent_info(torrent)
parameters.save_path = directory
parameters.flags |= lt.torrent_flags.paused
parameters.flags &= ~lt.torrent_flags.auto_managed
if seeds == "yes":
    parameters.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(parameters)
print("ready", flush=True)
sys.stdin.readline()
began = time.monotonic()
handle.resume()
while not handle.status().is_seeding:
    session.wait_for_alert(50)
    session.pop_alerts()
print(json.dumps(time.monotonic() - began), flush=True)
while True:
    time.sleep(1)
"""


def bencode(value: Any) -> bytes:
    """BEP 3."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(bencode(one) for one in value) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"


def torrent_of(path: Path, announce: str) -> bytes:
    hashes = []
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashes.append(hashlib.sha1(piece, usedforsecurity=False).digest())
    info = {
        "name": path.name,
        "piece length": PIECE,
        "length": path.stat().st_size,
        "pieces": b"".join(hashes),
    }
    return bencode({"announce": announce, "info": info})


@contextmanager
def tracker(star: Star) -> Iterator[str]:
    """An HTTP tracker (BEP 3, BEP 23) that tells everyone of everybody."""
    peers: dict[bytes, None] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            me = socket.inet_aton(self.client_address[0]) + struct.pack(">H", int(query["port"][0]))
            peers.setdefault(me)
            body = bencode({"interval": 5, "min interval": 1, "peers": b"".join(p for p in peers if p != me)})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with entered(star.middle):
        server = ThreadingHTTPServer((star.middle_address, TRACKER_PORT), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{star.middle_address}:{TRACKER_PORT}/announce"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def prepared(star: Star, directory: Path, source: Path, announce: str) -> Path:
    directory.mkdir(exist_ok=True)
    for number, _ in enumerate(star.leaves):
        (directory / str(number)).mkdir()
    os.link(source, directory / "0" / source.name)
    torrent = directory / "file.torrent"
    torrent.write_bytes(torrent_of(source, announce))
    return torrent


def check(directory: Path, source: Path, count: int) -> None:
    wanted = hashlib.file_digest(source.open("rb"), "sha256").digest()
    for number in range(1, count):
        with (directory / str(number) / source.name).open("rb") as file:
            if hashlib.file_digest(file, "sha256").digest() != wanted:
                raise RuntimeError(f"the rival's copy {number} is not the file")


def libtorrent(star: Star, directory: Path, source: Path, starting: Callable[[], None]) -> list[float]:
    """Seconds of each peer; ``RIVAL_PYTHON`` names an interpreter that has the libtorrent wheel.

    ``starting`` is called when all are ready, just before the first second.
    """
    python = os.environ.get("RIVAL_PYTHON", sys.executable)
    with tracker(star) as announce:
        torrent = prepared(star, directory, source, announce)
        processes = []
        try:
            for number, leaf in enumerate(star.leaves):
                command = [python, "-c", LIBTORRENT, leaf.address, str(torrent), str(directory / str(number))]
                processes.append(
                    subprocess.Popen(
                        [*leaf.prefix, *command, "yes" if number == 0 else "no"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
            for process in processes:
                assert process.stdout is not None
                if process.stdout.readline().strip() != "ready":
                    raise RuntimeError("libtorrent does not start: pip install libtorrent, RIVAL_PYTHON=…")
            starting()
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            seconds = []
            for process in processes[1:]:
                assert process.stdout is not None
                seconds.append(float(json.loads(process.stdout.readline())))
            check(directory, source, len(star.leaves))
            return seconds
        finally:
            for process in processes:
                process.kill()
                process.wait()
            shutil.rmtree(directory, ignore_errors=True)


def aria2(star: Star, directory: Path, source: Path, starting: Callable[[], None]) -> list[float]:
    """Seconds of each peer, until aria2 says that its download is complete."""

    def command(number: int, leaf: Leaf, torrent: Path) -> list[str]:
        return [
            *(*leaf.prefix, "aria2c", "--enable-dht=false", "--seed-ratio=0", "--listen-port=6881"),
            *("--check-integrity=true" if number == 0 else "--file-allocation=none", "--summary-interval=0"),
            *("--bt-max-peers=0", "--bt-tracker-interval=5", f"--interface={leaf.address}", "-q"),
            *("--on-bt-download-complete=" + str(directory / "done"), f"--dir={directory / str(number)}"),
            str(torrent),
        ]

    with tracker(star) as announce:
        torrent = prepared(star, directory, source, announce)
        done = directory / "done"
        done.write_text('#!/bin/sh\ntouch "$(dirname "$3")/complete"\n')
        done.chmod(0o755)
        processes = []
        try:
            first, *others = star.leaves
            processes.append(subprocess.Popen(command(0, first, torrent)))
            _wait_for(directory / "0" / "complete")
            starting()
            began = time.monotonic()
            processes += [
                subprocess.Popen(command(number, leaf, torrent)) for number, leaf in enumerate(others, 1)
            ]
            seconds: dict[int, float] = {}
            while len(seconds) < len(others):
                for number in range(1, len(star.leaves)):
                    if number not in seconds and (directory / str(number) / "complete").exists():
                        seconds[number] = time.monotonic() - began
                if time.monotonic() > began + DEADLINE:
                    raise RuntimeError("aria2 does not come to an end")
                time.sleep(0.02)
            check(directory, source, len(star.leaves))
            return list(seconds.values())
        finally:
            for process in processes:
                process.kill()
                process.wait()
            shutil.rmtree(directory, ignore_errors=True)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"never: {path}")
        time.sleep(0.05)


Rival = Callable[[Star, Path, Path, Callable[[], None]], list[float]]
RIVALS: dict[str, Rival] = {"libtorrent": libtorrent, "aria2": aria2}
