"""Verdicts are kept and come back in the ledger; each claim is judged where it says so."""

import ast
import re
from dataclasses import replace

import nbformat
import numpy as np
import patterns
import pytest

from fer_utils import ROOT, evaluation, ledger, runs, seminar
from fer_utils.files import read_json, write_json

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMED = [(name, claim.notebook) for name, claim in seminar.CLAIMS.items()]


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A data set read from a file, and an empty home."""
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    return replace(patterns.faces(), source=str(tmp_path / "fer2013.csv"))


def test_a_verdict_is_a_line_said_a_line_measured_and_one_file(faces, tmp_path, capsys):
    ledger.verdict("fc-35", "36.1 %", "reached", faces)
    said, measured = capsys.readouterr().out.splitlines()
    assert said.startswith("fc-35 · the seminar says: ") and "35.35 %" in said
    assert measured == "  measured: 36.1 % · reached"
    files = list((tmp_path / "claims").rglob("*.*"))
    assert [f.relative_to(tmp_path).parts for f in files] == [
        ("claims", faces.fingerprint[:12], "fc-35.json")
    ]
    assert read_json(files[0]) == {
        "claim": "fc-35",
        "measured": "36.1 %",
        "verdict": "reached",
        "data": "fer2013.csv",
    }


def score(percent, n=3589):
    return evaluation.score(np.arange(n) < percent / 100 * n)


@pytest.mark.parametrize(
    "same, ours, word",
    [
        (59.99, None, "reproduced"),
        (57.0, None, "reproduced"),  # 2.07 points off; two samples allow 2.28
        (56.0, None, "not reproduced"),
        (62.0, None, "reached"),
        (56.0, 63.0, "reached"),
        (None, 59.0, "reached"),  # another recipe never reproduces
        (None, 56.0, "not reproduced"),
        (None, None, "not tested here"),
    ],
)
def test_a_number_is_reproduced_by_its_recipe_and_reached_by_any(faces, same, ours, word):
    scores = [percent and score(percent) for percent in (same, ours)]
    assert ledger.of_number(59.07, *scores, faces) == word
    drawn = replace(faces, source="synthetic")
    assert ledger.of_number(59.07, *scores, drawn) == "not tested here"


def test_chance_allows_what_two_samples_differ_by_in_95_of_100_cases(faces):
    """Two test sets of one size and one true accuracy: the rule calls them reproduced."""
    first, second = np.random.default_rng(0).binomial(3589, 0.6, (2, 2000)) / 35.89
    words = [ledger.of_number(a, score(b), None, faces) for a, b in zip(first, second)]
    assert 0.93 < np.mean([word == "reproduced" for word in words]) < 0.97


def test_a_difference_within_its_yardstick_is_none_seen():
    words = [ledger.of_difference(points, 1.5) for points in (1.6, 1.5, 0, -1.5, -1.6)]
    assert words == ["reproduced", *3 * ["no difference seen"], "not reproduced"]


def test_a_statement_is_found_or_not_or_not_tested():
    words = [ledger.of_statement(found) for found in (True, False, None)]
    assert words == ["reproduced", "not reproduced", "not tested here"]


def test_every_word_is_kept(faces, capsys):
    for word in ledger.WORDS:
        ledger.verdict("rates", "1e-3", word, faces)
        assert capsys.readouterr().out.endswith(f"· {word}\n")
        assert ledger.kept_claims(faces).loc["rates", "verdict"] == word


def test_the_rules_are_those_of_the_notebook_s_claims(faces):
    table = ledger.rules("07", faces).frame
    assert list(table.index) == [name for name, number in NAMED if number == "07"]
    assert table.loc["deep-59", "the rule"] == seminar.RULE
    assert table.loc["bn-rates", "the rule"] == seminar.CLAIMS["bn-rates"].rule


def test_a_verdict_on_synthetic_faces_says_so(faces, capsys):
    ledger.verdict("faces", "0 black images", "reproduced", replace(faces, source="synthetic"))
    assert "synthetic faces" in capsys.readouterr().out


def test_an_unknown_claim_or_word_names_the_valid_ones(faces):
    with pytest.raises(ValueError, match="fc-53.*digits.*more-data"):
        ledger.verdict("fc-53", "", "reproduced", faces)
    with pytest.raises(ValueError, match="holds.*reproduced.*not tested here"):
        ledger.verdict("fc-35", "", "holds", faces)


def test_the_ledger_has_every_claim_once_and_one_data_set_only(faces):
    ledger.verdict("digits", "97 %", "reproduced", faces)
    kept = ledger.kept_claims(faces)
    assert kept.index.tolist() == list(seminar.CLAIMS) and kept.index.is_unique
    assert kept["verdict"].value_counts().to_dict() == {
        "not run yet": len(seminar.CLAIMS) - 1,
        "reproduced": 1,
    }
    assert set(ledger.kept_claims(patterns.faces(seed=1))["verdict"]) == {"not run yet"}


def test_the_comparison_has_difference_and_kept_verdict(faces, monkeypatch, tmp_path):
    monkeypatch.setattr(ledger, "PUBLISHED_CLAIMS", tmp_path / "none")  # nothing is published
    ledger.verdict("fc-35", "36.1 %", "reached", faces)
    table = ledger.comparison(
        [("fc-35", 35.35, 37.0, np.float64(36.1)), ("digits", None, None, "97 % & more")], faces
    )
    assert table.frame.loc["fc-35"].tolist() == [
        "35.35 %",
        "37.00 %",
        "36.10 %",
        "+0.75 points",
        "reached",
    ]
    assert table.frame.loc["digits"].tolist() == [
        "fully connected networks are great for digits, not for faces",
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
    rows = [dict(claim="digits", measured="95 % of digits", verdict="reproduced", notebook="03")]
    write_json(tmp_path / "claims.json", {"claims": rows})
    table = ledger.comparison(
        [("digits", None, None, "97 %"), ("fc-35", 35.35, 37.0, None), ("rates", None, None, None)],
        faces,
    )
    assert table.frame["the published run"].tolist() == ["95 % of digits", "37.00 %", "–"]


# ---------------------------------------------------------------- the series' own claims


def calls(cells, name):
    """Return the numbers of the code cells that call ledger.<name>, with the call's words."""
    found = []
    for place, cell in enumerate(cells):
        for node in ast.walk(ast.parse(cell.source)) if cell.cell_type == "code" else ():
            if isinstance(node, ast.Attribute) and node.attr == name:
                found.append((place, cell.source))
    return found


