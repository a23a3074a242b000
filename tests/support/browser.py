"""A headless Chromium for tests of pages. Installs Debian's packages where they are missing."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PACKAGES = ("chromium", "chromium-driver")
QUIET = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --use-angle=swiftshader --enable-unsafe-swiftshader"
)
"""No traffic of its own; WebGL, which parallel coordinates need, is computed by the CPU."""


class NoBrowser(Exception):
    """Chromium is missing and could not be installed."""


def ensure() -> None:
    """Install Chromium and its driver unless both are there.

    Raises:
        NoBrowser: with what a person has to do.
    """
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return
    if not shutil.which("apt-get"):
        raise NoBrowser("the report's tests need the programs chromium and chromedriver on PATH")
    for command in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(["apt-get", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:]
            raise NoBrowser(f"{PACKAGES} are missing and apt-get could not install them: {reason}")


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser with a fresh profile and stop it at the end."""
    options = Options()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (*QUIET.split(), f"--user-data-dir={profile}", "--window-size=1280,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()
