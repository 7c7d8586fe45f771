"""What others chose, names and contents, is never more than words on the page."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import FOREIGN, Village
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


def test_a_name_that_is_markup_stays_words_everywhere(page: Page, village: Village) -> None:
    page.go(f"#/?q={quote('<img')}")
    wait_for(lambda: page.texts(".row-name") == [FOREIGN], "its row alone")
    page.click(".row button", "Copy to this node")
    page.find(".notice", FOREIGN)
    page.find(".badge-here")
    page.go("#/transfers")
    page.find(".download", FOREIGN)
    page.go(f"#/file/{quote(FOREIGN, safe='')}")
    assert page.text("h1") == FOREIGN
    assert page.text(".preview-words", "owned") == "<script>document.title = 'owned'</script>"
    assert "owned" not in page.driver.title.replace(FOREIGN, "")
    assert page.all("main img, main script, main iframe") == []


def test_a_page_among_the_files_runs_nothing(page: Page, village: Village) -> None:
    village.home.put("evil.html", b"<title>calm</title><script>document.title = 'owned'</script>")
    page.driver.get(f"{village.home.url}/files/evil.html")
    wait_for(lambda: page.driver.title == "calm", "loaded")
    assert page.run("return document.title") == "calm"
    assert any("sandbox" in error or "Content Security" in error for error in page.errors())
    page.strangers()


def test_markup_from_a_script_is_refused_by_the_policy(page: Page) -> None:
    """Trusted Types: even a mistake of ours could not turn text into elements."""
    refused = page.run(
        "try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (error) { return error.name }"
    )
    assert refused == "TypeError"
    assert all("TrustedHTML" in error for error in page.errors())


@pytest.mark.parametrize("kind", ["inline", "foreign"])
def test_other_scripts_do_not_run(page: Page, kind: str) -> None:
    script = {
        "inline": "one.textContent = 'window.owned = 1'",
        "foreign": "one.src = 'data:text/javascript,window.owned=1'",
    }[kind]
    done = page.run(
        f"try {{ const one = document.createElement('script'); {script}; document.head.append(one) }}"
        "catch (error) { return error.name } return 'appended'"
    )
    assert done == "TypeError"
    assert page.run("return window.owned ?? null") is None
    page.errors()