def text(path) -> str:
    """Return what a notebook's published outputs show as text."""
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


def judged(path) -> list[tuple[str, str, str]]:
    """Return (claim, measured, verdict) of each two lines that `verdict` printed in a notebook."""
    line = r"^(\S+) · the seminar says: .*\n  measured: (.*) · ([a-z ]+)$"
    return re.findall(line, text(path), re.MULTILINE)


@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
def test_a_notebook_judges_its_own_claims_once_each_and_as_published(path):
    rows = ledger.published_rows()
    own = [
        (row["claim"], row["measured"], row["verdict"])
        for row in rows
        if seminar.CLAIMS[row["claim"]].notebook == path.name[:2]
    ]
    assert sorted(judged(path)) == sorted(own)


def test_a_score_of_a_run_has_the_same_digits_wherever_it_is_shown():
    """Every accuracy with its interval is that of a published run on validation or on test, the one
    on digits apart.
    """
    known = {
        str(run.score(split))
        for run in runs.published_runs()
        if run.job.fold is None
        for split in ("validation", "test")
    }
    score = r"\d+\.\d+ % \(95 %: [\d.]+ to [\d.]+\)"
    shown = [found for path in PATHS for found in re.findall(score, text(path))]
    assert len(shown) > 20
    measured = ledger.published_claims().loc["digits", "measured"]
    assert set(shown) - known == {re.search(score, measured)[0]}


def test_the_line_of_a_run_has_the_accuracy_of_its_published_weights():
    line = r"(\S+), seed (\d+): published run of .*, validation accuracy (\S+)%"
    known = {(run.job.name, str(run.job.seed)): run for run in runs.published_runs()}
    silent = []
    for path in PATHS:
        shown = re.findall(line, text(path))
        if not shown and "experiments.train(" in path.read_text("utf-8"):
            silent.append(path.stem)
        for name, seed, percent in shown:
            assert percent == f"{known[name, seed].score('validation').percent:.2f}", name
    assert silent == ["06_cross_validation"], "what trains shows its runs, a search's folds apart"


@pytest.mark.parametrize("number", sorted({number for _, number in NAMED}))
def test_the_rules_stand_before_every_verdict(number):
    (path,) = (path for path in PATHS if path.name.startswith(number))
    cells = nbformat.read(path, as_version=4).cells
    (rules,) = calls(cells, "rules")
    assert f'rules("{number}", faces)' in rules[1]
    assert all(rules[0] < place for place, _ in calls(cells, "verdict"))


def test_published_claims_are_those_of_the_ledger_with_words_of_its():
    rows = ledger.published_rows()
    assert [row["claim"] for row in rows] == list(seminar.CLAIMS)
    for row in rows:
        assert row["notebook"] == seminar.CLAIMS[row["claim"]].notebook, row["claim"]
        assert row["verdict"] in ledger.WORDS
