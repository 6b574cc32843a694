"""README's table of results against data/published, its one source, and its list of notebooks."""

import csv

from fer_utils import ROOT, publish

README = (ROOT / "README.md").read_text(encoding="utf-8")


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_is_what_publishing_makes_of_the_runs():
    assert publish.fill_table(README) == README, "run `python -m fer_utils publish`"


def test_each_row_names_a_run_of_the_default_seed_and_has_its_numbers():
    with open(ROOT / "data/published/results.csv", encoding="utf-8", newline="") as file:
        known = {row["name"]: row for row in csv.DictReader(file) if row["seed"] == "42"}
    rows = [cells(line) for line in README.splitlines() if line.startswith("| ") and "| `" in line]
    assert len(rows) > 10
    for _, name, _, test, clean, validation, parameters, minutes in rows:
        row = known[name.strip("`")]
        assert test.split()[0] == f"{100 * float(row['test_accuracy']):.2f}", name
        assert clean == f"{100 * float(row['test_accuracy_clean']):.2f}", name
        assert validation == f"{100 * float(row['validation_accuracy']):.2f}", name
        assert parameters == f"{int(row['parameters']):,}", name
        assert minutes == f"{float(row['minutes']):.1f}, {row['device']}", name


def test_every_notebook_is_listed():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{path.name})" in README
