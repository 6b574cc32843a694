"""The paper's numbers agree with one another; verdicts are kept and come back in the ledger."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fer_utils import CLASSES, seminar


@pytest.fixture
def faces(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    return SimpleNamespace(synthetic=False, source="fer2013", fingerprint="0123456789abcdef")


def test_class_counts_have_the_known_totals():
    both = seminar.CLASS_COUNTS, seminar.SEMINAR_CLASS_COUNTS
    assert [[sum(row) for row in counts.values()] for counts in both] == [
        [28709, 3589, 3589],
        [28821, 7066],
    ]
    # Both are the same 35,887 pictures, divided otherwise.
    whole = [np.sum(list(counts.values()), axis=0) for counts in both]
    assert whole[0].tolist() == whole[1].tolist()
    assert dict(zip(CLASSES, whole[0], strict=True))["disgust"] == 547


def test_table_3_gives_the_accuracies_on_the_seminars_own_counts():
    counts = np.array(seminar.SEMINAR_CLASS_COUNTS["validation"])
    for model, recall in seminar.RECALL.items():
        assert recall @ counts / counts.sum() == pytest.approx(seminar.ACCURACY[model], abs=0.07)


def test_the_test_sizes_are_those_that_the_decimals_allow():
    def fits(n):
        return all(round(100 * round(a * n / 100) / n, 2) == a for a in seminar.ACCURACY.values())

    assert tuple(n for n in range(3400, 3701) if fits(n)) == seminar.TEST_SIZES


def test_a_verdict_is_one_line_and_one_file(faces, tmp_path, capsys):
    seminar.verdict("fc-35", "36.1 %", np.bool_(True), faces)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in ("fc-35", "35.35 %", "36.1 %", "holds"):
        assert part in line
    files = list((tmp_path / "claims").rglob("*.*"))
    assert [f.relative_to(tmp_path).parts for f in files] == [
        ("claims", "0123456789ab", "fc-35.json")
    ]
    assert json.loads(files[0].read_text(encoding="utf-8")) == {
        "claim": "fc-35",
        "measured": "36.1 %",
        "verdict": "holds",
        "notebook": "03",
        "data": "fer2013",
    }


@pytest.mark.parametrize("holds, word", [(False, "does not hold"), (None, "not testable here")])
def test_the_other_verdicts_in_words(faces, capsys, holds, word):
    seminar.verdict("rates", "1e-3", holds, faces)
    assert capsys.readouterr().out.endswith(f"· {word}\n")
    assert seminar.ledger(faces).loc["rates", "verdict"] == word


def test_a_verdict_on_synthetic_faces_says_so(faces, capsys):
    faces.synthetic = True
    seminar.verdict("faces", "0 black images", True, faces)
    assert "synthetic faces" in capsys.readouterr().out


def test_an_unknown_claim_names_the_valid_ones(faces):
    with pytest.raises(ValueError, match="fc-53.*digits.*more-data"):
        seminar.verdict("fc-53", "", True, faces)
    with pytest.raises(ValueError, match="'bn' is tested in 04, 07"):
        seminar.verdict("bn", "", True, faces, notebook="05")


def test_the_later_notebook_has_the_last_word_in_any_order(faces):
    seminar.verdict("bn", "rates up to 1e-2", True, faces, notebook="07")
    seminar.verdict("bn", "mean 0", True, faces)
    assert seminar.ledger(faces).loc["bn", ["measured", "notebook"]].tolist() == [
        "rates up to 1e-2",
        "07",
    ]
    seminar.verdict("bn", "rates up to 1e-3", False, faces, notebook="07")
    assert seminar.ledger(faces).loc["bn", "verdict"] == "does not hold"


def test_the_ledger_has_every_claim_once_and_one_data_set_only(faces):
    seminar.verdict("digits", "97 %", True, faces)
    ledger = seminar.ledger(faces)
    assert ledger.index.tolist() == list(seminar.CLAIMS) and ledger.index.is_unique
    assert len(ledger) == 23
    assert ledger["verdict"].value_counts().to_dict() == {"not run yet": 22, "holds": 1}
    other = SimpleNamespace(synthetic=True, source="synthetic", fingerprint="f" * 40)
    assert set(seminar.ledger(other)["verdict"]) == {"not run yet"}


def test_the_comparison_has_difference_and_kept_verdict(faces, monkeypatch, tmp_path):
    monkeypatch.setattr(seminar, "PUBLISHED_CLAIMS", tmp_path / "none")  # nothing is published
    seminar.verdict("fc-35", "36.1 %", True, faces)
    table = seminar.comparison(
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


def test_the_published_column_shows_what_publish_kept(faces, tmp_path, monkeypatch):
    monkeypatch.setattr(seminar, "PUBLISHED_CLAIMS", tmp_path / "claims.json")
    seminar.verdict("digits", "95 % of digits", True, faces)
    seminar.publish_claims(faces)
    table = seminar.comparison(
        [("digits", None, None, "97 %"), ("fc-35", 35.35, 37.0, None), ("bn", None, None, None)],
        faces,
    )
    assert table.frame["the published run"].tolist() == ["95 % of digits", "37.00 %", "–"]


def test_publishing_adds_to_what_is_published_and_shows_it_at_once(faces, monkeypatch, tmp_path):
    monkeypatch.setattr(seminar, "PUBLISHED_CLAIMS", tmp_path / "claims.json")
    seminar.verdict("digits", "95 %", True, faces)
    seminar.verdict("bn", "late", True, faces, notebook="07")
    seminar.publish_claims(faces)
    faces.fingerprint = "fedcba9876543210"  # another home: nothing else is kept there
    seminar.verdict("fc-35", "37 %", True, faces)
    seminar.verdict("bn", "early", True, faces, notebook="04")
    assert seminar.published_claims(faces)["measured"]["fc-35"] == "", "not published yet"
    monkeypatch.setenv("FER_PUBLISHING", "1")
    assert seminar.published_claims(faces)["measured"]["fc-35"] == "37 %"
    seminar.publish_claims(faces)
    rows = json.loads((tmp_path / "claims.json").read_text("utf-8"))
    assert {row["claim"]: row["measured"] for row in rows} == {
        "digits": "95 %",
        "fc-35": "37 %",
        "bn": "late",
    }


def test_a_table_says_synthetic_in_html_and_in_text(faces):
    frame = pd.DataFrame({"accuracy": [12.3456], "images": [28709], "words": ["x" * 80]})
    assert "synthetic" not in repr(seminar.Table(frame, "Some numbers", faces))
    faces.synthetic = True
    table = seminar.Table(frame, "Some numbers", faces)
    for shown in (repr(table), table._repr_html_()):
        assert "Some numbers (synthetic faces)" in shown
        assert "12.35" in shown and "x" * 80 in shown
