"""Small notebooks in the form of the series, and their pages, for tests of what runs them."""

from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = 'DATA = "auto"\nPROFILE = "short"\nSEED = 42\nRETRAIN = False'
VALUES = dict(DATA="auto", PROFILE="smoke", SEED=1, RETRAIN=False)
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write(path: Path, *sources, heading=None, parameters=PARAMETERS) -> Path:
    """Write a notebook of a heading, the cell of parameters, and one code cell a source."""
    cells = [
        new_markdown_cell(heading or f"# {path.stem}\n\nDoes it run?"),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
    ]
    cells += [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL | {"fer_seconds": 5}), path)
    return path


def soup(path: Path) -> BeautifulSoup:
    """Return a page of the report, parsed."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
