"""A browser for the tests of this folder, and a place for what it showed."""

import shutil
from urllib.parse import urlsplit

import pytest

from fer_utils import ROOT

PATIENCE = 600_000  # milliseconds until a test gives up; a busy machine is slow, not broken
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; it ends with the module, for it keeps the thread's event loop."""
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install -e '.[browser]'")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip(f"no Chromium: none of {', '.join(BROWSERS)} is in PATH (apt-get has it)")
    with api.sync_playwright() as playwright:
        # Its sandbox refuses root, and it visits nothing but what these tests serve.
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def open_page(browser):
    """A function: (width, height, scheme) -> a page and the set of hosts that it asks."""

    def open_page(width, height, scheme="light"):
        view = {"width": width, "height": height}
        page, hosts = browser.new_page(viewport=view, color_scheme=scheme), set()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
        return page, hosts

    return open_page


@pytest.fixture(scope="session")
def screenshots():
    """The folder where screenshots stay for a look; git ignores it."""
    folder = ROOT / "data" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
