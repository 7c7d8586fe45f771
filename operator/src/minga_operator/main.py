"""``minga-operator``: reads the environment, waits for the lease and the CRD, and runs."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from kubernetes import config

from minga_operator.errors import OperatorError
from minga_operator.health import Health
from minga_operator.kinds import NETWORK
from minga_operator.kube import Kube
from minga_operator.leader import Election
from minga_operator.network import RUNBOOKS
from minga_operator.planning import Settings
from minga_operator.runtime import Runtime
from minga_operator.serving import Serving

_log = logging.getLogger("minga_operator")
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def settings(environment: Mapping[str, str]) -> Settings:
    """From ``MINGA_OPERATOR_*``.

    Raises:
        ValueError: one line that names the variable.
    """
    prefix = "MINGA_OPERATOR_"
    workers = environment.get(f"{prefix}WORKERS", "4")
    if not workers.isdigit() or not 1 <= int(workers) <= 64:
        raise ValueError(f"{prefix}WORKERS is {workers!r}: expected a number from 1 to 64")
    namespaces = environment.get(f"{prefix}NAMESPACES", "")
    return Settings(
        node_image=environment.get(f"{prefix}NODE_IMAGE", "minga-node:latest"),
        broker_image=environment.get(f"{prefix}BROKER_IMAGE", "rabbitmq:4.1-management"),
        namespaces=tuple(item.strip() for item in namespaces.split(",") if item.strip()),
        workers=int(workers),
        runbooks=environment.get(f"{prefix}RUNBOOKS") or RUNBOOKS,
    )


def main() -> int:
    """Runs until told to stop; 2 for a wrong environment, 1 when the API server cannot be reached."""
    environment = os.environ
    _log_to_stderr(environment.get("MINGA_OPERATOR_LOG_FORMAT", "human"))
    try:
        chosen = settings(environment)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    identity = socket.gethostname()
    try:
        kube = Kube.connect()
    except config.ConfigException as error:
        print(f"no cluster to talk to: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    runtime = Runtime(kube, chosen, identity)
    health = Health(runtime.problem)
    health.serve(int(environment.get("MINGA_OPERATOR_PORT", "8080")))
    election = None
    if lease := environment.get("MINGA_OPERATOR_LEASE", ""):
        election = Election(Kube(kube.configuration), _own_namespace(environment), lease, identity)
        if not election.wait(stop, lambda: health.at((True, "standing by"))):
            return 0
        _keep(election, kube, health)
    _lead(kube, runtime, health, Serving(runtime, health, chosen.namespaces or (None,), identity), stop)
    # Who may still be writing lets the lease run out.
    if runtime.stop() and election is not None:
        election.release()
    return 0


def _lead(kube: Kube, runtime: Runtime, health: Health, serving: Serving, stop: threading.Event) -> None:
    """Until told to stop."""
    health.at((False, "leading, and waiting for the CustomResourceDefinition"))
    _await_definition(kube, stop)
    health.at((False, "leading, and looking at what there is"))
    runtime.start()
    serving.start()
    health.watch(serving.dead)

    def stage() -> tuple[bool, str]:
        obstacle = serving.problem() or runtime.blind()
        return (False, f"leading, and at work for nobody: {obstacle}") if obstacle else (True, "leading")

    health.stage = stage
    stop.wait()
    serving.stop()


def _keep(election: Election, kube: Kube, health: Health) -> None:
    """Leads as long as the lease is renewed, and not longer."""
    kube.may_write = election.leads
    election.keep(_lost)
    health.watch(election.dead)


def _lost() -> None:
    # Somebody else may lead already: nothing more may be written, so there is no orderly end.
    print("the lease was lost", file=sys.stderr, flush=True)
    os._exit(1)


def _await_definition(kube: Kube, stop: threading.Event) -> None:
    """Waits for the CRD: it may be installed after us."""
    said = ""
    while not stop.is_set():
        try:
            if kube.knows(NETWORK):
                return
            problem = "the CustomResourceDefinition p2pnetworks.minga.dev is not installed"
        except OperatorError as error:
            problem = str(error)
        if problem != said:
            _log.warning("waiting: %s", problem)
            said = problem
        stop.wait(2)


def _own_namespace(environment: Mapping[str, str]) -> str:
    named = environment.get("MINGA_OPERATOR_NAMESPACE", "")
    if named:
        return named
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


def _log_to_stderr(form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # Why a watch of kopf's ended says serving.py, in a line; signals are main's.
    for part in ("_core.reactor.running", "_core.reactor.orchestration", "_cogs.clients.watching"):
        logging.getLogger(f"kopf.{part}").setLevel(logging.CRITICAL)
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
