"""What nodes and the operator export to Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase

from docs.reference.markdown import code, table, whole
from minga_node import metrics as node
from minga_operator import metrics as operator


def page() -> str:
    """One table a program."""
    return whole(
        "Metrics",
        "Labels are bounded: no file's name, no id, no address. Prometheus' client adds the usual"
        " `process_` and `python_` metrics.",
        "## Node",
        "At `/metrics` of the REST port.",
        _table(node),
        "## Operator",
        "At `/metrics` of the port named `metrics`.",
        _table(operator),
    )


def _table(module: ModuleType) -> str:
    return table(["metric", "type", "labels", "what it is"], sorted(_rows(module)))


def _rows(module: ModuleType) -> Iterator[list[str]]:
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            name = {"counter": f"{family.name}_total", "info": f"{family.name}_info"}.get(
                family.type, family.name
            )
            labels = ", ".join(code(label) for label in metric._labelnames)
            yield [code(name), family.type, labels, family.documentation]
