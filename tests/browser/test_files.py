"""Finding, fetching, saving and sharing files with the page of a node."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.chromium import Page
from tests.browser.conftest import BIG, MANY, MIB, Village
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


def names(page: Page) -> list[str]:
    return list(page.run("return [...document.querySelectorAll('.row-name')].map((row) => row.textContent)"))


def search(page: Page, words: str, *expected: str) -> None:
    """Types words, and waits for the rows that should come."""
    field = page.find("#search")
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(words or Keys.DELETE)
    if expected:
        wait_for(lambda: names(page) == list(expected), f"{expected}, not {names(page)}")


def test_typing_shows_what_matches_and_clearing_shows_all(page: Page) -> None:
    search(page, "llama", BIG)
    search(page, "")
    wait_for(lambda: len(names(page)) > 10, "all rows")


def test_nothing_found_is_said_in_words(page: Page) -> None:
    search(page, "nowhere-to-be-found")
    assert "nowhere-to-be-found" in page.text(".empty")
    assert names(page) == []


def test_fast_typing_asks_once_or_twice(page: Page) -> None:
    page.find(".row")
    page.run("performance.clearResourceTimings()")
    search(page, "weather", "data/weather.csv")
    asked = page.run(
        "return performance.getEntriesByType('resource').filter((one) => /[?&]q=w/.test(one.name)).length"
    )
    assert 1 <= asked <= 3


def test_the_answer_to_an_older_question_never_wins(page: Page) -> None:
    page.find(".row")
    # The first of two searches takes longer than the second.
    page.run(
        "const real = window.fetch;"
        "window.fetch = async (url, options) => {"
        "  if (!String(url).includes('q=slow')) return real(url, options);"
        "  window.begun = true;"
        "  await new Promise((resolve) => setTimeout(resolve, 800));"
        "  try { return await real(url.replace('slow', 'llama')); } finally { window.late = true; } };"
    )
    search(page, "slow")
    wait_for(lambda: page.run("return window.begun"), "the slow one is on its way")
    search(page, "weather", "data/weather.csv")
    wait_for(lambda: page.run("return window.late"), "the older answer came too")
    assert names(page) == ["data/weather.csv"]


def test_this_node_alone_can_be_searched(page: Page) -> None:
    page.find(".row-name", "docs/welcome.md")
    page.click(".choice", "This node")
    wait_for(
        lambda: set(names(page)) >= {"photos/cloth.png"} and "data/weather.csv" not in names(page), "local"
    )


def choose(page: Page, what: str, option: str) -> None:
    Select(page.find(f".refine select[name={what}]")).select_by_visible_text(option)


def test_a_search_is_narrowed_down_and_sorted_and_its_address_says_so(page: Page, village: Village) -> None:
    page.find(".row-name", "docs/welcome.md")
    choose(page, "kind", "Images")
    wait_for(lambda: all(name.endswith(".png") for name in names(page)), "pictures alone")
    assert len(names(page)) >= 3
    choose(page, "kind", "Any kind")
    choose(page, "sort", "Largest first")
    wait_for(lambda: names(page)[:1] == [BIG], "the largest file first")
    choose(page, "size", "1 to 100 MB")
    wait_for(lambda: "docs/welcome.md" not in names(page), "no small files")
    where = page.run("return location.hash")
    assert "sort=large" in where
    page.open(village.home.url, where.replace("size=medium", "size=small&kind=text"))
    wait_for(lambda: "docs/welcome.md" in names(page) and BIG not in names(page), "what the address says")
    sizes = [
        row["size"]
        for row in village.home.get("/api/v1/files?media_type=text/*&max_size=1000000&limit=50&sort=-size")[
            "files"
        ]
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert Select(page.find(".refine select[name=sort]")).first_selected_option.text == "Largest first"


def test_a_search_that_is_too_narrow_is_widened_by_a_button(page: Page) -> None:
    page.find(".row")
    choose(page, "size", "From 1 GB")
    assert "Nothing that is shared is like this" in page.text(".empty")
    page.click(".empty button", "Show everything")
    wait_for(lambda: len(names(page)) > 10, "all rows")
    assert "size=" not in page.run("return location.href")


def test_what_nobody_online_has_can_be_left_out(page: Page) -> None:
    page.find(".row")
    page.click(".refine-available", "Available now")
    wait_for(lambda: "available=1" in page.run("return location.href"), "the address says it")
    wait_for(lambda: len(names(page)) > 10, "the rest")
    assert not page.driver.find_elements(By.CSS_SELECTOR, ".badge-away")


def test_more_rows_come_by_cursor_without_repeats(page: Page) -> None:
    search(page, "many/")
    wait_for(lambda: len([name for name in names(page) if name.startswith("many/")]) == 50, "a first page")
    page.click(".more")
    wait_for(lambda: len(names(page)) == 100, "a second page")
    page.click(".more")
    wait_for(lambda: len(names(page)) == MANY, "the rest")
    assert sorted(set(names(page))) == [f"many/{n:03}.csv" for n in range(MANY)]
    assert not page.find(".files").find_element(By.CSS_SELECTOR, ".more").is_displayed()


def test_a_search_has_an_address(page: Page, village: Village) -> None:
    page.go("#/?q=weather")
    wait_for(lambda: names(page) == ["data/weather.csv"], "the row")
    assert page.find("#search").get_attribute("value") == "weather"


def test_a_file_is_fetched_to_the_node_and_saved_byte_by_byte(page: Page, village: Village) -> None:
    search(page, "docs/Información", "docs/Información.txt")
    page.click(".row button", "Copy to this node")
    page.find(".row .badge-here")
    wanted = (village.other.directory / "docs/Información.txt").read_bytes()
    assert (village.home.directory / "docs/Información.txt").read_bytes() == wanted
    page.click(".row-name")
    page.click("a.button", "Download")
    saved = page.downloads / "Información.txt"
    wait_for(lambda: saved.exists() and saved.read_bytes() == wanted, "the saved file")


def test_a_chosen_file_is_shared_with_progress(page: Page, village: Village, tmp_path: Path) -> None:
    content = bytes(range(256)) * (6 * MIB // 256)
    (tmp_path / "chosen.bin").write_bytes(content)
    page.find(".row")
    # Slow the browser's network, so that there is a way to watch.
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 3 * MIB}
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", conditions)
    try:
        page.driver.find_element(By.ID, "chooser").send_keys(str(tmp_path / "chosen.bin"))
        wait_for(
            lambda: 0 < page.run("return document.querySelector('.upload progress').value") < 1,
            "part of it",
            10,
        )
        page.find(".upload-done", "Shared")
    finally:
        page.driver.execute_cdp_cmd(
            "Network.emulateNetworkConditions", {**conditions, "uploadThroughput": -1}
        )
    assert (village.home.directory / "chosen.bin").read_bytes() == content
    wait_for(lambda: "chosen.bin" in village.third.names("chosen"), "everybody finds it")


def test_a_dropped_file_is_shared(page: Page, village: Village) -> None:
    page.find(".row")
    page.run(
        "const carried = new DataTransfer();"
        "carried.items.add(new File(['dropped words'], 'dropped.txt', {type: 'text/plain'}));"
        "const drag = (kind) => document.body.dispatchEvent("
        "  new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: carried}));"
        "drag('dragenter'); drag('dragover');"
        "window.curtain = !document.querySelector('.curtain').hidden;"
        "drag('drop');"
    )
    assert page.run("return window.curtain")
    page.find(".upload-done", "Shared")
    assert (village.home.directory / "dropped.txt").read_bytes() == b"dropped words"


def test_a_file_of_the_same_name_is_only_replaced_when_asked(
    page: Page, village: Village, tmp_path: Path
) -> None:
    village.home.put("twice.txt", b"first")
    (tmp_path / "twice.txt").write_bytes(b"second")
    page.find(".row")
    page.driver.find_element(By.ID, "chooser").send_keys(str(tmp_path / "twice.txt"))
    replace = page.find(".notice-error button", "Replace")
    assert (village.home.directory / "twice.txt").read_bytes() == b"first"
    assert [error for error in page.errors() if "412" not in error] == []
    replace.click()
    page.find(".upload-done", "Shared")
    assert (village.home.directory / "twice.txt").read_bytes() == b"second"


def test_a_file_is_removed_after_a_question(page: Page, village: Village) -> None:
    village.home.put("old.txt", b"old")
    page.go("#/file/old.txt")
    page.click("button", "Remove")
    page.click("dialog button", "Cancel")
    page.gone("dialog")
    assert (village.home.directory / "old.txt").exists()
    page.click("button", "Remove")
    page.click("dialog .button-danger", "Remove")
    page.find(".problem", "Nobody shares this file any more")
    assert not (village.home.directory / "old.txt").exists()


def test_a_file_page_tells_all_about_it(page: Page, village: Village) -> None:
    file = village.home.get(f"/api/v1/files?name={BIG}")["files"][0]
    page.go(f"#/file/{BIG.replace('/', '%2F')}?id={file['id']}")
    page.find(".panel", file["id"])
    text = page.body
    for part in (
        "50.3 MB",
        f"{file['pieces']} of at most",
        "3 holders",
        "seed-0",
        "peer-1",
        "peer-2",
        f"minga get {BIG} --id",
    ):
        assert part in text, part


def test_the_sha256_is_shown_once_it_is_known(page: Page, village: Village) -> None:
    village.home.put("sums/known.txt", b"known")
    page.go("#/file/sums%2Fknown.txt")
    panel = page.find(".panel", hashlib.sha256(b"known").hexdigest(), timeout=90)
    assert "SHA-256" in panel.text


def test_a_batch_is_shown_with_its_count_and_no_link(page: Page, village: Village) -> None:
    rows = village.home.get("/api/v1/files?q=many/&prefix=true&limit=1000")["files"]
    files = [{"name": row["name"], "id": row["id"], "size": row["size"]} for row in rows]
    village.home.request("POST", "/api/v1/downloads", json={"files": files})
    page.go("#/transfers")
    card = page.find(".download[data-state=complete]", "many/")
    assert f"{len(files)} of {len(files)} files" in card.text
    assert page.run("return arguments[0].querySelector('h2 a')", card) is None
    page.find(".download .sources", "peer-1")


def test_the_page_of_a_peer_says_what_it_holds(page: Page, village: Village) -> None:
    about = village.seed.get("/api/v1/node")
    page.go("#/peer/seed-0")
    page.find(".panel", f"Holds{about['files']} files, ")
    held = {row["name"] for row in village.seed.get("/api/v1/files?scope=local&limit=1000")["files"]}
    wait_for(lambda: set(names(page)) == held, "all that it holds, and nothing else")
    assert page.text("h1") == "seed-0"


def test_why_a_download_is_slow_is_said_in_spanish(page: Page, village: Village) -> None:
    page.run("localStorage.setItem('minga.language', 'es')")
    page.open(village.home.url, "#/transfers")
    wanted = {"name": "harvest/seeds.tar.zst", "limit": 200_000}
    begun = village.home.request("POST", "/api/v1/downloads", json=wanted).json()
    why = page.find(".download .card-why", "frenado por su propio límite")
    assert why.text.endswith("frenado por su propio límite")
    village.home.request("DELETE", f"/api/v1/downloads/{begun['id']}")


def test_a_node_that_stops_is_said_to_be_gone(page: Page, village: Village) -> None:
    guest = village.nodes.start(
        "guest", village.seed, files={"guest.txt": b"hello"}, network="library"
    ).ready()
    page.open(guest.url)
    page.find(".row-name", "guest.txt")
    guest.kill()
    page.find(".problem", "does not answer")
    page.find(".foot", "does not answer")
    page.open(village.home.url)
    page.find(".row")
    errors = page.errors()
    assert all(
        "ERR_CONNECTION_REFUSED" in error or "ERR_SOCKET" in error or "ERR_" in error for error in errors
    ), errors
    page.log("performance")


def test_assets_are_kept_forever_and_the_start_is_asked_anew(page: Page, village: Village) -> None:
    start = village.home.request("GET", "/")
    again = village.home.request("GET", "/", headers={"If-None-Match": start.headers["ETag"]})
    assert (start.status, again.status) == (200, 304)
    script = page.run("return document.querySelector('script').getAttribute('src')")
    asset = village.home.request("GET", f"/{script}")
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.headers["X-Content-Type-Options"] == "nosniff"
    old = village.home.request("GET", "/page/0000000000000000/main.js")
    assert old.status == 404
    assert json.loads(old.data)["type"].endswith("not-found")
