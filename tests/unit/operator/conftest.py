"""Golden files, and networks to build from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write what the builders make now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, list[Any]], None]:
    """Compares objects with golden/NAME.yaml; with --update-golden it writes that file."""

    def check(name: str, objects: list[Any]) -> None:
        path = GOLDEN / f"{name}.yaml"
        text = yaml.safe_dump_all(objects, sort_keys=True, width=110)
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert text == path.read_text(), f"differs from {path.name}; if so intended: pytest --update-golden"

    return check
