"""Every claim of the seminar is judged in each notebook that it names, and published once."""

import ast
import json
from collections import Counter

import nbformat
import pytest

from fer_utils import ROOT, seminar

NAMED = [(name, number) for name, claim in seminar.CLAIMS.items() for number in claim.notebooks]


def strings_in(path) -> set[str]:
    """Return all strings in the code of a notebook."""
    cells = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    return {
        node.value
        for cell in cells
        for node in ast.walk(ast.parse(cell))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


@pytest.mark.parametrize("claim, number", NAMED, ids=["-".join(pair) for pair in NAMED])
def test_each_claim_is_judged_where_the_ledger_says(claim, number):
    paths = list((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    if not paths:
        pytest.skip(f"notebook {number} is not written yet")
    strings = strings_in(paths[0])
    assert claim in strings, f"{paths[0].name} has no verdict on {claim!r}"


def test_published_claims_are_known_once_and_judged_in_a_notebook_of_theirs():
    rows = json.loads((ROOT / "data" / "published" / "claims.json").read_text("utf-8"))
    assert max(Counter(row["claim"] for row in rows).values()) == 1
    for row in rows:
        assert row["notebook"] in seminar.CLAIMS[row["claim"]].notebooks, row["claim"]
        assert row["verdict"] in {"holds", "does not hold", "not testable here"}
        assert row["measured"] and row["data"] == "fer2013"
