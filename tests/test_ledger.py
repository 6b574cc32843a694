"""Verdicts are kept and come back in the ledger; each claim is judged where it says so."""

import ast
import json
from collections import Counter
from dataclasses import replace

import nbformat
import numpy as np
import patterns
import pytest

from fer_utils import ROOT, ledger, seminar

NAMED = [(name, number) for name, claim in seminar.CLAIMS.items() for number in claim.notebooks]


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A data set read from a file, and an empty home."""
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    return replace(patterns.faces(), source=str(tmp_path / "fer2013.csv"))


def test_a_verdict_is_one_line_and_one_file(faces, tmp_path, capsys):
    ledger.verdict("fc-35", "36.1 %", np.bool_(True), faces)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in ("fc-35", "35.35 %", "36.1 %", "holds"):
        assert part in line
    files = list((tmp_path / "claims").rglob("*.*"))
    assert [f.relative_to(tmp_path).parts for f in files] == [
        ("claims", faces.fingerprint[:12], "fc-35.json")
    ]
    assert json.loads(files[0].read_text(encoding="utf-8")) == {
        "claim": "fc-35",
        "measured": "36.1 %",
        "verdict": "holds",
        "notebook": "03",
        "data": "fer2013.csv",
    }


@pytest.mark.parametrize("holds, word", [(False, "does not hold"), (None, "not testable here")])
def test_the_other_verdicts_in_words(faces, capsys, holds, word):
    ledger.verdict("rates", "1e-3", holds, faces)
    assert capsys.readouterr().out.endswith(f"· {word}\n")
    assert ledger.kept_claims(faces).loc["rates", "verdict"] == word


def test_a_verdict_on_synthetic_faces_says_so(faces, capsys):
    ledger.verdict("faces", "0 black images", True, replace(faces, source="synthetic"))
    assert "synthetic faces" in capsys.readouterr().out


def test_an_unknown_claim_names_the_valid_ones(faces):
    with pytest.raises(ValueError, match="fc-53.*digits.*more-data"):
        ledger.verdict("fc-53", "", True, faces)
    with pytest.raises(ValueError, match="'bn' is tested in 04, 07"):
        ledger.verdict("bn", "", True, faces, notebook="05")


def test_the_later_notebook_has_the_last_word_in_any_order(faces):
    ledger.verdict("bn", "rates up to 1e-2", True, faces, notebook="07")
    ledger.verdict("bn", "mean 0", True, faces)
    assert ledger.kept_claims(faces).loc["bn", ["measured", "notebook"]].tolist() == [
        "rates up to 1e-2",
        "07",
    ]
    ledger.verdict("bn", "rates up to 1e-3", False, faces, notebook="07")
    assert ledger.kept_claims(faces).loc["bn", "verdict"] == "does not hold"


def test_the_ledger_has_every_claim_once_and_one_data_set_only(faces):
    ledger.verdict("digits", "97 %", True, faces)
    kept = ledger.kept_claims(faces)
    assert kept.index.tolist() == list(seminar.CLAIMS) and kept.index.is_unique
    assert kept["verdict"].value_counts().to_dict() == {
        "not run yet": len(seminar.CLAIMS) - 1,
        "holds": 1,
    }
    assert set(ledger.kept_claims(patterns.faces(seed=1))["verdict"]) == {"not run yet"}


def test_the_comparison_has_difference_and_kept_verdict(faces, monkeypatch, tmp_path):
    monkeypatch.setattr(ledger, "PUBLISHED_CLAIMS", tmp_path / "none")  # nothing is published
    ledger.verdict("fc-35", "36.1 %", True, faces)
    table = ledger.comparison(
        [("fc-35", 35.35, 37.0, np.float64(36.1)), ("digits", None, None, "97 % & more")], faces
    )
    assert table.frame.loc["fc-35"].tolist() == [
        "35.35 %",
        "37.00 %",
        "36.10 %",
        "+0.75 points",
        "holds",
    ]
    assert table.frame.loc["digits"].tolist() == [
        "fully connected networks are great for digits",
        "–",
        "97 % & more",
        "–",
        "not run yet",
    ]
    html = table._repr_html_()
    assert "<caption>" in html and "97 % &amp; more" in html
    assert html == table._repr_html_(), "the same table must not change a notebook's text"


def test_the_published_column_shows_what_is_published(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PUBLISHED_CLAIMS", tmp_path / "claims.json")
    rows = [dict(claim="digits", measured="95 % of digits", verdict="holds", notebook="03")]
    (tmp_path / "claims.json").write_text(json.dumps(rows), "utf-8")
    table = ledger.comparison(
        [("digits", None, None, "97 %"), ("fc-35", 35.35, 37.0, None), ("bn", None, None, None)],
        faces,
    )
    assert table.frame["the published run"].tolist() == ["95 % of digits", "37.00 %", "–"]


# ---------------------------------------------------------------- the series' own claims


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
