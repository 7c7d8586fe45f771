"""The fan-out benchmark in a small, quick case: right copies, and nothing left behind. Not a test of time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.bench import fan_out, netns

PROBLEM = netns.missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.root,
    pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM)),
]


def namespaces() -> set[str]:
    shown = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    return {line.split()[0] for line in shown.stdout.splitlines() if line}


def test_every_peer_gets_the_file_and_nothing_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    before = namespaces()
    assert fan_out.main(["--peers", "3", "--rate", "200mbit", "--size", "4MiB", "--runs", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["bound_s"] == pytest.approx(4 * 2**20 * 8 / 200e6, rel=0.01)
    assert result["bound_s"] < result["first_s"] <= result["median_s"] <= result["last_s"]
    assert result["last_ratio"] == pytest.approx(result["last_s"] / result["bound_s"], rel=0.01)
    assert namespaces() - before == set()


def test_an_interrupted_run_leaves_nothing() -> None:
    before = namespaces()
    program = (
        "import time; from tests.bench.netns import Star\n"
        "with Star([1e8] * 2): print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "up"
        assert len(namespaces() - before) == 3
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    deadline = time.monotonic() + 10
    while namespaces() - before and time.monotonic() < deadline:
        pass
    assert namespaces() - before == set()


@pytest.mark.parametrize(
    ("text", "expected"), [("128MiB", 128 * 2**20), ("100mbit", 1e8), ("1.5GiB", 1.5 * 2**30), ("7", 7)]
)
def test_amounts_are_read_with_their_units(text: str, expected: float) -> None:
    assert fan_out.amount(text) == expected
