"""Chromium, without a window, and pages to show in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service

from routec.cli.main import main

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")

Show = Callable[..., webdriver.Chrome]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs Debian's `chromium` and `chromium-driver`")


@pytest.fixture(scope="session")
def chromium() -> Iterator[webdriver.Chrome]:
    missing = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
    if missing:
        pytest.fail(
            f"the browser tests need {' and '.join(missing)}: apt-get install chromium chromium-driver",
            pytrace=False,
        )
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-device-scale-factor=1",
        "--window-size=1440,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    except WebDriverException as error:
        pytest.fail(f"Chromium does not start: {error.msg}", pytrace=False)
    yield driver
    driver.quit()


@pytest.fixture
def show(chromium: webdriver.Chrome, tmp_path: Path) -> Iterator[Show]:
    """Draws a policy given as text and opens the page; afterwards nothing may have been wrong."""
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def open_page(policy: str, *arguments: str, file: str = "policy.route") -> webdriver.Chrome:
        path, page = tmp_path / file, tmp_path / "page.html"
        path.write_text(policy)
        assert main(["graph", str(path), "-o", str(page), *arguments]) == 0
        chromium.get_log("browser")
        chromium.get_log("performance")
        chromium.get(page.as_uri())
        return chromium

    yield open_page
    assert complaints(chromium) == []
    assert requests(chromium) == []


def complaints(driver: webdriver.Chrome) -> list[Any]:
    """What the console says since the page was opened: errors and warnings, as of the CSP."""
    return [entry for entry in driver.get_log("browser") if entry["level"] != "INFO"]


def requests(driver: webdriver.Chrome) -> list[str]:
    """What the page asked for beside itself."""
    found = []
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return [url for url in found if not url.endswith("/page.html") and not url.startswith("data:")]
