"""``minga-operator``: reads the environment, waits for the lease and the CRD, and runs."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import kopf
from kubernetes import config

from minga_operator.errors import OperatorError, Unavailable
from minga_operator.handlers import register
from minga_operator.health import Health
from minga_operator.kinds import NETWORK
from minga_operator.kube import Kube
from minga_operator.leader import Election
from minga_operator.planning import Settings
from minga_operator.runtime import Runtime

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
    runtime = Runtime(kube, chosen, identity)
    health = Health(runtime.problem)
    health.serve(int(environment.get("MINGA_OPERATOR_PORT", "8080")))
    election = None
    if lease := environment.get("MINGA_OPERATOR_LEASE", ""):
        election = Election(kube, _own_namespace(environment), lease, identity)
        election.wait()
        election.keep(_lost)
    _await_definition(kube)
    registry = kopf.OperatorRegistry()
    register(registry, runtime, health)
    kopf.run(
        registry=registry,
        standalone=True,
        identity=identity,  # type: ignore[arg-type]  # kopf does not export its alias of str
        clusterwide=not chosen.namespaces,
        namespaces=chosen.namespaces,
    )
    if election is not None:
        election.release()
    return 0


def _lost() -> None:
    # Somebody else may lead already: nothing more may be written, so there is no orderly end.
    print("the lease was lost", file=sys.stderr, flush=True)
    os._exit(1)


def _await_definition(kube: Kube) -> None:
    """Waits for the CRD: it may be installed after us."""
    said = False
    while True:
        try:
            if kube.knows(NETWORK):
                return
            problem = "the CustomResourceDefinition p2pnetworks.minga.dev is not installed"
        except (OperatorError, Unavailable) as error:
            problem = str(error)
        if not said:
            _log.warning("waiting: %s", problem)
            said = True
        time.sleep(2)


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
    logging.getLogger("urllib3").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
