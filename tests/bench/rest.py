"""What a REST request costs: ``wrk`` against one real node, beside nginx with the same files in one run.

    python -m tests.bench.rest [--connections 8] [--seconds 3] [--files 1000] [--idle 0]
                               [--only get-1k,list-100] [--json] [--slow 0]

Needs the Debian packages ``wrk`` and ``nginx`` (``python -m tests.packages`` installs them). HEAD, which
``wrk`` cannot do, is asked by a loop of this module, whose own pace is some 10,000/s. ``--idle`` holds that
many kept-alive connections, each after one request, beside the measured ones. Processor time is that of the
node's process, or of all of nginx's, for one request. ``--slow 5000`` measures something else: what an honest
client waits for, on one connection a request, while that many others send, read or wait slowly, a sixth of
each kind.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.nodes import HOST, Nodes, free_port
from tests.support.slow_clients import kinds, latencies, more_descriptors, slow_clients
from tests.waiting import wait_for

TICKS = os.sysconf("SC_CLK_TCK")
TOKEN = "write-token-0123456789"
SMALL, BIG = "small.bin", "big.bin"

REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"""
PUTS = """
local n = 0
local id
local ids = 0
setup = function(thread) thread:set("id", ids) ids = ids + 1 end
request = function()
  n = n + 1
  local name = "/files/put/" .. (id or 0) .. "-" .. (n % 100) .. ".bin"
  return wrk.format("PUT", name, nil, string.rep("x", 1024))
end
"""
OTHERS = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", wrk.path .. "&min_size=" .. (n % 500))
end
"""
"""Never what was asked a moment ago, which a node remembers."""


@dataclass(frozen=True)
class Case:
    name: str
    path: str
    script: str = ""
    of_nginx: bool = False
    """Whether nginx can answer the same."""
    method: str = "GET"


CASES = (
    Case("healthz", "/healthz"),
    Case("get-1k", f"/files/{SMALL}", of_nginx=True),
    Case("head-1k", f"/files/{SMALL}", of_nginx=True, method="HEAD"),
    Case("range-64k", f"/files/{BIG}", 'wrk.headers["Range"] = "bytes=1048576-1114111"', of_nginx=True),
    Case("get-256m", f"/files/{BIG}", of_nginx=True),
    Case("list-10", "/api/v1/files?limit=10"),
    Case("list-100", "/api/v1/files?limit=100"),
    Case("list-10-new", "/api/v1/files?limit=10", OTHERS),
    Case("list-100-new", "/api/v1/files?limit=100", OTHERS),
    Case("search", "/api/v1/files?q=report-07&limit=10"),
    Case("put-1k", "/", PUTS),
)


@dataclass(frozen=True)
class Result:
    case: str
    server: str
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    """Processor time for one request, in microseconds."""
    errors: int


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def run(url: str, case: Case, server: str, pids: Sequence[int], connections: int, seconds: int) -> Result:
    before = cpu_seconds(pids)
    measure = heads if case.method == "HEAD" else wrk
    requests, duration, p50, p99, errors = measure(url, case, connections, seconds)
    used = cpu_seconds(pids) - before
    return Result(
        case.name,
        server,
        round(requests / duration * 1e6, 1),
        round(p50 / 1000, 2),
        round(p99 / 1000, 2),
        round(used / max(1, requests) * 1e6, 1),
        errors,
    )


def wrk(url: str, case: Case, connections: int, seconds: int) -> tuple[int, ...]:
    """Requests, and in microseconds how long it took, the median and the 99th percentile; errors."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(case.script + REPORT)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name]
        done = subprocess.run([*command, url + case.path], capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    if found is None:
        raise RuntimeError(done.stdout + done.stderr)
    return tuple(map(int, found.groups()))


def heads(url: str, case: Case, connections: int, seconds: int) -> tuple[int, ...]:
    """The same by a loop of ours, for requests whose answers have no body."""
    address = (HOST, int(url.rpartition(":")[2]))
    request = f"{case.method} {case.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    took: list[float] = []
    began: dict[int, float] = {}
    errors = 0
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            connection = socket.create_connection(address, 10)
            selector.register(connection, selectors.EVENT_READ)
            began[connection.fileno()] = time.monotonic()
            connection.sendall(request)
        start = time.monotonic()
        while time.monotonic() < start + seconds:
            for key, _ in selector.select(1):
                connection = key.fileobj  # type: ignore[assignment]
                # An answer without a body comes in one part.
                errors += not connection.recv(65536).startswith(b"HTTP/1.1 200")
                now = time.monotonic()
                took.append(now - began[key.fd])
                began[key.fd] = now
                connection.sendall(request)
        duration = time.monotonic() - start
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    took.sort()
    p50, p99 = (took[int(len(took) * part)] for part in (0.5, 0.99))
    return len(took), int(duration * 1e6), int(p50 * 1e6), int(p99 * 1e6), errors


@contextmanager
def nginx(place: Path, directory: Path) -> Iterator[tuple[str, list[int]]]:
    """Its address, and its processes."""
    port = free_port()
    place.mkdir()
    (place / "nginx.conf").write_text(f"""
        daemon off; pid {place}/pid; error_log {place}/error.log; worker_processes 2;
        events {{ worker_connections 8192; }}
        http {{
          access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
          client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
          uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
          server {{ listen {HOST}:{port}; location /files/ {{ alias {directory}/; }} }}
        }}""")
    # Its workers run as another user where it is started by root.
    for folder in (directory, *directory.parents):
        if folder != Path(tempfile.gettempdir()) and tempfile.gettempdir() in map(str, folder.parents):
            folder.chmod(0o755)
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "nginx.conf")])
    try:
        wait_for(lambda: socket.socket().connect_ex((HOST, port)) == 0, "nginx listens")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield f"http://{HOST}:{port}", [process.pid, *map(int, children)]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


