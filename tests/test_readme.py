"""README's table of results against data/published, its one source, and its list of notebooks."""

import csv

import pytest

from fer_utils import ROOT
from fer_utils.evaluation import wilson_interval
from fer_utils.seminar import CLASS_COUNTS

TEST_IMAGES = sum(CLASS_COUNTS["test"])
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_table_of_benchmarks_has_rows_that_were_measured():
    measured = (ROOT / "tests/benchmarks/measured.md").read_text("utf-8").splitlines()
    section = README.partition("### Speed\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 10 and set(rows) <= set(measured)
    missed = [cells(row)[0] for row in measured if "| missed" in row]
    assert f"Missed targets: {'; '.join(missed)}." in measured


def test_every_notebook_is_listed():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{path.name})" in README
