"""Notebooks with their outputs as HTML pages, of a run or of the site; they need no network."""

import html
import re
from functools import partial
from pathlib import Path

import jinja2
import nbformat
from bs4 import BeautifulSoup
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from fer_utils import HERE, files


class Report:
    """The pages of `chosen` notebooks, their index and others in the folder `out`.

    shown: what report.html shows beside them: `about` a run in a sentence, or of the site `claims`
    (with their `rules`), `results` and `Repository` (an address).
    """

    def __init__(self, out, chosen, **shown):
        self.out, self.pages = Path(out), {note.stem: heading(note) for note in chosen}
        self.template = jinja2.Template((HERE / "report.html").read_text("utf-8"), autoescape=True)
        self.shown = dict(pages=list(self.pages.values()), HtmlFormatter=HtmlFormatter) | shown

    def add(self, name: str, executed: Path, status: str, seconds=0.0) -> None:
        """Write the page of the notebook `name` from the file `executed`, not yet the index.

        status: "done", "failed", "stopped" or "published".
        """
        notebook = nbformat.read(executed, 4) if executed.exists() else nbformat.v4.new_notebook()
        body = notebook_body(notebook, self.pages, self.shown.get("Repository"))
        text = str(body)
        self.pages[name] |= dict(status=status, seconds=seconds, image=body.img, parts=parts(text))
        self.write(name, here=list(self.pages).index(name), body=text)

    def write(self, name: str, **shown) -> None:
        """Write one page of the template: a notebook's with `here` and `body`, or another's."""
        page = self.template.render(self.shown, name=name, **shown)
        files.write_atomic(self.out / f"{name}.html", page.encode())


def heading(notebook: Path) -> dict:
    """Name, title and question of a notebook that did not run; the question is its first one."""
    first = next(c for c in nbformat.read(notebook, 4).cells if c.cell_type == "markdown")
    soup = BeautifulSoup(markdown(first.source), "html.parser")
    question = soup.find(lambda tag: tag.name == "p" and "?" in tag.text and not tag.a)
    words = dict(name=notebook.stem, title=soup.h1.text if soup.h1 else notebook.stem)
    return words | dict(question=(question.strong or question).text if question else "")


def notebook_body(notebook, names, repository=None) -> BeautifulSoup:
    """A notebook as HTML: formulas as MathML, links to `names` as pages.

    Other files of the repository are links into it where its address is given, else plain text.
    The notebook's own lines of navigation and badges are left out: a page has its own.
    """
    for cell in notebook.cells:
        cell.source = re.sub(r"(?m)^.*(◀|▶|\[!?\[?Open in ).*$", "", cell.source)
    # nbconvert's "basic" template prints alt texts, and no scripts, unlike its default.
    look = dict(template_name="basic", filters={"markdown2html": markdown})
    exporter = HTMLExporter(**look, exclude_input_prompt=True, exclude_output_prompt=True)
    soup = BeautifulSoup(exporter.from_notebook_node(notebook)[0], "html.parser")
    for link in soup.find_all("a", href=True):
        name, ending, anchor = link["href"].partition(".ipynb")
        if ending and name in names:
            link["href"] = f"{name}.html{anchor}"
        elif not link["href"].startswith(("#", "https:", "http:", "mailto:")):
            link["href"] = f"{repository}/blob/main/notebooks/{link['href']}"
            if not repository:
                link.unwrap()
    return soup


def parts(body: str) -> list[BeautifulSoup]:
    """A page cut before each of its headings: what its contents and the search know."""
    return [BeautifulSoup(part, "html.parser") for part in re.split("(?=<h[123] id=)", body)[1:]]


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
