"""What several tests of the node begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from minga_node.index import Index
from minga_node.store import Store
from tests.support.home import Home


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    store = Store(tmp_path / "s.db")
    made = Index(store, "me")
    yield made
    made.close()
    store.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.close()
