"""What the page shows while bytes move: pieces, origins, the map; and previews over ranges."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.browser.chromium import Page
from tests.browser.conftest import BIG, Village
from tests.waiting import wait_for

pytestmark = pytest.mark.browser


def test_a_download_is_seen_piece_by_piece_and_from_whom(
    page: Page, village: Village, shoot: Callable[[str], None]
) -> None:
    page.go("#/?q=llama")
    wait_for(lambda: page.texts(".row-name") == [BIG], "its row alone")
    page.click(".row button", "Copy to this node")
    page.go("#/transfers")
    card = page.find(".download[data-state=running]")
    page.find(".weave")

    own = (
        "const cards = [...document.querySelectorAll('.download')];"
        "const card = cards.find((one) => one.textContent.includes('llama'));"
    )

    def share() -> float:
        return float(page.run(own + "return card.querySelector('progress').value"))

    def cells() -> int:
        """Pieces in its cloth, by all threads together."""
        drawn = page.run(
            own + "return [...card.querySelectorAll('.weave path:not(.weave-ground)')]"
            ".map((one) => one.getAttribute('d'))"
        )
        return sum(path.count("M") for path in drawn)

    first, pieces = share(), cells()
    wait_for(lambda: share() > first and cells() > pieces, "progress")
    threads = ".weave path:not(.weave-ground)"
    wait_for(lambda: len(page.all(threads)) >= 2, "threads of several holders")
    wait_for(lambda: share() > 0.4, "a good part")
    shoot("transfers")
    assert re.search("from [23] peers", card.text)
    page.go("#/network")
    wait_for(lambda: len(page.all("path.transfer")) >= 2, "transfers on the map")
    page.prefer(prefers_color_scheme="dark")
    page.find(".panel", "MB/s")
    shoot("network-dark")
    page.prefer(prefers_color_scheme="light")
    page.go("#/transfers")
    page.find(".download[data-state=complete]", "llama")
    total = village.home.get(f"/api/v1/files?name={BIG}")["files"][0]["pieces"]
    wait_for(lambda: cells() == total, "the whole cloth")
    assert re.search(r"seed-0\s+[\d.]+ MB · \d\d?%", page.text(".download", "llama"))
    assert (village.home.directory / BIG).read_bytes() == (village.seed.directory / BIG).read_bytes()


def test_a_running_download_can_be_cancelled(page: Page, village: Village) -> None:
    started = village.other.request("DELETE", f"/files/{quote('photos/far.png')}").status
    assert started == 204
    village.seed.put("slow.bin", os.urandom(24 * 2**20))
    wait_for(lambda: "slow.bin" in village.home.names("slow"), "known")
    village.home.request("POST", "/api/v1/downloads", json={"name": "slow.bin"})
    page.go("#/transfers")
    page.click(".download[data-state=running] button", "Cancel")
    page.find(".download[data-state=cancelled]")
    assert not (village.home.directory / "slow.bin").exists()


def test_an_image_that_is_here_is_shown(page: Page, village: Village, shoot: Callable[[str], None]) -> None:
    page.go(f"#/file/{quote('photos/cloth.png', safe='')}")
    page.find(".preview-picture")
    shape = (
        "const one = document.querySelector('.preview-picture'); return [one.naturalWidth, one.naturalHeight]"
    )
    wait_for(lambda: page.run(shape) == [640, 400], f"decoded: {page.run(shape)} {page.errors()}")
    shoot("file")


def test_a_sound_can_be_played(page: Page, village: Village) -> None:
    page.go(f"#/file/{quote('music/a.wav', safe='')}")
    page.find("audio")
    page.run("document.querySelector('audio').muted = true; document.querySelector('audio').play()")
    wait_for(lambda: page.run("return document.querySelector('audio').currentTime") > 0.2, "it plays")


def test_text_is_shown_as_text(page: Page, village: Village) -> None:
    page.go(f"#/file/{quote('notes/list.txt', safe='')}")
    assert page.text(".preview-words", "maize") == "maize"


def test_a_film_is_watched_by_ranges_while_it_is_fetched(page: Page, village: Village) -> None:
    """The film is made by the browser itself: a canvas, recorded."""
    film = page.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const canvas = document.createElement("canvas");
        canvas.width = 320; canvas.height = 200;
        const brush = canvas.getContext("2d");
        const recorder = new MediaRecorder(canvas.captureStream(25), {mimeType: "video/webm;codecs=vp8"});
        const parts = [];
        recorder.ondataavailable = (event) => parts.push(event.data);
        recorder.onstop = async () => {
          const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
          done(btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join("")));
        };
        let n = 0;
        const timer = setInterval(() => {
          brush.fillStyle = `hsl(${n * 12} 60% 50%)`;
          brush.fillRect((n * 7) % 320, (n * 5) % 200, 60, 60);
          n += 1;
          if (n === 60) { clearInterval(timer); recorder.stop(); }
        }, 40);
        recorder.start();
        """
    )
    content = base64.b64decode(film)
    village.other.put("film/weaving.webm", content)
    wait_for(lambda: "film/weaving.webm" in village.home.names("weaving"), "known")
    page.go(f"#/file/{quote('film/weaving.webm', safe='')}")
    page.click("button", "Watch")
    page.find("video")
    page.run("document.querySelector('video').muted = true; document.querySelector('video').play()")
    wait_for(lambda: page.run("return document.querySelector('video').currentTime") > 0.3, "it plays")
    wait_for(lambda: (village.home.directory / "film/weaving.webm").exists(), "it is here now")
    assert (village.home.directory / "film/weaving.webm").read_bytes() == content


def test_the_map_marks_seeds_the_broker_and_this_node(page: Page) -> None:
    page.go("#/network")
    page.find(".node", "peer-2")
    page.find(".broker:not(.broker-down)", "RabbitMQ")
    seeds = page.run(
        "return [...document.querySelectorAll('.node:has(rect) text')].map((one) => one.textContent)"
    )
    own = page.run("return [...document.querySelectorAll('.node-self text')].map((one) => one.textContent)")
    assert (seeds, own) == (["seed-0"], ["peer-0"])
    page.click(".node", "peer-1")
    page.find("h1", "peer-1")
    page.find(".row-name", "many/000.csv")
    assert not [row for row in page.all(".row-name") if "weather" in row.text]


def test_colours_are_used_evenly(page: Page) -> None:
    """Of a hundred peers ten have each colour, so that neighbours on the map can be told apart."""
    counts = page.run(
        "const main = document.querySelector('script[src$=\"main.js\"]').src;"
        "return import(main.replace('main.js', 'colours.js') + '?fresh').then(({ know, thread }) => {"
        "  const peers = Array.from({ length: 100 }, (_, n) => `peer-${n}`);"
        "  know(peers);"
        "  const counts = {};"
        "  for (const peer of peers) counts[thread(peer)] = (counts[thread(peer)] ?? 0) + 1;"
        "  return Object.values(counts);"
        "})"
    )
    assert counts == [10] * 10
