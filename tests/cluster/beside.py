"""What our operator works beside, as its makers publish it: kinds, and the RabbitMQ cluster operator."""

from __future__ import annotations

import shutil
from pathlib import Path

from .build import built_once, cache_lock, fingerprint, go
from .layout import cache_folder
from .shell import run

_SOURCE = Path(__file__).with_name("others")
_RABBITMQ = "github.com/rabbitmq/cluster-operator/v2"
_DEFINITIONS = {
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    _RABBITMQ: ("config/crd/bases/rabbitmq.com_rabbitmqclusters.yaml",),
    "sigs.k8s.io/gateway-api": (
        "config/crd/standard/gateway.networking.k8s.io_gateways.yaml",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
    ),
}
"""By Go module: the files with CustomResourceDefinitions that we want of it."""


def definitions() -> Path:
    """A folder of CustomResourceDefinitions, GROUP_PLURAL.yaml each; a few MB are fetched the first time."""
    target = cache_folder() / f"definitions-{fingerprint(_SOURCE)}"
    with cache_lock("definitions"):
        if not target.exists():
            partial = target.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            for module, files in _DEFINITIONS.items():
                run(go(), "mod", "download", module, timeout=300, cwd=_SOURCE)
                folder = run(go(), "list", "-m", "-f", "{{.Dir}}", module, timeout=60, cwd=_SOURCE).strip()
                for file in files:
                    # Not with its mode: Go's copy cannot be written, nor removed.
                    shutil.copyfile(Path(folder) / file, partial / Path(file).name)
            partial.rename(target)
    return target


def rabbitmq_operator() -> Path:
    """The program of the RabbitMQ cluster operator."""
    return built_once("rabbitmq-operator", _RABBITMQ, _SOURCE)
