from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Nodes

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell leaves it to what it starts in the background; no Ctrl-C would reach what the tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Starts real nodes; all of them end with the test."""
    running = Nodes(tmp_path)
    yield running
    running.stop()
