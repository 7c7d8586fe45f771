"""The documentation's site in a real Chromium: diagrams without a network, for everybody, on every screen."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.browser import axe
from tests.browser.chromium import WIDE, Page
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
TELEPHONE = (390, 844)
PAGES = {
    "front": "",
    "quick-start": "quick-start/",
    "course": "coming-from-the-course/",
    "concept": "concepts/swarm/",
    "architecture": "architecture/",
    "rest": "reference/rest/",
    "cli": "reference/cli/",
    "p2pnetwork": "reference/p2pnetwork/",
    "tracing": "how-to/tracing/",
}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a freshly built site."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def read(browser: Page, site: str) -> Iterator[Callable[[str], None]]:
    """Opens a page of the site; a clean console and no stranger at the end."""

    def open_(where: str) -> None:
        # The theme remembers the colours of the page before.
        browser.driver.get("about:blank")
        browser.forget(site)
        browser.open(site, where)
        wait_for(lambda: browser.run("return document.readyState") == "complete", where)
        # The theme replaces the source of a diagram by its picture, at last.
        wait_for(lambda: not browser.all("pre.mermaid"), f"the diagrams of {where}")

    browser.size(*WIDE)
    browser.prefer(prefers_color_scheme="light")
    # What the browser itself or another test asked for does not count.
    browser.open(site, "404.html")
    browser.errors()
    browser.strangers()
    yield open_
    assert browser.errors() == []
    assert browser.strangers() == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", [(1280, 900), TELEPHONE], ids=["wide", "telephone"])
def test_a_page_fits_and_asks_nobody_else(
    name: str, size: tuple[int, int], read: Callable[[str], None], browser: Page, shoot: Callable[[str], None]
) -> None:
    browser.size(*size)
    read(PAGES[name])
    shoot(f"docs-{name}-{size[0]}")
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize(
    "where", ["architecture/", "concepts/network/", "concepts/swarm/", "concepts/messages/"]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_diagrams_are_drawn(
    where: str, scheme: str, read: Callable[[str], None], browser: Page, shoot: Callable[[str], None]
) -> None:
    browser.prefer(prefers_color_scheme=scheme)
    read(where)
    shown = browser.run("return document.body.dataset.mdColorScheme")
    assert shown == {"light": "default", "dark": "slate"}[scheme]
    sizes = browser.run(
        "return [...document.querySelectorAll('div.mermaid')]"
        ".map((one) => [one.clientWidth, one.clientHeight])"
    )
    assert sizes
    assert all(width > 200 and height > 80 for width, height in sizes), sizes
    browser.run("document.querySelector('div.mermaid').scrollIntoView({block: 'center'})")
    shoot(f"docs-diagram-{where.strip('/').replace('/', '-')}-{scheme}")


def test_a_search_finds_a_page(read: Callable[[str], None], browser: Page) -> None:
    read("")
    browser.find("input.md-search__input").send_keys("replication_target")

    def shown() -> str:
        # All at once: the list is drawn anew while it grows, and elements that were found before are gone.
        return str(browser.run("return document.querySelector('.md-search-result__list').innerHTML"))

    wait_for(lambda: "reference/configuration" in shown(), "the page that has the word")
    assert "Configuration" in shown()


@pytest.mark.parametrize("name", ["front", "quick-start", "course", "rest"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    name: str, scheme: str, read: Callable[[str], None], browser: Page
) -> None:
    browser.prefer(prefers_color_scheme=scheme)
    read(PAGES[name])
    found = axe.serious(browser, axe.source())
    # The theme lets those blocks of code have the keyboard's focus where there is a pointer; here is none.
    assert [one for one in found if not one.startswith("scrollable-region-focusable")] == []
