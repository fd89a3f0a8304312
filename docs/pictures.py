"""The pictures of the README: the report of a run in a browser, and `ifcurate inspect` in a terminal.

    python docs/pictures.py RUN OUT

needs Chromium with its driver, and Selenium. `make pictures` takes the demo's run.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from selenium import webdriver

from ifcurate.pipelines.inspect import inspect
from ifcurate.pipelines.inspect_config import InspectConfig
from ifcurate.report.terminal import coloured

WIDTH = 1200
COLUMNS = 104
DOCUMENTS = 3


def main(run: Path, out: Path) -> None:
    with chromium() as browser:
        browser.get((run / "report.html").resolve().as_uri())
        photograph(browser, "light", 1120, None, out / "report.png")
        reveal = "for (const card of cards.slice(0, 4)) setVeil(card, false)"
        browser.execute_script(f"{reveal}; document.getElementById('choice').style.position = 'static'")
        photograph(browser, "dark", 900, "documents-title", out / "report-documents.png")
    (out / "terminal.svg").write_text(terminal(run), encoding="utf-8")


@contextmanager
def chromium() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def photograph(browser: Any, scheme: str, height: int, element: str | None, path: Path) -> None:
    """The page from its top, or from an element on."""
    metrics = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    script = "document.documentElement.style.scrollBehavior = 'auto';" + (
        "window.scrollTo(0, 0)"
        if element is None
        else f"window.scrollTo(0, document.getElementById('{element}').getBoundingClientRect().top + scrollY - 24)"
    )
    browser.execute_script(script)
    browser.save_screenshot(str(path))


def terminal(run: Path) -> str:
    """What `ifcurate inspect` prints, as SVG that loads no font from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(f"$ ifcurate inspect RUN --top {DOCUMENTS}", style="bold", highlight=False)
    for text in coloured(inspect(InspectConfig(run=str(run), top=DOCUMENTS))):
        console.print(text)
    drawn = console.export_svg(title="ifcurate inspect", unique_id="terminal")
    drawn = re.sub(r"<!-- .*? -->\n*", "", drawn)
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.S).replace("Fira Code,", "")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
