"""A headless Chromium for tests of pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from support import programs

QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --use-angle=swiftshader --enable-unsafe-swiftshader"
)
"""No traffic of its own; WebGL, which parallel coordinates need, is computed by the CPU."""


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser with a fresh profile and stop it at the end."""
    program, driver_program = programs.locate("chromium", "chromedriver")
    options = Options()
    options.binary_location = program
    for argument in (*QUIET.split(), f"--user-data-dir={profile}", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_program))
    try:
        yield driver
    finally:
        driver.quit()
