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
    ("shallow_long", "short"): "shallow CNN, 30 epochs",
    ("shallow_shuffled", "short"): "shallow CNN, pixels shuffled",
    ("deep", "short"): "deep CNN",
    ("deep_long", "short"): "deep CNN, 30 epochs",
    ("deeper", "short"): "deeper CNN",
    ("deeper_long", "short"): "deeper CNN, 30 epochs",
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


def published_row(published, model, profile, seed="42") -> dict:
    wanted = (model, profile, seed)
    (row,) = (r for r in published if (r["model"], r["profile"], r["seed"]) == wanted)
    return row


def percent(published, model, profile="short", seed="42", column="validation_accuracy"):
    return 100 * float(published_row(published, model, profile, seed)[column])


@pytest.mark.parametrize("model, profile", NAMES)
def test_readme_table_equals_results(model, profile, published):
    row = published_row(published, model, profile)
    accuracy = float(row["test_accuracy"])
    low, high = wilson_interval(round(accuracy * 3589), 3589)
    shown = {name: f"{100 * float(row[name]):.2f}" for name in row if "accur" in name}
    assert readme_row(NAMES[model, profile])[1:] == [
        f"{ACCURACY[model]:.2f}" if model in ACCURACY else "–",
        f"{shown['test_accuracy']} ({100 * low:.1f} to {100 * high:.1f})",
        shown["test_accuracy_clean"],
        shown["validation_accuracy"],
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
    deep, deeper = (percent(published, m, column="test_accuracy") for m in ("deep", "deeper"))
    assert max(accuracy) - min(accuracy) > abs(deeper - deep)


def test_readme_says_what_depth_brings(published):
    *most, last = (f"{percent(published, f'depth_{n}_all'):.1f}" for n in range(2, 7))
    assert f"{', '.join(most)} and {last} % of the validation images" in README
    seeds = [percent(published, "depth_5_all", seed=seed) for seed in ("42", "1", "2")]
    spread = max(seeds) - min(seeds)
    assert f"three seeds of five convolutions lie {spread:.1f} points apart" in README


def test_readme_is_right_on_what_patience_brings(published):
    assert "shallow alone, given 30, passes them all, with less than half of deep's work" in README
    others = ["deep", "deeper", *(f"depth_{n}_all" for n in range(2, 7))]
    assert percent(published, "shallow_long") > max(percent(published, m) for m in others)
    work = {
        r["model"]: int(r["epochs"]) * int(r["multiply_adds"])
        for r in published
        if r["profile"] == "short"
    }
    assert work["shallow_long"] < work["deep"] / 2
    names = ("shallow", "deep", "deeper")
    usual, patient = (
        [percent(published, name + ending) for name in names] for ending in ("", "_long")
    )
    assert "deep and deeper reach {:.1f} and {:.1f} %".format(*patient[1:]) in README
    assert (
        f"deep is {patient[1] - patient[0]:.1f} points ahead of shallow, after the usual"
        f" epochs only {usual[1] - usual[0]:.1f}"
    ) in README
    assert {r["epochs"] for r in published if r["model"].endswith("_long")} == {"30"}


def test_readme_says_what_bfloat16_costs(published):
    pairs = [("deep", "depth_4_all"), ("deeper", "depth_5_all")]
    moved = [
        percent(published, half, column="test_accuracy")
        - percent(published, full, column="test_accuracy")
        for full, half in pairs
    ]
    assert (
        "moved the test accuracy of deep by {:+.2f} and of deeper by {:+.2f} points".format(*moved)
        in README
    )
    for row in published:
        half = row["model"].endswith("_long") or "_all" in row["model"]
        half = half or (row["profile"], row["epochs"]) == ("seminar", "2")
        assert row["precision"] == ("bfloat16" if half else "float32"), row["model"]


def test_readme_says_how_far_the_seminars_own_recipes_went(published):
    reached = [percent(published, model, "seminar") for model in ("deep", "deeper")]
    assert "after 2 of their 100 epochs ({:.1f} and {:.1f} %".format(*reached) in README
    rows = [r for r in published if r["profile"] == "seminar" and r["model"] != "shallow"]
    assert {(r["model"], r["epochs"]) for r in rows} == {("deep", "2"), ("deeper", "2")}


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
