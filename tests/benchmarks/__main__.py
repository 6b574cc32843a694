"""All benchmarks as one table: python -m tests.benchmarks [GROUP …] [--json] [--threads N]

Medians of alternating rounds. Ratio is ours / theirs. Run it on a machine that does nothing else.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from importlib import import_module

from tests.benchmarks.measure import Row, facts

GROUPS = {
    "start": "seconds to import and to say how it is used",
    "work": "multiply-adds that a test accuracy takes, of published runs",
    "load": "first and second load of a data set",
    "batches": "ready batches against ImageFolder and DataLoader",
    "train": "images trained a second against the textbook loop and a matrix product",
    "size": "time and memory from 10,000 to 300,000 images",
    "photo": "seconds from a photo to the answers, beside fer where it is (only when named)",
    "series": "peak memory of the notebooks (minutes, only when named)",
}
NAMED = ("photo", "series")  # groups that only run when named
COLUMNS = {"what": 36, "ours": 7, "theirs": 7, "unit": 16, "ratio": 6, "target": 12, "result": 30}


def main() -> None:
    """Measure the groups and print each row as soon as it is known."""
    options = chosen()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported, anywhere
    show = print_json if options.json else print_row
    head = facts()
    if options.json:
        print(json.dumps({"machine": head}), flush=True)
    else:
        print_head(head)
    missed = []
    for group in options.groups or [name for name in GROUPS if name not in NAMED]:
        print(f"{group}: {GROUPS[group]}", file=sys.stderr)
        for row in import_module(f"tests.benchmarks.{group}").rows():
            show(group, row)
            missed += [row.name] if row.met is False else []
    if not options.json:
        print(f"\nMissed targets: {'; '.join(missed) or 'none'}.")


def chosen() -> argparse.Namespace:
    """Groups, --json and --threads, as they were asked for."""
    names = "\n".join(f"  {name:9}{words}" for name, words in GROUPS.items())
    form = dict(prog="python -m tests.benchmarks", description=f"groups:\n{names}")
    parser = argparse.ArgumentParser(**form, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="default: all but the last two")
    parser.add_argument("--json", action="store_true", help="the machine, then a row, a line each")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: all cores)")
    options = parser.parse_args()
    for name in options.groups:
        if name not in GROUPS:
            parser.error(f"unknown group {name!r}: choose from {', '.join(GROUPS)}")
    return options


def print_json(group: str, row: Row) -> None:
    """A row as one line of JSON."""
    print(json.dumps({"group": group} | asdict(row)), flush=True)


def print_head(head: dict) -> None:
    """The machine, and the table's first two lines."""
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    place = f"{head['processor']}, {head['machine']}, {head['threads']} threads"
    print(f"{head['date']}: {place}, {head['device']}; {versions}, revision {head['revision']}\n")
    print_cells(list(COLUMNS))
    print_cells(["-" * width for width in COLUMNS.values()])


def print_row(_: str, row: Row) -> None:
    """A row of the table."""
    numbers = [shown(each) for each in (row.ours, row.theirs)]
    mark = {True: "met", False: "missed", None: ""}[row.met]
    result = ": ".join(filter(None, (mark, row.note)))
    print_cells([row.name, *numbers, row.unit, shown(row.ratio), row.target, result])


def print_cells(cells: list[str]) -> None:
    """One line of a Markdown table."""
    padded = [cell.ljust(width) for cell, width in zip(cells, COLUMNS.values(), strict=True)]
    print(f"| {' | '.join(padded)} |", flush=True)


def shown(number: float | None) -> str:
    """A number with three digits, or all those before the point."""
    if number is None:
        return "–"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


if __name__ == "__main__":
    main()
