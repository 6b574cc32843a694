"""The committed notebooks, the ledger and the published results as web pages."""

import tomllib
from pathlib import Path

import pandas as pd

from fer_utils import ROOT, ledger, report, runs, seminar, series


def write_site(out) -> Path:
    """Write the committed notebooks, the ledger and the results as web pages; return index.html.

    Nothing is run: the notebooks show what is published. The repository's public address is
    pyproject.toml's; where it has none, no page links there.
    """
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("urls", {})
    shown = dict(claims=ledger.published_claims(), rules=seminar.CLAIMS)
    shown |= dict(results=pd.read_csv(runs.PUBLISHED / "results.csv"), **urls)
    site = report.Report(out, series.notebooks(), **shown)
    for notebook in series.notebooks():
        site.add(notebook.stem, notebook, "published")
    for name in ("index", "ledger", "results"):
        site.write(name)
    return site.out / "index.html"
