"""Two languages, small screens, the keyboard, screen readers, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser import axe
from tests.browser.chromium import NARROW, Page
from tests.browser.conftest import BIG, Village
from tests.waiting import wait_for

pytestmark = pytest.mark.browser

VIEWS = {
    "files": "#/",
    "nothing": "#/?q=nowhere-to-be-found",
    "file": f"#/file/{quote('photos/cloth.png', safe='')}",
    "text": f"#/file/{quote('notes/list.txt', safe='')}",
    "far": f"#/file/{quote(BIG, safe='')}",
    "transfers": "#/transfers",
    "network": "#/network",
    "peer": "#/peer/peer-1",
}
SETTLED = {
    "files": ".row",
    "nothing": ".empty",
    "file": ".preview-picture",
    "text": ".preview-words",
    "far": ".panel",
    "transfers": "h1",
    "network": ".node",
    "peer": ".row",
}


@pytest.fixture(scope="session")
def axe_script() -> str:
    return axe.source()


def test_spanish_is_complete_and_remembered(
    page: Page, village: Village, shoot: Callable[[str], None]
) -> None:
    Select(page.find("#language")).select_by_value("es")
    assert page.text("h1") == "Archivos"
    page.open(village.home.url)
    page.find("h1", "Archivos")
    assert page.run("return document.documentElement.lang") == "es"
    page.find(".row button", "Copiar a este nodo")
    shoot("files-es")


def test_the_browser_s_language_is_taken(page: Page, village: Village) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setUserAgentOverride", {"userAgent": "x", "acceptLanguage": "es-PE,es"}
    )
    try:
        page.open(village.home.url)
        page.find("h1", "Archivos")
        assert page.run("return document.documentElement.lang") == "es"
    finally:
        page.driver.execute_cdp_cmd(
            "Emulation.setUserAgentOverride", {"userAgent": "x", "acceptLanguage": "en"}
        )


def test_both_languages_have_the_same_texts(page: Page) -> None:
    missing = page.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const folder = document.querySelector("script").src.replace(/main.js$/, "");
        Promise.all(["en", "es"].map((one) => import(`${folder}${one}.js`))).then(([en, es]) => {
          const holes = (text) => JSON.stringify((JSON.stringify(text).match(/\\{\\w+\\}/g) ?? []).sort());
          const keys = new Set([...Object.keys(en.default), ...Object.keys(es.default)]);
          done([...keys].filter((key) => !(key in en.default) || !(key in es.default)
            || holes(en.default[key]) !== holes(es.default[key])));
        });
        """
    )
    assert missing == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, axe_script: str, scheme: str) -> None:
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    found = {}
    for view, where in VIEWS.items():
        page.go(where)
        page.find(SETTLED[view])
        found[view] = axe.serious(page, axe_script)
    assert {view: lines for view, lines in found.items() if lines} == {}


@pytest.mark.parametrize("language", ["en", "es"])
def test_nothing_scrolls_sideways_on_a_telephone(
    page: Page, village: Village, language: str, shoot: Callable[[str], None]
) -> None:
    page.size(*NARROW)
    page.run("localStorage.setItem('minga.language', arguments[0])", language)
    page.open(village.home.url)
    found = {}
    for view, where in VIEWS.items():
        page.go(where)
        page.find(SETTLED[view])
        found[view] = page.run(
            "return Math.max(document.documentElement.scrollWidth, document.body.scrollWidth, innerWidth)"
        )
        shoot(f"narrow-{language}-{view}")
    assert found == dict.fromkeys(VIEWS, NARROW[0])


def test_the_keyboard_finds_and_opens_a_file(page: Page) -> None:
    page.find(".row")
    keys = ActionChains(page.driver)
    keys.send_keys("/").perform()
    assert page.run("return document.activeElement.id") == "search"
    keys.send_keys("weather").perform()
    wait_for(lambda: len(page.all(".row")) == 1, "found")
    keys.send_keys(Keys.ARROW_DOWN).perform()
    assert page.run("return document.activeElement.textContent") == "data/weather.csv"
    keys.send_keys(Keys.ENTER).perform()
    page.find("h1", "weather.csv")
    assert page.run("return document.activeElement.tagName") == "H1"


def test_the_first_tab_offers_to_skip_the_frame(page: Page) -> None:
    page.find(".row")
    keys = ActionChains(page.driver)
    keys.send_keys(Keys.TAB).perform()
    assert page.run("return document.activeElement.className") == "skip"
    keys.send_keys(Keys.ENTER).perform()
    assert page.run("return document.activeElement.id") == "content"
    page.find(".row")


def test_news_of_results_reach_a_screen_reader(page: Page) -> None:
    count = page.find(".result-count")
    assert count.get_attribute("role") == "status"
    page.find("#search").send_keys("weather")
    wait_for(lambda: count.text == "1 file", "the count is told")


def test_dark_colours_can_be_chosen_and_stay(
    page: Page, village: Village, shoot: Callable[[str], None]
) -> None:
    before = page.run("return getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    page.open(village.home.url)
    page.find(".row")
    assert page.run("return getComputedStyle(document.body).backgroundColor") != before
    shoot("files-dark")


def test_the_start_is_a_picture_worth_keeping(page: Page, shoot: Callable[[str], None]) -> None:
    page.find("#search").send_keys("harvest")
    wait_for(lambda: len(page.all(".row")) == 6, "the rows of one folder")
    shoot("files")
