from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import Nodes


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Starts real nodes; all of them end with the test."""
    running = Nodes(tmp_path)
    yield running
    running.stop()
