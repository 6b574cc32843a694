"""README's table of results against data/published/results.csv, its one source."""

import csv
import statistics

import pytest

from fer_utils import ROOT
from fer_utils.evaluation import wilson_interval
from fer_utils.seminar import ACCURACY

NAMES = {
    ("fully_connected", "short"): "one fully connected layer",
    ("hidden_layer", "short"): "one hidden layer, as many weights as shallow",
    ("hidden_layer_shuffled", "short"): "the same, pixels shuffled",
    ("shallow", "seminar"): "shallow CNN, the seminar's own recipe",
    ("shallow", "short"): "shallow CNN",
    ("shallow_shuffled", "short"): "shallow CNN, pixels shuffled",
    ("deep", "short"): "deep CNN",
    ("deeper", "short"): "deeper CNN",
}
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def published() -> list[dict]:
    with open(ROOT / "data/published/results.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def readme_row(name: str) -> list[str]:
    found = [line for line in README.splitlines() if line.startswith(f"| {name} |")]
    assert len(found) == 1, f"README has {len(found)} rows for {name}"
    return [cell.strip() for cell in found[0].strip("|").split("|")]


@pytest.mark.parametrize("model, profile", NAMES)
def test_readme_table_equals_results(model, profile, published):
    wanted = (model, profile, "42")
    row = next(r for r in published if (r["model"], r["profile"], r["seed"]) == wanted)
    accuracy = float(row["test_accuracy"])
    low, high = wilson_interval(round(accuracy * 3589), 3589)
    percent = {name: f"{100 * float(row[name]):.2f}" for name in row if "accur" in name}
    assert readme_row(NAMES[model, profile])[1:] == [
        f"{ACCURACY[model]:.2f}" if model in ACCURACY else "–",
        f"{percent['test_accuracy']} ({100 * low:.1f} to {100 * high:.1f})",
        percent["test_accuracy_clean"],
        percent["validation_accuracy"],
        f"{int(row['parameters']):,}",
        f"{float(row['minutes']):.1f}",
    ]


def test_readme_says_how_much_seeds_scatter(published):
    equal = [r for r in published if (r["model"], r["profile"]) == ("shallow", "short")]
    assert len(equal) == 5 and len({r["seed"] for r in equal}) == 5
    accuracy = [100 * float(row["test_accuracy"]) for row in equal]
    mean, deviation = statistics.mean(accuracy), statistics.stdev(accuracy)
    assert f"{mean:.2f} % on average, with a standard deviation of {deviation:.2f} points" in README
    assert "the two furthest apart differ by more than deep and deeper do" in README
    short = {r["model"]: 100 * float(r["test_accuracy"]) for r in published
             if (r["profile"], r["seed"]) == ("short", "42")}  # fmt: skip
    assert max(accuracy) - min(accuracy) > abs(short["deeper"] - short["deep"])


def test_readme_is_right_on_what_leaks_cost(published):
    assert "leaving the copies out costs it more than any other" in README
    cost = {
        (r["model"], r["profile"]): float(r["test_accuracy"]) - float(r["test_accuracy_clean"])
        for r in published
        if (r["model"], r["profile"]) in NAMES and r["seed"] == "42"
    }
    assert max(cost, key=cost.get) == ("shallow", "seminar")


def test_readme_lists_every_notebook():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        assert f"(notebooks/{path.name})" in README
