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
def golden(request: pytest.FixtureRequest) -> Callable[[str, list[Any]], tuple[str, str]]:
    """Objects as YAML, and what golden/NAME.yaml says; with --update-golden it writes that file first."""

    def both(name: str, objects: list[Any]) -> tuple[str, str]:
        path = GOLDEN / f"{name}.yaml"
        text = yaml.safe_dump_all(objects, sort_keys=True, width=110)
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        return text, path.read_text()

    return both
