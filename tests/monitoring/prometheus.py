"""A real Prometheus (Debian's) that scrapes real nodes, with a port and storage of its own."""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
import yaml

from tests.monitoring.expressions import Expression
from tests.nodes import HOST, HTTP, free_port
from tests.waiting import wait_for


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def _get(self, path: str, **fields: str) -> Any:
        answer = HTTP.request("GET", f"{self.url}{path}", fields=fields)
        body = answer.json()
        assert answer.status == 200, (fields, body)
        return body["data"]

    def query(self, expression: str) -> list[dict[str, str]]:
        """Labels of every series of the answer that has a number now."""
        result = self._get("/api/v1/query", query=expression)["result"]
        return [one["metric"] for one in result if not math.isnan(float(one["value"][1]))]

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def ready(self) -> bool:
        try:
            return HTTP.request("GET", f"{self.url}/-/ready").status == 200
        except urllib3.exceptions.HTTPError:
            return False


def scrape(targets: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A scrape configuration for ``targets``: address → labels."""
    static = [{"targets": [address], "labels": dict(labels)} for address, labels in targets.items()]
    return {"job_name": "minga", "static_configs": static}


@contextmanager
def prometheus(base: Path, rules: Path, scrapes: Sequence[Mapping[str, Any]]) -> Iterator[Prometheus]:
    """Scrapes every second and evaluates ``rules`` as often."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [dict(each) for each in scrapes],
    }
    base.mkdir(parents=True, exist_ok=True)
    (base / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (base / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={base / 'prometheus.yml'}",
                f"--storage.tsdb.path={base / 'data'}",
                f"--web.listen-address={HOST}:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        server = Prometheus(f"http://{HOST}:{port}")
        wait_for(lambda: server.ready() or process.poll() is not None, "Prometheus")
        assert process.poll() is None, (base / "log").read_text()
        yield server
    finally:
        process.terminate()
        process.wait(20)


MAY_BE_EMPTY = {"watched_namespace"}
"""Labels that are empty where they mean everything: Prometheus has no empty labels."""


def silent(server: Prometheus, living: Sequence[Expression], seconds: float) -> list[str]:
    """Those of the expressions that have no answer within the time, each asked until it has had one.

    An answer has a number, and the labels that its legend shows, but for those that may be empty.
    """
    waiting = {(one.where, value): one.legend_labels - MAY_BE_EMPTY for one in living for value in one.values}
    deadline = time.monotonic() + seconds
    while True:
        for (where, value), labels in list(waiting.items()):
            if any(labels <= set(series) for series in server.query(value)):
                del waiting[where, value]
        if not waiting or time.monotonic() > deadline:
            return [f"{where}: {value}" for where, value in waiting]
        time.sleep(1)
