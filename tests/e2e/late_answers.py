"""The operator as a process of its own, behind a proxy that keeps the API server's answers to writes back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import urllib3
import yaml
from kubernetes import client, config

from tests.cluster import Cluster


@contextmanager
def proxy(cluster: Cluster, seconds: float) -> Iterator[str]:
    """Its address. Writes reach the API server at once, watches tell of them at once, answers come late."""
    configuration = client.Configuration()
    config.load_kube_config(  # type: ignore[no-untyped-call]
        str(cluster.kubeconfig), client_configuration=configuration
    )
    pool: urllib3.PoolManager = client.ApiClient(configuration).rest_client.pool_manager

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            skipped = {"host", "content-length", "connection", "accept-encoding"}
            answer = pool.request(
                self.command,
                configuration.host + self.path,
                body=self.rfile.read(size) if size else None,
                headers={name: value for name, value in self.headers.items() if name.lower() not in skipped},
                preload_content=False,
                retries=False,
            )
            if self.command != "GET":
                time.sleep(seconds)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with answer:
                for chunk in answer.read_chunked() if answer.chunked else [answer.read()]:
                    if chunk:
                        self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A client that went away is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def operator_of(address: str, namespace: str, folder: Path) -> Iterator[Path]:
    """The operator of this tree, for one namespace, at the API server of that address; yields its log."""
    kubeconfig, log = folder / "kubeconfig", folder / "operator.log"
    kubeconfig.write_text(
        yaml.safe_dump({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "late", "cluster": {"server": address}}],
            "users": [{"name": "late", "user": {}}],
            "contexts": [{"name": "late", "context": {"cluster": "late", "user": "late"}}],
            "current-context": "late",
        })
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "MINGA_OPERATOR_NAMESPACES": namespace,
        "MINGA_OPERATOR_PORT": str(port),
        "MINGA_OPERATOR_NODE_IMAGE": "minga-node:test",
        "MINGA_OPERATOR_BROKER_IMAGE": "minga-rabbitmq:test",
    }
    command = [sys.executable, "-m", "minga_operator.main"]
    with log.open("w") as output, subprocess.Popen(command, env=environment, stderr=output) as process:
        try:
            yield log
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
