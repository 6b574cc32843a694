"""README's table of results against data/published/results.csv, its one source."""

import csv

import pytest

from fer_utils import ROOT
from fer_utils.evaluation import wilson_interval
from fer_utils.seminar import ACCURACY

NAMES = {
    "fully_connected": "one fully connected layer",
    "hidden_layer": "one hidden layer, as many weights as shallow",
    "hidden_layer_shuffled": "the same, pixels shuffled",
    "shallow": "shallow CNN",
    "shallow_shuffled": "shallow CNN, pixels shuffled",
    "deep": "deep CNN",
    "deeper": "deeper CNN",
}


def readme_row(name: str) -> list[str]:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.startswith(f"| {name} |")]
    assert len(found) == 1, f"README has {len(found)} rows for {name}"
    return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.parametrize("model", NAMES)
def test_readme_table_equals_results(model):
    with open(ROOT / "data/published/results.csv", encoding="utf-8", newline="") as file:
        published = next(
            row
            for row in csv.DictReader(file)
            if (row["model"], row["profile"], row["seed"]) == (model, "short", "42")
        )
    accuracy = float(published["test_accuracy"])
    low, high = wilson_interval(round(accuracy * 3589), 3589)
    percent = {name: f"{100 * float(published[name]):.2f}" for name in published if "accur" in name}
    assert readme_row(NAMES[model])[1:] == [
        f"{ACCURACY[model]:.2f}" if model in ACCURACY else "–",
        f"{percent['test_accuracy']} ({100 * low:.1f} to {100 * high:.1f})",
        percent["test_accuracy_clean"],
        percent["validation_accuracy"],
        f"{int(published['parameters']):,}",
        f"{float(published['minutes']):.1f}",
    ]


def test_readme_lists_every_notebook():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{path.name})" in text
