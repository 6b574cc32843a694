"""The command line: python -m fer_utils run, fetch, train, predict, export or site."""

import argparse
import json
import sys

from fer_utils import PROFILES, SEED, UserError, home, terminate_as_interrupt


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 2 and one sentence on stderr for a user's error, 130
    for Ctrl+C. Each command imports what it needs, so that `--help` does not wait for torch.
    """
    for stream in (sys.stdout, sys.stderr):  # an older Windows console has no "≥" or "→"
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    options = parser().parse_args(arguments)
    terminate_as_interrupt()
    commands = dict(run=run_series, fetch=fetch_data, train=train_models)
    commands |= dict(predict=predict_faces, export=export_model, site=make_site)
    try:
        return commands[options.command](options) or 0
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who reads has seen enough, as `head` has
        sys.stdout = None
        return 141


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="python -m fer_utils", description="FER2013 notebook series")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the notebooks and write the HTML report")
    run.add_argument("notebooks", nargs="*", help="which, by number or name (default: all)")
    run.add_argument("--keep-going", action="store_true", help="run the later ones after a failure")

    fetch = commands.add_parser("fetch", help="download FER2013 from Kaggle, or take a copy")
    fetch.add_argument("--from", dest="path", metavar="PATH", help="a folder, zip, tar or csv")
    fetch.add_argument("--seminar-split", action="store_true", help="the seminar's own Kaggle copy")
    fetch.add_argument("--ferplus", metavar="PATH", help="take FER+ votes on it, a csv, instead")

    train = commands.add_parser("train", help="train models and experiments, or go on training")
    train.add_argument("names", nargs="*", metavar="NAME", help="models and experiments")
    train.add_argument("--list", action="store_true", help="say which there are, with minutes")
    train.add_argument("--all-published", action="store_true", help="make the published runs again")
    train.add_argument("--threads", type=int, help="CPU threads (default: all cores)")
    train.add_argument("--retrain", action="store_true", help="train what is there, too")
    train.add_argument("--json", action="store_true", help="end with a line of JSON a run")

    predict = commands.add_parser("predict", help="say how faces on photos would be labelled")
    predict.add_argument("pictures", nargs="+", metavar="PICTURE", help="files, folders of them, -")
    where = predict.add_mutually_exclusive_group()
    where.add_argument("--box", nargs=4, type=int, metavar="N", help="left top right bottom")
    where.add_argument("--crop", choices=["find", "none"], default="find", help="none: all is face")
    predict.add_argument("--json", action="store_true", help="a line of JSON a face")
    predict.add_argument("--out", metavar="FOLDER", help="for copies with boxes and bars drawn in")
    predict.add_argument("--model", help="whose weights (default: the best that ship)")

    export = commands.add_parser("export", help="write a model as an ONNX file")
    export.add_argument("model", metavar="MODEL", help="one whose weights ship, such as deeper")
    export.add_argument("--out", metavar="FILE", help="default: MODEL.onnx")

    site = commands.add_parser("site", help="write the committed notebooks as web pages")
    site.add_argument("--out", default=home() / "site", help="their folder (default: data/site)")

    sources = "auto, synthetic, fer2013, fer2013-seminar-split or a path"
    for command in (run, train):
        command.add_argument("--data", default="auto", help=sources)
        command.add_argument("--profile", choices=PROFILES, default="short")
        command.add_argument("--seed", type=int, default=SEED)
    return top


def run_series(options) -> None:
    """`run`: all notebooks, then say where the report is."""
    from fer_utils import data, series

    data.load(options.data)  # a wrong path fails here, before any notebook starts
    chosen = (options.data, options.profile, options.seed, options.notebooks)
    print(f"Report: {series.run(*chosen, keep_going=options.keep_going)}")


def fetch_data(options) -> None:
    """`fetch`: what was put into data/, counted."""
    from fer_utils import fetching

    found = fetching.fetch_votes(options.ferplus) if options.ferplus else None
    print((found or fetching.fetch(options.path, options.seminar_split)).describe())


def train_models(options) -> None:
    """`train`: the runs of some names; it never reads the test split."""
    import torch

    from fer_utils import data, experiments, runs

    if options.threads is not None and options.threads < 1:
        raise UserError("--threads takes a whole number from 1 on.")
    if options.list:
        print_experiments()
        return
    if not (options.names or options.all_published):
        raise UserError("train takes names, --all-published or --list: see `train --list`.")
    if options.threads:
        torch.set_num_threads(options.threads)
    faces = data.load(options.data)
    print(faces.describe())
    wanted, jobs = list(options.names), []
    if options.all_published:
        wanted += [n for n, (_, on) in experiments.EXPERIMENTS.items() if runs.kind(faces) in on]
    for name in wanted:
        jobs += sum(experiments.jobs(name, options.profile, faces.small, options.seed).values(), [])
    found = runs.train_all(jobs, faces, options.retrain, not options.all_published)
    for run in found if options.json else ():
        last = run.history[-1]
        row = {"name": run.job.title, "seed": run.job.seed, "epochs": last["epoch"]}
        row |= {"validation_accuracy": last["validation_accuracy"]}
        print(json.dumps(row | {"seconds": run.provenance["seconds"]}))


def print_experiments() -> None:
    """Models and experiments, with their runs and the minutes that the published ones took."""
    from fer_utils import experiments

    for name in [*experiments.SETTINGS, *experiments.EXPERIMENTS]:
        jobs = sum(experiments.jobs(name, "short", small=False).values(), [])
        known = sum(experiments.published(name).values(), [])
        minutes = sum(run.provenance["seconds"] for run in known) / 60
        devices = ", ".join(sorted({run.provenance["device"] for run in known}))
        took = f"   {len(known)} published, {minutes:,.1f} minutes on {devices}" * bool(known)
        print(f"{name:18} {len(jobs):3} runs{took}")


def predict_faces(options) -> int:
    """`predict`: a line a face."""
    from fer_utils import predicting

    box, whole = options.box and tuple(options.box), options.crop == "none"
    return predicting.answer(options.pictures, options.model, box, whole, options.json, options.out)


def export_model(options) -> None:
    """`export`: a model whose weights ship, as an ONNX file."""
    from fer_utils import predicting

    print(predicting.export(options.model, options.out or f"{options.model}.onnx"))


def make_site(options) -> None:
    """`site`: the committed notebooks, the ledger and the results as pages."""
    from fer_utils import site

    print(f"Site: {site.write_site(options.out)}")


if __name__ == "__main__":
    sys.exit(main())
