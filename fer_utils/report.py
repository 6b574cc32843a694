"""Executed notebooks as HTML pages that need no network: formulas, figures and tables in them."""

import html
import os
import time
from functools import partial
from pathlib import Path

import jinja2
import nbformat
from bs4 import BeautifulSoup
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from fer_utils import files


def write_report(out: Path, chosen, results, parameters) -> None:
    """Write the latest notebook's page and the index into `out`; nothing in them needs a network.

    `results` maps a notebook's name to (status "done" | "failed" | "stopped", seconds).
    """
    latest = list(results)[-1]
    executed = out / f"{latest}{'' if results[latest][0] == 'done' else '.failed'}.ipynb"
    body = "<p>It did not start.</p>"
    if executed.exists():
        body = notebook_html(nbformat.read(executed, as_version=4), [note.stem for note in chosen])
    shell = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    pages = [index_entry(notebook, results) for notebook in chosen]
    shown = dict(here=len(results) - 1, pages=pages, parameters=parameters)
    shown |= dict(HtmlFormatter=HtmlFormatter, os=os, time=time)
    page = jinja2.Template(shell, autoescape=True)
    files.write_atomic(out / f"{latest}.html", page.render(shown, body=body).encode())
    files.write_atomic(out / "index.html", page.render(shown).encode())


def index_entry(notebook, results) -> dict:
    """Name, title, question, status and minutes; the question is the first one asked."""
    first_cell = nbformat.read(notebook, as_version=4).cells[0]
    soup = BeautifulSoup(markdown(first_cell.source), "html.parser")
    question = soup.find(lambda tag: tag.name == "p" and "?" in tag.text and not tag.a)
    status, seconds = results.get(notebook.stem, ("not run", 0))
    words = dict(title=soup.h1.text if soup.h1 else notebook.stem)
    words["question"] = question.text if question else ""
    return words | dict(name=notebook.stem, status=status, minutes=seconds / 60)


def notebook_html(notebook, names) -> str:
    """A notebook as an HTML fragment: formulas as MathML, links to `names` as pages.

    Links to other files of the repository become plain text: a report travels without them.
    """
    # nbconvert's "basic" template prints alt texts, and no scripts, unlike its default.
    look = dict(template_name="basic", filters={"markdown2html": markdown})
    exporter = HTMLExporter(**look, exclude_input_prompt=True, exclude_output_prompt=True)
    soup = BeautifulSoup(exporter.from_notebook_node(notebook)[0], "html.parser")
    for link in soup.find_all("a", href=True):
        name, ending, anchor = link["href"].partition(".ipynb")
        if ending and name in names:
            link["href"] = f"{name}.html{anchor}"
        elif not link["href"].startswith(("#", "https:", "http:", "mailto:")):
            link.unwrap()
    return str(soup)


def to_mathml(formula: str, display: str) -> str:
    r"""A LaTeX formula as MathML; `display` is "inline" or "block".

    A formula that cannot be read stays as it is, in a `code` element of class "formula".
    """
    try:
        mathml = convert(formula.replace("{aligned}", "{split}"), display=display)
    except Exception:  # the library raises many kinds; one formula must not cost the report
        mathml = "\\"
    # A backslash is left of a command that the library does not know.
    return f'<code class="formula">{html.escape(formula)}</code>' if "\\" in mathml else mathml


def markdown(source: str) -> str:
    """Markdown as HTML; formulas are MathML instead of text that waits for MathJax."""
    renderer = IPythonRenderer(escape=False, anchor_link_text="")
    renderer.inline_math = partial(to_mathml, display="inline")
    renderer.block_math = partial(to_mathml, display="block")
    environment = r"\begin{{{0}}}{1}\end{{{0}}}"
    renderer.latex_environment = lambda *parts: renderer.block_math(environment.format(*parts))
    return MarkdownWithMath(renderer).render(source)
