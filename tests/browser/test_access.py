"""The page of a node that asks for tokens: signing in, what a session may, signing out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser import axe, media
from tests.browser.chromium import NARROW, WIDE, Page
from tests.browser.conftest import MIB
from tests.nodes import Nodes, RunningNode
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

READ, WRITE = "read-token-0123456789", "write-token-0123456789"
FAR = "models/far.bin"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tokens")
    (directory / "read").write_text(READ)
    (directory / "write").write_text(WRITE)
    return directory


@pytest.fixture(scope="module")
def guarded(tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node with tokens, and another that has a file to fetch slowly."""
    nodes = Nodes(tmp_path_factory.mktemp("guarded"))
    common = {"network": "guarded", "tokens_directory": str(tokens)}
    content = random.Random(3).randbytes(12 * MIB)
    other = nodes.start("other", files={FAR: content}, upload_limit=3 * MIB, **common).ready()
    files = {"photos/cloth.png": media.png(640, 400), "notes/list.txt": b"maize\n"}
    node = nodes.start("guarded", other, files=files, **common).ready()
    yield node
    nodes.stop()


@pytest.fixture
def page(browser: Page, guarded: RunningNode) -> Iterator[Page]:
    """The node's page in a browser that has never been there."""
    browser.size(*WIDE)
    browser.prefer(prefers_color_scheme="light")
    browser.forget(guarded.url)
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.open(guarded.url)
    browser.find("#token")
    browser.errors()
    browser.strangers()
    yield browser
    assert browser.errors() == []
    assert browser.strangers() == []
    browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})


def sign_in(page: Page, token: str) -> None:
    page.find("#token").send_keys(token, Keys.ENTER)
    page.find(".row", "list.txt")


def test_there_is_nothing_to_see_without_a_token(page: Page, shoot: Callable[[str], None]) -> None:
    assert page.text("h1") == "Sign in to guarded"
    assert page.run("return document.activeElement.id") == "token"
    assert page.all(".row") == []
    assert "cloth" not in page.body
    page.go("#/network")
    page.find("#token")
    assert page.all(".node") == []
    shoot("sign-in")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_for_everybody(page: Page, guarded: RunningNode, scheme: str) -> None:
    page.prefer(prefers_color_scheme=scheme)
    page.size(*NARROW)
    page.find("#token")
    assert axe.serious(page, axe.source()) == []
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def test_it_speaks_spanish(page: Page) -> None:
    Select(page.find("#language")).select_by_value("es")
    page.find("h1", "Entrar en guarded")
    assert page.text("form .button-main") == "Entrar"


@pytest.mark.parametrize("wrong", ["not-the-right-token-at-all", "ñandú", "two words"])
def test_a_wrong_token_is_said_next_to_the_field(page: Page, wrong: str) -> None:
    page.find("#token").send_keys(wrong, Keys.ENTER)
    assert page.text("#token-problem[role=alert]") == "This node does not take that token."
    assert page.run("return document.activeElement.id") == "token"
    assert page.find("#token").get_attribute("aria-invalid") == "true"
    # The browser itself says that the answer was 401.
    assert all("401" in line for line in page.errors())


def test_a_reader_sees_previews_and_changes_nothing(page: Page) -> None:
    sign_in(page, READ)
    assert page.run("return document.cookie") == "", "a script can read the session"
    page.go(f"#/file/{quote('photos/cloth.png', safe='')}")
    picture = page.find(".preview-picture")
    wait_for(lambda: page.run("return arguments[0].naturalWidth", picture) == 640, "the picture itself")
    page.go(f"#/file/{quote('notes/list.txt', safe='')}")
    page.find(".preview-words", "maize")
    page.run(
        "const there = new DataTransfer(); there.items.add(new File(['x'], 'x.txt'));"
        "const how = {dataTransfer: there, bubbles: true, cancelable: true};"
        "document.body.dispatchEvent(new DragEvent('drop', how));"
    )
    page.find(".notice-error", "Your token lets you look and fetch, not change anything.")


def test_a_writer_fetches_and_follows_it_live_then_signs_out(page: Page, guarded: RunningNode) -> None:
    sign_in(page, WRITE)
    page.go(f"#/file/{quote(FAR, safe='')}")
    page.click(".view button", "Copy to this node")
    page.go("#/transfers")
    page.find(".download", "far.bin")
    # Pieces and whose they are come by server-sent events alone.
    wait_for(
        lambda: any("/events" in name for name in requested(page)), "the events of the download are followed"
    )
    wait_for(lambda: (guarded.directory / FAR).exists(), "the file")
    page.click("#sign-out")
    page.find("#token")
    assert "You are signed out" in page.body
    page.open(guarded.url)
    page.find("#token")
    assert page.all(".row") == []


def requested(page: Page) -> list[str]:
    return list(page.run("return performance.getEntriesByType('resource').map((one) => one.name)"))


def test_a_token_that_is_changed_ends_the_session(page: Page, tokens: Path) -> None:
    sign_in(page, READ)
    (tokens / "fresh").write_text(READ + "2")
    (tokens / "fresh").replace(tokens / "read")
    page.find("#token")
    assert "You are signed out" in page.body
    assert all("401" in line for line in page.errors())
    (tokens / "fresh").write_text(READ)
    (tokens / "fresh").replace(tokens / "read")
