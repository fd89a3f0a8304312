"""A headless Chromium that opens files, where one is installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """A Selenium driver; skips, and says why, where browser, driver or Selenium is missing."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs Selenium: pip install 'ifcurate[dev]'")
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        resize(browser, width, height)
        yield browser
    finally:
        browser.quit()


def resize(browser: Any, width: int, height: int) -> None:
    """The page's own width and height; windows cannot be as narrow as telephones."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(browser: Any, scheme: str) -> None:
    """`light` or `dark`, as a system would ask for it."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def photograph(browser: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    browser.save_screenshot(str(path))


def messages(browser: Any) -> list[str]:
    """What the page wrote to its console since the last call: errors of scripts and of security policy too."""
    return [json.dumps(entry) for entry in browser.get_log("browser")]
