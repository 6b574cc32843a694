"""README's results, ledger and picture against data/published, and its list of notebooks."""

import csv
import json
import re

import nbformat
import pytest
from PIL import Image

from fer_utils import ROOT
from fer_utils.evaluation import wilson_interval
from fer_utils.seminar import CLASS_COUNTS
from tests import readme

TEST_IMAGES = sum(CLASS_COUNTS["test"])
README = (ROOT / "README.md").read_text(encoding="utf-8")
AGAIN = "README is of other results than data/published: python -m tests.readme"


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_row_names_a_run_of_the_default_seed_and_has_its_numbers():
    with open(ROOT / "data/published/results.csv", encoding="utf-8", newline="") as file:
        known = {row["name"]: row for row in csv.DictReader(file) if row["seed"] == "42"}
    rows = [cells(line) for line in README.splitlines() if line.startswith("| ") and "| `" in line]
    assert len(rows) > 10
    for _, name, _, test, clean, validation, parameters, minutes in rows:
        row = known[name.strip("`")]
        shown = [float(text) for text in (test.split()[0], clean, validation)]
        columns = ("test_accuracy", "test_accuracy_clean", "validation_accuracy")
        # Both are rounded, the table to 0.01 and the file to 0.001 points.
        expected = [100 * float(row[column]) for column in columns]
        assert shown == pytest.approx(expected, abs=0.0056), name
        low, high = wilson_interval(round(float(row["test_accuracy"]) * TEST_IMAGES), TEST_IMAGES)
        assert test.endswith(f"({100 * low:.1f} to {100 * high:.1f})"), name
        assert parameters == f"{int(row['parameters']):,}", name
        assert minutes == f"{float(row['minutes']):.1f}, {row['device']}", name


def test_the_ledger_at_a_glance_is_as_published():
    assert readme.between("ledger", README, readme.glance()) == README, AGAIN


def test_the_picture_shows_the_results_as_published():
    found = readme.numbers()
    with Image.open(readme.PICTURE) as picture:
        assert json.loads(picture.info["Comment"]) == found, AGAIN
    assert f"![{readme.in_words(found)}](.github/results.png)" in README, AGAIN


def test_the_picture_has_a_mark_for_each_number_and_an_interval_for_each_of_ours():
    found = readme.numbers()
    values = {(who, value[0]) for by in found.values() for who, value in by.items()}
    (ax,) = readme.draw(found).axes
    marks = [line for line in ax.lines if not line.get_label().startswith("_")]
    drawn = {(line.get_label(), value) for line in marks for value in line.get_xdata()}
    assert drawn == values and len(values) == 14
    intervals = sorted(tuple(line.get_xdata()) for line in ax.lines if line not in marks)
    ours = [value[1:] for by in found.values() for value in by.values() if value[1:]]
    assert [interval for interval in intervals if interval] == sorted(map(tuple, ours))


def test_the_table_of_benchmarks_has_rows_that_were_measured():
    measured = (ROOT / "tests/benchmarks/measured.md").read_text("utf-8").splitlines()
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## Speed\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 10 and set(rows) <= set(measured)
    missed = [cells(row)[0] for row in measured if "| missed" in row]
    assert f"Missed targets: {'; '.join(missed)}." in measured


def test_every_notebook_is_listed():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{path.name})" in README


def test_the_model_card_says_what_notebook_14_measured():
    card = (ROOT / "data/published/MODEL_CARD.md").read_text("utf-8")
    section = card.split("## What an answer of `predict` is worth")[1].split("\n## ")[0]
    notebook = nbformat.read(ROOT / "notebooks/14_your_own_photo.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    text = "\n".join(o.text if "text" in o else o.data.get("text/plain", "") for o in outputs)
    rows = [cells(line) for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 7
    for row in rows:
        assert " ".join(row) in " ".join(text.split()), row
    prose = "\n".join(line for line in section.splitlines() if not line.startswith("|"))
    told = " ".join([text, *notebook.metadata.fer_numbers.values()])
    for number in re.findall(r"\d+\.\d+", prose):
        assert number in told, number
