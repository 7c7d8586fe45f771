"""Debian's Chromium, headless, driven through chromedriver; it is watched for errors and for strangers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.waiting import wait_for

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--autoplay-policy=no-user-gesture-required",
)
WIDE = (1280, 900)
NARROW = (360, 760)


class Page:
    """The page of one node in one browser."""

    def __init__(self, driver: Chrome, downloads: Path) -> None:
        self.driver, self.downloads = driver, downloads
        self.origin = ""

    def open(self, origin: str, where: str = "#/") -> None:
        """A fresh load of a view."""
        self.origin = origin
        self.driver.get("about:blank")
        self.driver.get(f"{origin}/{where}")

    def go(self, where: str) -> None:
        """Another view of the page that is open."""
        self.run(
            "history.replaceState(null, '', arguments[0]); dispatchEvent(new HashChangeEvent('hashchange'))",
            where,
        )

    def forget(self, origin: str) -> None:
        """What the page has stored in the browser is gone."""
        kinds = {"origin": origin, "storageTypes": "local_storage"}
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", kinds)

    def size(self, width: int, height: int) -> None:
        """Size of the window's inside, in CSS pixels."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, **features: str) -> None:
        """Media features, such as ``prefers_color_scheme="dark"``."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": named})

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """Of all that there are, in one look: one by one, some may be drawn anew in between."""
        script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText)"
        return [str(text) for text in self.run(script, selector)]

    def text(self, selector: str, text: str = "") -> str:
        """Of the first visible element that contains ``text``, in one look once it is there, without the
        space around it.
        """
        self.find(selector, text)

        def look() -> str:
            return next((one.strip() for one in self.texts(selector) if text in one), "")

        return wait_for(look, f"a text of {selector}", 20)

    def find(self, selector: str, text: str = "", timeout: float = 20) -> WebElement:
        """The first visible element that contains the text, waited for."""

        def look() -> WebElement | None:
            script = (
                "return [...document.querySelectorAll(arguments[0])].find((one) => one.checkVisibility() &&"
                " one.textContent.includes(arguments[1])) ?? null"
            )
            found: WebElement | None = self.run(script, selector, text)
            return found

        found = wait_for(look, f"{selector} with {text!r} in {self.body}", timeout)
        assert found is not None
        return found

    def click(self, selector: str, text: str = "") -> None:
        """Clicks it, once more if it is drawn anew in that moment."""
        try:
            self.find(selector, text).click()
        except StaleElementReferenceException:
            self.find(selector, text).click()

    def gone(self, selector: str, timeout: float = 10) -> None:
        wait_for(lambda: not self.all(selector), f"no {selector}", timeout)

    @property
    def body(self) -> str:
        return str(self.run("return document.body.innerText"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.driver.get_log(kind))  # type: ignore[no-untyped-call]

    def errors(self) -> list[str]:
        """What the console has complained about since the last call."""
        return [str(entry["message"]) for entry in self.log("browser") if entry["level"] == "SEVERE"]

    def strangers(self) -> list[str]:
        """Addresses the page asked since the last call that are not the node's."""
        found = []
        for entry in self.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = urlsplit(message["params"]["request"]["url"])
                if (
                    url.scheme not in {"about", "data", "blob"}
                    and f"{url.scheme}://{url.netloc}" != self.origin
                ):
                    found.append(url.geturl())
        return found


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with a profile and a download folder of its own below ``profile``."""
    downloads = profile / "downloads"
    downloads.mkdir(parents=True)
    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in (*FLAGS, f"--user-data-dir={profile / 'data'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options, Service(DRIVER))
    try:
        # axe takes a while over a long page on a busy machine.
        driver.set_script_timeout(120)
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)}
        )
        page = Page(driver, downloads)
        page.size(*WIDE)
        yield page
    finally:
        driver.quit()
