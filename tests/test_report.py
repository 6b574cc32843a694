"""The report shows formulas, links, figures and states, and needs no network."""

import pytest
from bs4 import BeautifulSoup
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


def page_of(markdown, *outputs):
    cells = [new_markdown_cell(markdown), new_code_cell("show()", outputs=list(outputs))]
    return BeautifulSoup(
        report.notebook_html(new_notebook(cells=cells), ["01_one", "02_two"]), "html.parser"
    )


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
        assert not page.find_all(["script", "iframe", "link"])
        assert all(image["src"].startswith("data:image/") for image in page.find_all("img"))
        assert "url(" not in page.style.text and "@import" not in page.style.text
    rows = [
        [cell.text.strip() for cell in row.find_all("td")]
        for row in pages["index.html"].tbody.find_all("tr")
    ]
    assert [row[:3] for row in rows] == [
        ["01 · Faces", "First a statement. Could you sort these < faces?", "done"],
        ["02 · Two & more", "Why?", "done"],
    ]
    assert [link["href"] for link in pages["index.html"].find_all("a")] == list(pages)[:2]
    first, second = pages["01_one.html"], pages["02_two.html"]
    assert first.select_one("a[rel=next]")["href"] == "02_two.html"
    assert second.select_one("a[rel=prev]")["href"] == "01_one.html"
    assert not first.select("a[rel=prev]") and not second.select("a[rel=next]")
    assert first.title.text == "01 · Faces" and first.math and first.select("table.dataframe")
    assert [image["alt"] for image in first.find_all("img")] == ["Dot"]


@pytest.mark.parametrize("notebook", series.notebooks(), ids=lambda path: path.stem)
def test_the_index_shows_the_notebooks_question_not_its_links(notebook):
    question = report.index_entry(notebook, {})["question"]
    assert "?" in question and "◀" not in question and "▶" not in question
