"""Write what README shows of data/published: the picture of results and the ledger's glance.

    python -m tests.readme

`tests/test_readme.py` fails when README, the picture and data/published say different things.
"""

import json
import re

import matplotlib.pyplot as plt
import pandas as pd

from fer_utils import ROOT, ledger, plots
from fer_utils.evaluation import wilson_interval
from fer_utils.seminar import ACCURACY, CLAIMS, CLASS_COUNTS

README, PICTURE = ROOT / "README.md", ROOT / ".github" / "results.png"
TEST_IMAGES = sum(CLASS_COUNTS["test"])
NETWORKS = {
    "fully_connected": "one layer",
    "shallow": "shallow CNN",
    "deep": "deep CNN",
    "deeper": "deeper CNN",
}
RUNS = {  # which of our runs, what README calls them, and their marks
    "{}-seminar": ("the seminar's recipe, here", "o"),
    "{}-short": ("our recipe", "s"),
    "{}_long-short": ("our recipe, 30 epochs", "^"),
}
CHOSEN = (
    *("faces", "accuracy-hides", "fc-35", "no-neighbours", "shallow-53", "deep-59", "deeper-61"),
    *("depth-better", "five-optimal", "more-parameters-third", "table-3", "abstract"),
)


def numbers() -> dict:
    """Test accuracies in percent: by network and by whose they are, with their 95 % intervals.

    The seminar's stand alone: it does not say how many images they are of.
    """
    table = pd.read_csv(ROOT / "data/published/results.csv")
    accuracy = table[table["seed"] == 42].set_index("name")["test_accuracy"]
    found = {}
    for network, title in NETWORKS.items():
        found[title] = {"the seminar": [ACCURACY[network]]}
        for name, (who, _) in RUNS.items():
            if (run := name.format(network)) in accuracy:
                right = round(accuracy[run] * TEST_IMAGES)
                values = (right / TEST_IMAGES, *wilson_interval(right, TEST_IMAGES))
                found[title][who] = [round(100 * value, 2) for value in values]
    return found


def draw(found: dict) -> plt.Figure:
    """The picture: a row a network, a mark a recipe, a line its interval."""
    plots.style()
    fig, ax = plt.subplots(figsize=(8, 3.6))
    marks = {"the seminar": "D"} | dict(RUNS.values())
    for number, (who, mark) in enumerate(marks.items()):
        colour, rows = "black" if number == 0 else plots.PALETTE[number - 1], []
        for row, by in enumerate(found.values()):
            if who in by:
                value, *interval = by[who]
                y = row + 0.19 * (number - 1.5)
                rows.append((value, y))
                ax.plot(interval, [y] * len(interval), color=colour)
                right = interval[1] if interval else value
                ax.text(right + 0.6, y, f"{value:.1f}", va="center", fontsize=8, color="#333333")
        ax.plot(*zip(*rows, strict=True), mark, color=colour, label=who, markersize=6)
    ax.set(yticks=range(len(found)), yticklabels=found, ylim=(len(found) - 0.5, -0.5))
    ax.set(xlim=(30, 75), xlabel="test accuracy on FER2013, percent; lines: 95 % intervals")
    fig.legend(loc="outside upper center", ncols=4)
    return fig


def in_words(found: dict) -> str:
    """The picture's alternative text."""
    parts = []
    for network, by in found.items():
        values = [f"{value[0]:.1f} ({who})" for who, value in by.items()]
        parts.append(f"{network}: {', '.join(values)}")
    return f"Test accuracies in percent. {'; '.join(parts)}."


def glance() -> str:
    """The ledger at a glance: how many claims came out how, and some of them, as published."""
    published, words = ledger.published_claims(), {}
    for part, word in published["verdict"].items():
        words.setdefault(CLAIMS[part].of, set()).add(word)
    told = [found.pop() if len(found) == 1 else "mixed" for found in words.values()]
    counts = [f"{told.count(word)} {word}" for word in [*ledger.WORDS, "mixed"] if word in told]
    counted = f"Of the seminar's {len(words)} claims on FER2013: {', '.join(counts)}"
    lines = [f"{counted} (claims whose parts differ)." if "mixed" in told else f"{counted}.", ""]
    lines += ["| the seminar says | measured here | verdict |", "|---|---|---|"]
    for claim, row in published.loc[list(CHOSEN)].iterrows():
        lines.append(f"| {row['the seminar says']} | {row['measured']} | {row['verdict']} |")
    return "\n".join(lines)


def between(name: str, text: str, new: str) -> str:
    """A text with the lines between its marks <!-- name --> and <!-- /name --> exchanged."""
    pattern = f"(?s)(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    assert len(re.findall(pattern, text)) == 1, f"README has no place <!-- {name} -->"
    return re.sub(pattern, lambda found: f"{found[1]}{new}\n{found[2]}", text)


def main() -> None:
    """Write README's two places and the picture, which carries its numbers."""
    found, text = numbers(), README.read_text("utf-8")
    text = between("ledger", text, glance())
    text = between("picture", text, f"![{in_words(found)}](.github/results.png)")
    README.write_text(text, "utf-8")
    draw(found).savefig(PICTURE, dpi=150, metadata={"Comment": json.dumps(found)})


if __name__ == "__main__":
    main()
