from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from minga_node.local.broker import private
from tests.browser import media
from tests.browser.chromium import WIDE, Page, chromium
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
MIB = 2**20
BIG = "models/llama-sample.gguf"
FOREIGN = "<img src=x onerror=document.title='owned'>.html"
MANY = 120
SLOW = 3 * MIB
"""Bytes a second that each node sends: slow enough to look at."""


@dataclass(frozen=True)
class Village:
    """A seed and three peers."""

    seed: RunningNode
    home: RunningNode
    """The peer whose page is looked at."""
    other: RunningNode
    third: RunningNode
    nodes: Nodes


@pytest.fixture(scope="session")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    base = tmp_path_factory.mktemp("village")
    nodes = Nodes(base)
    with private(base / "broker") as broker:
        try:
            yield settle(nodes, broker.url)
        finally:
            nodes.stop()


def settle(nodes: Nodes, broker_url: str) -> Village:
    """Four nodes that know each other's files."""
    common = {"network": "library", "broker_url": broker_url}
    big = random.Random(7).randbytes(48 * MIB)
    seed = nodes.start(
        "seed-0",
        seed=True,
        upload_limit=SLOW,
        files={BIG: big, "docs/welcome.md": b"# Welcome\n", "harvest/rain-2025.csv": b"1,2\n" * 200_000},
        **common,
    ).ready()
    home = nodes.start(
        "peer-0",
        seed,
        files={
            "photos/cloth.png": media.png(640, 400),
            "harvest/terraces.png": media.png(960, 600),
            "harvest/songs.wav": media.wav(5),
            "music/a.wav": media.wav(2),
            "notes/list.txt": b"maize\n",
        },
        **common,
    )
    other = nodes.start(
        "peer-1",
        seed,
        upload_limit=SLOW,
        files={
            BIG: big,
            "docs/Información.txt": b"Todo el pueblo llega.\n",
            FOREIGN: b"<script>document.title = 'owned'</script>",
            "photos/far.png": media.png(320, 200),
            "harvest/terraces.png": media.png(960, 600),
            "harvest/seeds.tar.zst": big[: 9 * MIB],
            "harvest/Información.pdf": big[: MIB // 3],
            **{f"many/{n:03}.csv": b"%d\n" % n for n in range(MANY)},
        },
        **common,
    )
    third = nodes.start(
        "peer-2",
        seed,
        upload_limit=SLOW,
        files={
            BIG: big,
            "data/weather.csv": b"a,b\n1,2\n",
            "harvest/seeds.tar.zst": big[: 9 * MIB],
            "harvest/yields.parquet": big[: 4 * MIB],
        },
        **common,
    )
    for node in (home, other, third):
        node.ready()
    wait_for(lambda: len(home.names()) >= MANY + 15, "everything is known at home")

    def online() -> int:
        (file,) = home.get(f"/api/v1/files?name={BIG}")["files"]
        return sum(holder["online"] for holder in file["holders"])

    wait_for(lambda: online() == 3, "three holders are online")
    return Village(seed, home, other, third, nodes)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("chromium")) as page:
        yield page


@pytest.fixture
def page(browser: Page, village: Village) -> Iterator[Page]:
    """The page at home, in English and light colours; a clean console and no stranger at the end."""
    browser.size(*WIDE)
    browser.prefer(prefers_color_scheme="light")
    browser.forget(village.home.url)
    browser.open(village.home.url)
    browser.errors()
    browser.strangers()
    yield browser
    assert browser.errors() == []
    assert browser.strangers() == []


@pytest.fixture
def shoot(browser: Page) -> Callable[[str], None]:
    """Keeps a picture of what is shown."""

    def take(name: str) -> None:
        ARTEFACTS.mkdir(exist_ok=True)
        assert browser.driver.save_screenshot(str(ARTEFACTS / f"{name}.png"))

    return take
