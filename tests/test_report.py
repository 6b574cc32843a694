"""The report shows formulas, links, figures and states, and needs no network."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from small_notebooks import soup

from fer_utils import report, series

MARKDOWN = r"""# 01 · Faces

First a statement. Could *you* sort these < faces?

Inline $p_k = e^{z_k}$ and $a_i < b_i$, but `code_span $x_1$` stays.

$$
\begin{aligned} L &= -\log p_y \\ g &= (p - y)\,x^\top \end{aligned}
$$

[next](02_two.ipynb#part) [elsewhere](https://example.org) [file](../data/README.md)

<details><summary>Solution</summary>

`1 + 1`

</details>
"""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)


def page_of(markdown, *outputs, **options):
    cells = [new_markdown_cell(markdown), new_code_cell("show()", outputs=list(outputs))]
    return report.notebook_body(new_notebook(cells=cells), ["01_one", "02_two"], **options)


def test_formulas_become_mathml():
    page = page_of(MARKDOWN)
    inline, comparison, block = page.find_all("math")
    assert inline.msub.text == "pk" and block["display"] == "block"
    assert comparison.mo.text == "<"
    assert len(block.find_all("mtr")) == 2 and "&" not in block.text
    assert "code_span $x_1$" in [code.text for code in page.find_all("code")]
    assert "$" not in page.get_text().replace("code_span $x_1$", "")
    assert not page.select(".formula")


@pytest.mark.parametrize("formula", [r"\bad{", r"\nosuchcommand x"])
def test_a_formula_that_cannot_be_read_is_shown_as_it_is(formula):
    assert page_of(f"Look: ${formula}$").select_one("code.formula").text == formula


def test_links_and_alternative_texts():
    output = new_output(
        "display_data",
        data={"image/png": PIXEL, "text/plain": "<Figure>"},
        metadata={"image/png": {"alt": 'Bars: "happy" is the tallest.'}},
    )
    page = page_of(MARKDOWN, output)
    assert page.img["alt"] == 'Bars: "happy" is the tallest.'
    links = {link.text: link["href"] for link in page.find_all("a") if link.text}
    assert links == {"next": "02_two.html#part", "elsewhere": "https://example.org"}
    assert "1 + 1" in page.details.text


def test_other_files_are_links_where_the_repository_has_an_address():
    links = page_of(MARKDOWN, repository="https://github.com/us/faces").find_all("a", href=True)
    assert links[-1]["href"] == "https://github.com/us/faces/blob/main/notebooks/../data/README.md"


def test_lines_of_navigation_and_badges_are_left_out():
    badge = "[![Open in Colab](https://example.org/badge.svg)](https://example.org/one)"
    top = "◀ [one](01_one.ipynb) ·\n[two](02_two.ipynb) ▶"
    links = "[Open in Colab](https://example.org) · [Open in Kaggle](https://example.org)"
    lines = "# 01 · Faces", badge, links, top, "A [link](02_two.ipynb) stays."
    page = page_of("\n\n".join(lines))
    assert not page.img and [link.text for link in page.find_all("a") if link.text] == ["link"]


def test_report_is_complete_and_needs_no_network(write, tmp_path):
    code = (
        "from IPython.display import Image, display\nimport base64, pandas\n"
        f"image = Image(base64.b64decode({PIXEL!r}))\n"
        "display(image, metadata={'image/png': {'alt': 'Dot'}})\n"
        "pandas.DataFrame({'recall': [0.5]})"
    )
    write("01_one", code, heading=MARKDOWN)
    write("02_two", heading="# 02 · Two & more\n\nWhy?")
    index = series.run(out=tmp_path / "out", profile="smoke")
    pages = {path.name: soup(path) for path in sorted(index.parent.glob("*.html"))}
    assert list(pages) == ["01_one.html", "02_two.html", "index.html"]
    for page in pages.values():
        assert not page.find_all(["iframe", "link"]) and not page.select("script[src]")
        assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
        assert "url(" not in page.style.text and "@import" not in page.style.text
    cards = pages["index.html"].select(".cards li")
    shown = [
        [card.select_one(part).text for part in ("h2", ".question", ".status")] for card in cards
    ]
    assert shown == [
        ["01 · Faces", "First a statement. Could you sort these < faces?", "done"],
        ["02 · Two & more", "Why?", "done"],
    ]
    assert [card.a["href"] for card in cards] == list(pages)[:2]
    assert [card.img["alt"] for card in cards if card.img] == ["Dot"]
    assert "profile smoke, seed 42" in pages["index.html"].main.p.text
    first, second = pages["01_one.html"], pages["02_two.html"]
    assert first.select_one("a[rel=next]")["href"] == "02_two.html"
    assert second.select_one("a[rel=prev]")["href"] == "01_one.html"
    assert not first.select("a[rel=prev]") and not second.select("a[rel=next]")
    assert first.title.text == "01 · Faces" and first.math and first.select("table.dataframe")
    assert [image["alt"] for image in first.find_all("img")] == ["Dot"]


def test_a_notebook_that_did_not_start_has_a_page_that_says_so(write, tmp_path):
    notebook = write("01_one")
    page = report.Report(tmp_path, [notebook], about="Tried")
    page.add("01_one", tmp_path / "01_one.failed.ipynb", "failed", 90)
    page.write("index")
    assert "It did not start." in soup(tmp_path / "01_one.html").main.text
    assert soup(tmp_path / "index.html").select_one(".note").text == "failed, 1.5 minutes"


@pytest.mark.parametrize("notebook", series.notebooks(), ids=lambda path: path.stem)
def test_the_index_shows_the_notebooks_question_not_its_links(notebook):
    question = report.heading(notebook)["question"]
    assert "?" in question and "◀" not in question and "▶" not in question
