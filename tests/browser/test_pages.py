"""The pages that the series writes, in a browser: they fit, stay at home, and all can read them."""

import functools
import http.server
import importlib.resources
import threading
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from fer_utils import report, series, site

# Colours do not depend on the width, nor the layout on the colours.
VIEWS = [(1200, "light"), (400, "dark")]
# Of the words of code that can be seen, the first of each kind keeps its colour: the others of a
# page would have the same, and take most of the time.
SERIOUS = """async () => {
  const kinds = new Set();
  for (const word of document.querySelectorAll(".highlight span[class]"))
    if (kinds.has(word.className)) word.replaceWith(word.textContent);
    else if (word.checkVisibility()) kinds.add(word.className);
  return (await axe.run({resultTypes: ["violations"]})).violations
  .filter(found => ["serious", "critical"].includes(found.impact))
  .map(found => `${found.id}, ${found.nodes.length} times: ${found.nodes[0].html.slice(0, 200)}`)
}"""
SIDEWAYS = "document.scrollingElement.scrollWidth - innerWidth"
CUT = """[...document.querySelectorAll('table[id*=Whatwilldecide], table[id*=Theseminarand]')]
  .filter(table => table.offsetWidth > table.parentElement.clientWidth).map(table => table.id)"""
OVERLAP = """[...document.querySelectorAll('th, td')]
  .filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"""
LINKS = "[...document.querySelectorAll('a[href]')].map(link => link.href)"
PLACES = "[...document.querySelectorAll('[id]')].map(place => place.id)"


def write_report(folder):
    """The report of a run of some notebooks; the site has all, by the same code."""
    chosen = series.notebooks()[4:6]
    shown = report.Report(folder, chosen, about="As committed")
    for notebook in chosen:
        shown.add(notebook.stem, notebook, "done", 60.0)
    shown.write("index")


# What is tested: a name, and what writes it into a folder.
WRITERS = {"report": write_report, "site": site.write_site}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *arguments):
        """Nothing."""


@pytest.fixture(scope="module", params=WRITERS)
def site(request, browser, tmp_path_factory):
    """Pages on a server of their own: name, address, and the pages' paths."""
    folder = tmp_path_factory.mktemp(request.param)
    WRITERS[request.param](folder)
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.html"))]
        yield request.param, f"http://127.0.0.1:{server.server_port}/", paths
        server.shutdown()


@pytest.mark.parametrize("width, scheme", VIEWS)
def test_pages_fit_stay_at_home_and_all_can_read_them(
    width, scheme, site, open_page, screenshots, subtests
):
    pytest.importorskip("axe_playwright_python", reason="needs pip install -e '.[browser]'")
    axe = importlib.resources.files("axe_playwright_python") / "axe.min.js"
    name, address, paths = site
    page, hosts = open_page(width, 800, scheme)
    for path in paths:
        with subtests.test(path):
            page.goto(address + path)
            stem = path.removesuffix(".html").replace("/", "-")
            page.screenshot(path=screenshots / f"{name}-{stem}-{width}.jpg", full_page=True)
            assert page.evaluate(SIDEWAYS) <= 0, "it scrolls sideways"
            assert page.evaluate(CUT) == [], "verdicts that one has to scroll for"
            assert page.evaluate(OVERLAP) == [], "words that reach into the next cell"
            assert hosts == {urlsplit(address).hostname}
            page.evaluate(axe.read_text("utf-8"))
            assert page.evaluate(SERIOUS) == []


def test_every_link_leads_somewhere(site, open_page):
    _, address, paths = site
    page, _ = open_page(1200, 800)
    todo, places, links = [address + "index.html"], {}, set()
    while todo:
        here = todo.pop()
        assert page.goto(here).ok, f"no such page: {here}"
        places[here] = set(page.evaluate(PLACES)) | {""}
        links |= {(here, link) for link in page.evaluate(LINKS)}
        inside = {urldefrag(link).url for _, link in links if link.startswith(address)}
        todo = sorted(inside - places.keys())
    assert set(places) == {address + path for path in paths}, "a page that no link leads to"
    for here, link in links:
        target, place = urldefrag(link)
        if target in places:
            assert {place, unquote(place)} & places[target], f"{here} links to {link}"
        else:
            parts = urlsplit(link)
            assert parts.scheme == "https" and "." in parts.hostname, f"{here} links to {link}"


def test_search_finds_a_part_from_any_page_and_leads_there(site, open_page, screenshots):
    _, address, paths = site
    page, _ = open_page(1200, 800)
    page.goto(address + paths[1])
    page.get_by_role("searchbox").fill("mcnemar's TEST")
    page.get_by_role("searchbox").press("Enter")
    page.wait_for_url("**/index.html?q=*")
    first = page.locator("#found li").first
    assert "McNemar's" in first.locator("mark").inner_text()
    page.screenshot(path=screenshots / "site-search.png")
    heading = first.locator("a").inner_text().split(": ", 1)[1]
    first.locator("a").click()
    place = page.get_by_role("heading", name=heading, exact=True)
    place.wait_for()
    assert 0 <= place.bounding_box()["y"] < 400
    page.goto(f"{address}index.html?q=nosuchword")
    assert page.locator("#found").inner_text().startswith("0 places")


def test_colours_change_and_stay(site, open_page):
    _, address, paths = site
    page, _ = open_page(400, 800, "dark")
    page.goto(f"{address}index.html")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch to light colours").click()
    light = page.evaluate(ground)
    assert light == "rgb(255, 255, 255)" != dark
    page.goto(address + paths[1])
    assert page.evaluate(ground) == light
    page.get_by_role("button", name="Switch to dark colours").click()
    assert page.evaluate(ground) == dark


def test_code_folds_and_copies(site, open_page):
    _, address, paths = site
    page, _ = open_page(1200, 800)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(address + paths[1])
    cell = page.locator(".code_cell:visible").first
    code = cell.locator("pre").first
    cell.get_by_role("button", name="Copy").click()
    cell.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == code.text_content()
    cell.get_by_text("Code", exact=True).click()
    assert not code.is_visible()
    page.get_by_role("button", name="Fold code").click()
    assert page.locator(".input pre:visible").count() == 0
    page.get_by_role("button", name="Unfold code").click()
    assert code.is_visible()