@contextmanager
def idle(port: int, count: int) -> Iterator[None]:
    """Kept-alive connections, each of which has had one answer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    try:
        for number in range(count):
            # Of many addresses, as clients are.
            source = f"127.0.{1 + number // 200}.{1 + number % 200}"
            connection = socket.create_connection((HOST, port), 10, (source, 0))
            held.append(connection)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("an idle connection got no answer")
        yield
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def shown(result: Result) -> str:
    return (
        f"{result.case:10} {result.server:6} {result.per_second:10.1f}/s  p50 {result.p50_ms:8.2f} ms"
        f"  p99 {result.p99_ms:8.2f} ms  cpu {result.cpu_us:9.1f} µs  errors {result.errors}"
    )


def bench(place: Path, options: argparse.Namespace) -> list[Result]:
    nodes = Nodes(place)
    files = {f"reports/report-{n:04}.txt": f"{n}\n".encode() * 50 for n in range(options.files)}
    node = nodes.start("bench", files={SMALL: os.urandom(1024), **files})
    with (node.directory / BIG).open("wb") as big:
        for _ in range(256):
            big.write(os.urandom(2**20))
    wanted = options.only.split(",") if options.only else [case.name for case in CASES]
    results: list[Result] = []
    try:
        node.ready()
        wait_for(lambda: node.metric("minga_library_files") >= options.files + 2, "all files are shared", 600)
        with nginx(place / "nginx", node.directory) as (other, pids), idle(node.config["port"], options.idle):
            for case in CASES:
                if case.name not in wanted:
                    continue
                servers = [("minga", node.url, [node.process.pid])]
                if case.of_nginx:
                    servers.append(("nginx", other, pids))
                for server, url, processes in servers:
                    result = run(url, case, server, processes, options.connections, options.seconds)
                    results.append(result)
                    if not options.json:
                        print(shown(result), flush=True)
    finally:
        nodes.stop()
    return results


def among_slow(place: Path, count: int, seconds: int) -> dict[str, float]:
    """Milliseconds that an honest client's requests take."""
    more_descriptors()
    nodes = Nodes(place)
    found: dict[str, float] = {}
    try:
        far = nodes.start("far", files={"gone.bin": os.urandom(8 * 2**20)}, upload_limit=64 * 1024).ready()
        files = {SMALL: os.urandom(1024), BIG: os.urandom(32 * 2**20)}
        tokens = place / "tokens"
        tokens.mkdir()
        (tokens / "write").write_text(TOKEN)
        near = nodes.start("near", far, files=files, tokens_directory=str(tokens)).ready()
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        wait_for(lambda: near.request("HEAD", "/files/gone.bin", headers=bearer).status == 200, "it is known")
        with slow_clients(near.config["port"]) as clients:
            every = kinds(TOKEN.encode(), BIG.encode(), b"gone.bin")
            for kind, first in every.items():
                # Bodies come with a token and without.
                clients.open(count // (12 if "bodies" in kind else 6), first)
            far.kill()
            found["slow clients"] = near.metric("minga_rest_connections")
            for what, path in (
                ("healthz", "/healthz"),
                ("get-1k", f"/files/{SMALL}"),
                ("list", "/api/v1/files"),
            ):
                head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                head += "Connection: close\r\n\r\n"
                took = latencies(near.config["port"], head.encode(), seconds)
                found |= {
                    f"{what} p50": took[len(took) // 2] * 1e3,
                    f"{what} p99": took[int(len(took) * 0.99)] * 1e3,
                }
            began = cpu_seconds([near.process.pid])
            time.sleep(seconds)
            found["cpu, of a core"] = (cpu_seconds([near.process.pid]) - began) / seconds
            found["threads"] = len(list(Path(f"/proc/{near.process.pid}/task").iterdir()))
        return {key: round(value, 2) for key, value in found.items()}
    finally:
        nodes.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=3, help="of each case")
    parser.add_argument("--files", type=int, default=1000, help="small files in the library")
    parser.add_argument("--idle", type=int, default=0, help="kept-alive connections held meanwhile")
    parser.add_argument("--slow", type=int, default=0, help="slow clients; then only that is measured")
    parser.add_argument("--only", help=f"of {', '.join(case.name for case in CASES)}")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    for tool in ("wrk", "nginx"):
        if shutil.which(tool) is None:
            print(f"{tool} is missing: python -m tests.packages installs it", file=sys.stderr)
            return 1
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="minga-rest-") as place:
        if options.slow:
            print(json.dumps(among_slow(Path(place), options.slow, options.seconds), indent=2))
            return 0
        results = bench(Path(place), options)
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        print(f"{time.monotonic() - began:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
