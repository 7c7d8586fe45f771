"""What the `kubernetes` package's election and informer, and kopf's watch, do on bad days, beside ours.

Everything runs against small API servers on loopback; docs/operator.md has the figures.

    python -m tests.bench.by_others
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import kopf
from kubernetes import client
from kubernetes.informer import informer as informers
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock import leaselock

from minga_operator.cache import Cache
from minga_operator.crd import GROUP, PLURAL, VERSION
from minga_operator.follower import Follower
from minga_operator.kinds import NETWORK, POD
from minga_operator.kube import Kube
from minga_operator.leader import Election
from tests.unit.operator.api_server import api_server
from tests.unit.operator.lease_server import Leases

# They have no types.
LeaseLock: Any = leaselock.LeaseLock
LeaderElection: Any = leaderelection.LeaderElection
Config: Any = electionconfig.Config
SharedInformer: Any = informers.SharedInformer
LIMIT = 60.0
"""Seconds after which nobody waits any more for what does not come."""
PODS = 5000


def theirs(leases: Leases, kube: Kube, over: threading.Event) -> None:
    lock = LeaseLock("minga", "shelf", "first")
    lock.api_instance = client.CoordinationV1Api(client.ApiClient(kube.configuration))
    settings = Config(
        lock,
        lease_duration=15,
        renew_deadline=10,
        retry_period=2,
        onstarted_leading=threading.Event().wait,
        onstopped_leading=over.set,
    )

    def run() -> None:
        try:
            LeaderElection(settings).run()
        except Exception as error:  # noqa: BLE001 -- what a caller would see
            print(f"    run() raised {type(error).__name__}; who leads is told: {over.is_set()}")

    threading.Thread(target=run, daemon=True).start()


def ours(leases: Leases, kube: Kube, over: threading.Event) -> None:
    election = Election(kube, "shelf", "minga", "first")
    election.wait(threading.Event())
    election.keep(over.set)


def election(name: str, begin: Callable[[Leases, Kube, threading.Event], None], how: str) -> None:
    leases, over = Leases(), threading.Event()
    with leases.server() as (kube, make_it):
        begin(leases, kube, over)
        while leases.version < 3:
            time.sleep(0.05)
        make_it(how)
        ended = over.wait(LIMIT)
        seconds = time.monotonic() - leases.renewed
        text = f"{seconds:.1f} s" if ended else f"not within {LIMIT:.0f} s"
        print(f"{name}, the API server is {how}: the leadership of 15 s ended after {text}", flush=True)


class Refusing:
    """Lists what there is; answers each watch with 403."""

    def __init__(self, pods: int = 1) -> None:
        self.watches = self.lists = 0
        items = [pod(number) for number in range(pods)]
        self.list = json.dumps({
            "kind": "PodList", "apiVersion": "v1", "items": items, "metadata": {"resourceVersion": "7"},
        }).encode()  # fmt: skip
        refusing = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                watch = "watch=" in self.path.lower()
                refusing.watches += watch
                refusing.lists += not watch
                body = b'{"message": "forbidden", "code": 403}' if watch else refusing.list
                self.send_response(403 if watch else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.configuration = client.Configuration()
        self.configuration.host = f"http://127.0.0.1:{self.server.server_port}"


def pod(number: int) -> dict[str, Any]:
    """As large as one of ours."""
    labels = {"app.kubernetes.io/instance": "library", "app.kubernetes.io/name": "minga"}
    environment = [{"name": f"VARIABLE_{index}", "value": "x" * 40} for index in range(20)]
    container = {"name": "node", "image": "minga-node:1", "env": environment}
    return {
        "metadata": {
            "name": f"library-peer-{number}", "namespace": "shelf", "uid": str(number),
            "resourceVersion": "6", "labels": labels, "creationTimestamp": "2026-01-02T03:04:05Z",
        },
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def refused_watches() -> None:
    seconds = 10.0
    for name in ("informer", "ours"):
        server = Refusing()
        if name == "informer":
            api = client.CoreV1Api(client.ApiClient(server.configuration))
            SharedInformer(api.list_pod_for_all_namespaces).start()
        else:
            Follower(Kube(server.configuration), Cache(lambda _: None), POD, None).start()
        time.sleep(seconds)
        print(f"{name}, a watch is refused: {server.watches} watches in {seconds:.0f} s", flush=True)


def load(which: str) -> None:
    """In a process of its own: the cost of a list of many pods."""
    server = Refusing(PODS)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    if which == "informer":
        api = client.CoreV1Api(client.ApiClient(server.configuration))
        informer = SharedInformer(api.list_pod_for_all_namespaces)
        informer._initial_list()
        assert len(informer.cache.list()) == PODS
    else:
        cache = Cache(lambda _: None)
        items, version = Kube(server.configuration).items(POD, None)
        cache.listed(POD, None, items, int(version))
        assert len(cache.of(POD, ("shelf", "library"))) == PODS
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss) / 1024
    print(f"{which}, a list of {PODS} pods: {time.process_time() - began:.1f} s of CPU, {grown:.0f} MiB more")


async def kopf_and_a_gap() -> None:
    """An object that is deleted while kopf's watch is interrupted: does its index lose it?"""
    with api_server() as server:
        server.network(("shelf", "stays"))
        server.network(("shelf", "goes"))
        registry = kopf.OperatorRegistry()
        seen: dict[str, Any] = {}

        @kopf.on.login(registry=registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            return kopf.ConnectionInfo(server=server.kube.configuration.host)

        @kopf.on.startup(registry=registry)
        async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
            settings.posting.enabled = False
            settings.scanning.disabled = True

        @kopf.index(GROUP, VERSION, PLURAL, registry=registry, id="networks")
        async def networks(name: str, **_: Any) -> dict[str, bool]:
            return {name: True}

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)  # type: ignore[arg-type]
        async def told(networks: Any, **_: Any) -> None:
            seen["names"] = sorted(networks)

        end = asyncio.Event()
        task = asyncio.create_task(
            kopf.operator(registry=registry, standalone=True, clusterwide=True, stop_flag=end)
        )
        while len(seen.get("names", ())) < 2:
            await asyncio.sleep(0.1)
        server.lose(NETWORK, ("shelf", "goes"))
        server.network(("shelf", "comes"))
        while "comes" not in seen["names"]:
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)
        server.network(("shelf", "last"))
        while "last" not in seen["names"]:
            await asyncio.sleep(0.1)
        print(f"kopf's index after 'goes' was deleted in a gap: {seen['names']}")
        end.set()
        await task


def main() -> None:
    logging.basicConfig(level=logging.CRITICAL)
    for which in ("ours", "informer"):
        subprocess.run([sys.executable, "-m", "tests.bench.by_others", which], check=True)
    refused_watches()
    asyncio.run(kopf_and_a_gap())
    for how in ("silent", "dripping", "away"):
        election("ours", ours, how)
        election("LeaderElection with LeaseLock", theirs, how)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        load(sys.argv[1])
    else:
        main()
