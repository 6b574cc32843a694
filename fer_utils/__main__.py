"""The command line: python -m fer_utils run | fetch | train | publish (see README)."""

import argparse
import json
import os
import signal
import sys
from dataclasses import replace

import torch

from fer_utils import ROOT, cross_validation, data, runs, seminar, series, training
from fer_utils.models import ARCHITECTURES
from fer_utils.recipes import PROFILES, recipe

# Models that are published with their weights, trained whole by their own recipes.
SHIPPED = {"fully_connected", "hidden_layer", "shallow", "deep", "deeper"}
SHIPPED_DRAWN = {"fully_connected", "deeper"}  # whose layers notebooks 03 and 10 look into
# What a user can cause; DataError is a ValueError.
USER_ERRORS = (ValueError, runs.RunError, training.TrainingError, series.NotebookFailed)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. A user's error is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):  # an older Windows console has no "≥" or "→"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = parser().parse_args(arguments)
    # A terminated training ends as Ctrl+C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.command(options)
    except USER_ERRORS as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="python -m fer_utils", description="FER2013 notebook series")
    commands = top.add_subparsers(required=True, metavar="run | fetch | train | publish")

    run = commands.add_parser("run", help="run the notebooks and write the HTML report")
    run.add_argument("notebooks", nargs="*", help="which, by number or name (default: all)")
    run.add_argument("--keep-going", action="store_true", help="run the later ones after a failure")
    run.set_defaults(command=run_series)

    fetch = commands.add_parser("fetch", help="download FER2013 from Kaggle, or take a copy")
    fetch.add_argument("--from", dest="path", metavar="PATH", help="a folder, zip, tar or csv")
    fetch.add_argument("--seminar-split", action="store_true", help="the seminar's own Kaggle copy")
    fetch.set_defaults(command=fetch_data)

    train = commands.add_parser("train", help="train one model, or go on training it")
    train.add_argument("model", choices=ARCHITECTURES)
    train.add_argument("--epochs", type=int, help="how many (default: the recipe's)")
    train.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    train.add_argument("--json", action="store_true", help="end with the result as a line of JSON")
    train.set_defaults(command=train_model)

    publish = commands.add_parser("publish", help="write data/published and the notebooks' outputs")
    publish.add_argument("notebooks", nargs="*", help="whose outputs (default: all)")
    publish.set_defaults(command=publish_results)

    sources = "auto, synthetic, fer2013, fer2013-seminar-split or a path"
    for command in (run, train, publish):
        command.add_argument("--data", default="auto", help=sources)
    for command in (run, train):
        command.add_argument("--profile", choices=PROFILES, default="short")
        command.add_argument("--seed", type=int, default=runs.SEED)
    return top


def run_series(options) -> None:
    """``run``: all notebooks, then say where the report is."""
    data.load(options.data)  # a wrong path fails here, before any notebook starts
    chosen = (options.data, options.profile, options.seed, options.notebooks)
    print(f"Report: {series.run(*chosen, keep_going=options.keep_going)}")


def fetch_data(options) -> None:
    """``fetch``: what was put into data/, counted."""
    print(data.fetch(options.path, options.seminar_split).describe())


def train_model(options) -> None:
    """``train``: one run; it never reads the test split."""
    for name in ("epochs", "threads"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise ValueError(f"--{name} takes a whole number from 1 on.")
    if options.threads:
        torch.set_num_threads(options.threads)
    faces = data.load(options.data)
    print(faces.describe())
    chosen = recipe(options.model, options.profile, faces)
    if options.epochs:
        chosen = replace(chosen, epochs=options.epochs)
    run = runs.train_or_load(chosen, faces, options.seed)
    if options.json:
        last = run.history[-1]
        print(
            json.dumps(
                {
                    "model": options.model,
                    "profile": options.profile,
                    "seed": run.seed,
                    "epochs": last["epoch"],
                    "validation_accuracy": last["validation_accuracy"],
                    "seconds": run.provenance["seconds"],
                }
            )
        )


def publish_results(options) -> None:
    """``publish``: own runs to data/published and, on real data, the notebooks' outputs."""
    faces = data.load(options.data)
    shipped = {
        recipe(model, profile, faces)
        for profile in ("short", "seminar")
        for model in (SHIPPED_DRAWN if faces.synthetic else SHIPPED)
    }
    for folder in runs.publish_runs(faces, shipped):
        print(folder.relative_to(ROOT))
    cross_validation.publish_folds(faces)
    if faces.synthetic:
        return
    os.environ["FER_PUBLISHING"] = "1"  # faces reduced to 6 × 6 values, published runs first
    folder = series.run(options.data, names=options.notebooks).parent
    for notebook in series.select(options.notebooks):
        series.publish_outputs(folder / f"{notebook.name}.ipynb", notebook.path)
    seminar.publish_claims(faces)


if __name__ == "__main__":
    sys.exit(main())
