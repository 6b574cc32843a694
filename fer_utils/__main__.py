"""The command line: python -m fer_utils run, fetch, train, predict, export, site or publish."""

import argparse
import json
import sys

from fer_utils import ROOT, UserError, home, read_toml, terminate_as_interrupt


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
    commands |= dict(predict=predict_faces, export=export_model)
    commands |= dict(site=make_site, publish=publish_results)
    try:
        return commands[options.command](options) or 0
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options: commands.toml lists them."""
    top = argparse.ArgumentParser(prog="python -m fer_utils", description="FER2013 notebook series")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, entries in read_toml("commands").items():
        command = commands.add_parser(name, help=entries["help"])
        command.register("type", "int", int)
        for option, settings in entries["options"].items():
            command.add_argument(option, **settings)
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

    print(fetching.fetch(options.path, options.seminar_split).describe())


def train_models(options) -> None:
    """`train`: the runs of some names; it never reads the test split."""
    import torch

    from fer_utils import data, experiments, publish, runs

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
    jobs = publish.to_publish(runs.kind(faces)) if options.all_published else []
    for name in options.names:
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
    from fer_utils import publish

    print(f"Site: {publish.write_site(options.out or home() / 'site')}")


def publish_results(options) -> None:
    """`publish`: own runs to data/published, and the notebooks' outputs."""
    from fer_utils import data, publish

    for folder in publish.publish_runs(data.load(options.data)):
        print(folder.relative_to(ROOT))
    publish.publish_notebooks(options.data, options.notebooks)


if __name__ == "__main__":
    sys.exit(main())
