"""The site of the committed notebooks: whole, every link and alt text, and no other host."""

import csv
import json
import re
from urllib.parse import unquote, urlsplit

import pytest
from nbformat import read
from small_notebooks import soup

from fer_utils import ROOT, ledger, series
from fer_utils.__main__ import main

NAMES = [path.stem for path in series.notebooks()]
OTHERS = ("index", "ledger", "results")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """All pages of the site, parsed, by file name."""
    folder = tmp_path_factory.mktemp("site") / "not there yet"
    assert main(["site", "--out", str(folder)]) == 0
    return {path.name: soup(path) for path in folder.iterdir()}


def rows(page):
    """The texts of a page's table, row by row."""
    return [
        [" ".join(cell.text.split()) for cell in row.find_all("td")]
        for row in page.tbody.find_all("tr")
    ]


def places(page):
    """What a link may point to: ids are written as they stand in a link."""
    return {tag["id"] for tag in page.find_all(id=True)}


def test_every_notebook_the_ledger_and_the_results_have_a_page(pages):
    assert sorted(pages) == sorted([f"{name}.html" for name in [*NAMES, *OTHERS]])
    for name in NAMES:
        cells = read(series.FOLDER / f"{name}.ipynb", as_version=4).cells
        assert len(pages[f"{name}.html"].select(".cell")) == len(cells)


def test_every_link_and_anchor_leads_somewhere(pages):
    found = 0
    for name, page in pages.items():
        for link in page.find_all("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme:
                assert parts.scheme == "https" and "." in parts.hostname, link
                _, inside, path = parts.path.partition("/blob/main/")  # also what Colab opens
                assert not inside or (ROOT / path).exists(), link
            else:
                target = pages[parts.path or name]
                assert not parts.fragment or parts.fragment in places(target), f"{name}: {link}"
                found += 1
    assert found > 20 * len(NAMES)


def test_each_page_has_its_navigation_once_and_knows_its_neighbours(pages):
    for page in pages.values():
        assert len(page.select("nav.pages")) == 1
        assert not re.search("[◀▶]", page.main.text)
    for before, after in zip(NAMES, NAMES[1:]):
        assert pages[f"{before}.html"].select_one("a[rel=next]")["href"] == f"{after}.html"
        assert pages[f"{after}.html"].select_one("a[rel=prev]")["href"] == f"{before}.html"


def test_every_picture_is_embedded_and_says_in_words_what_it_shows(pages):
    for name, page in pages.items():
        for picture in page.find_all("img"):
            assert picture["src"].startswith("data:image/png;base64,"), name
            assert len(picture["alt"].split()) >= 4, f"{name}: {picture['alt']!r}"
    for name in NAMES:
        outputs = (
            o for c in read(series.FOLDER / f"{name}.ipynb", 4).cells for o in c.get("outputs", ())
        )
        alts = [o.metadata["image/png"]["alt"] for o in outputs if "image/png" in o.get("data", {})]
        assert [picture["alt"] for picture in pages[f"{name}.html"].find_all("img")] == alts


def test_no_page_asks_another_host(pages):
    for page in pages.values():
        assert not page.find_all(["link", "iframe", "object", "video", "audio", "base"])
        for tag in page.find_all(True):
            asked = {"src", "srcset", "action", "poster", "background", "data"} & tag.attrs.keys()
            assert all(re.match("data:|index.html$", tag[name]) for name in asked), tag.name
        text = "".join(
            tag.string for tag in page.find_all(["style", "script"]) if not tag.get("type")
        )
        assert not re.search(r"url\(|@import|fetch\(|XMLHttp|import\(|https?:", text)


def test_the_index_has_question_and_first_picture_of_each_notebook(pages):
    cards = pages["index.html"].select(".cards li")
    assert [card.a["href"].removesuffix(".html") for card in cards] == NAMES
    for card in cards:
        page = pages[card.a["href"]]
        assert card.a.text == page.h1.text and card.select_one(".question").text in page.text
        assert (card.img["src"], card.img["alt"]) == (page.img["src"], page.img["alt"])


def test_the_ledger_has_every_claim_as_published(pages):
    table = {row["id"]: row for row in pages["ledger.html"].tbody.find_all("tr")}
    claims = ledger.published_claims()
    assert list(table) == list(claims.index)
    for (claim, row), texts in zip(claims.iterrows(), rows(pages["ledger.html"]), strict=True):
        assert (
            texts[0]
            == row["notebook"]
            == (table[claim].a["href"][:2] if table[claim].a else texts[0])
        )
        assert texts[1].startswith(row["the seminar says"]) and texts[3] == row["verdict"]
        assert texts[2].startswith(" ".join(row["measured"].split()))
    said = pages["index.html"].find("a", href="ledger.html", string=re.compile("claims"))
    assert said.text == f"{len(claims)} claims"
    for word, number in claims["verdict"].value_counts().items():
        assert f"{number} {word}" in said.parent.text


def test_the_results_are_those_of_the_file(pages):
    with open(ROOT / "data/published/results.csv", encoding="utf-8", newline="") as file:
        for row, texts in zip(csv.DictReader(file), rows(pages["results.html"]), strict=True):
            assert texts[:3] == [row["name"], row["seed"], row["epochs"]]
            columns = ("validation_accuracy", "test_accuracy", "test_accuracy_clean", "macro_f1")
            expected = [100 * float(row[column]) for column in columns]
            assert [float(text) for text in texts[3:7]] == pytest.approx(expected, abs=0.0056)
            assert texts[7] == f"{int(row['parameters']):,}"
            assert texts[9] == f"{float(row['minutes']):.1f}" and row["device"] in texts[10]


def test_the_search_knows_every_part_of_every_page(pages):
    texts = json.loads(pages["index.html"].find(id="texts").string)
    assert [name for name, *_ in texts] == [*NAMES, "ledger"]
    for name, title, parts in texts:
        page = pages[f"{name}.html"]
        assert title == page.h1.text
        assert {anchor for anchor, _, _ in parts} <= places(page)
        if name in NAMES:
            headings = [tag.text for tag in page.main.find_all(["h1", "h2", "h3"])]
            assert [heading for _, heading, _ in parts] == headings
    (mcnemar,) = [parts for name, _, parts in texts if name.startswith("05")]
    found = [heading for _, heading, text in mcnemar if "McNemar's test" in text]
    assert found and unquote(mcnemar[0][0]).startswith("05")
