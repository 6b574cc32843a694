"""The author's room: python -m tests.publish [NN …] --data PATH writes data/published and outputs.

Finished own runs go to data/published, then the notebooks run (all, or some by number) and their
outputs are kept. No reader needs it, so it is not in the package.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch  # sets environment variables for a while, nothing else

import nbformat
import numpy as np
import pandas as pd
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss

from fer_utils import (
    ROOT,
    UserError,
    data,
    experiments,
    files,
    home,
    ledger,
    runs,
    series,
    terminate_as_interrupt,
)
from fer_utils.evaluation import predict
from fer_utils.models import build, multiply_adds, parameters

# ---------------------------------------------------------------- runs

# Notebooks 03, 10 and 13 look into these.
WITH_WEIGHTS = ("fully_connected-short", "deeper-short", "held_out-short")


def to_publish(kind: str) -> list[runs.Job]:
    """Every job whose run is published on `fer2013` or on `synthetic`, each once."""
    names = [name for name, (_, places) in experiments.EXPERIMENTS.items() if kind in places]
    wanted = [experiments.jobs(name, "short", small=kind == "synthetic") for name in names]
    listed = [job for each in wanted for job in sum(each.values(), [])]
    firsts = {(job.recipe, job.seed, job.fold): job for job in reversed(listed)}
    return list(firsts.values())[::-1]


def publish_runs(faces: data.Faces) -> list[Path]:
    """Copy finished own runs of all experiments on `faces` to data/published; write results.csv.

    Metrics are those of the weights as shipped (float16), or as they would be. Returns the folders
    that are new or changed. Raises RunError unless `faces` has the official split or is drawn.
    """
    check_split(faces)
    drawn, changed = "-synthetic" * faces.synthetic, []
    for job in to_publish(runs.kind(faces)):
        target = runs.PUBLISHED / f"{job.title}{drawn}"
        run, known = runs.own_run(job, faces), runs.load_run(target, "published run")
        # The seconds of an epoch, with all their digits, tell one training from its repetition.
        if run and not (known and known.history[-1]["seconds"] == run.history[-1]["seconds"]):
            publish_run(replace(run, job=job), faces, target)
            changed.append(target)
    rows = [results_row(run) for run in runs.published_runs() if run.job.fold is None]
    table = pd.DataFrame(rows).round(5).to_csv(index=False, lineterminator="\n")
    files.write_atomic(runs.PUBLISHED / "results.csv", table.encode())
    return changed


def publish_run(run: runs.Run, faces: data.Faces, target: Path) -> None:
    """Write the run's folder in data/published: no labels, no pictures; of a fold no metrics."""
    if target.exists():
        shutil.rmtree(target)
    record = run.record | {"name": run.job.name, "data": runs.kind(faces)}
    if run.job.fold is None or run.job.name in WITH_WEIGHTS:
        for name in run.record["files"]:
            runs.save_tensors(run.tensors(name), target / name, torch.float16)
    if run.job.fold is None:
        shipped = replace(run, folder=target, record=run.record | {"files": runs.digests(target)})
        validation, _ = (shipped.metrics(split, faces) for split in ("validation", "test"))
        # One number under one name: the last epoch's is that of the weights as shipped.
        *rows, last = run.history
        record["history"] = [*rows, last | {"validation_accuracy": validation["accuracy"]}]
        if run.job.title in WITH_WEIGHTS:
            calibrate(shipped, faces)
        else:
            (target / "weights.safetensors").unlink()
    runs.write_record(target, record)


def calibrate(run: runs.Run, faces: data.Faces) -> None:
    """Write calibration.json beside weights that ship: the temperature (see notebook 11) with the
    least cross-entropy on validation.
    """
    images, labels = faces.split("validation")
    scores = np.log(predict(run.model(), images))  # logits, apart from a number an image
    tried = np.arange(0.3, 3, 0.01)
    losses = [log_loss(labels, softmax(scores / one, 1), labels=range(7)) for one in tried]
    kept = {"temperature": round(float(tried[np.argmin(losses)]), 2), "fitted on": "validation"}
    files.write_json(run.folder / "calibration.json", kept)


def results_row(run: runs.Run) -> dict:
    """One line of results.csv, the source of every table of published results."""
    validation, test = (run.published_metrics()[split] for split in ("validation", "test"))
    shape = run.recipe.architecture
    row = {"name": run.job.name, "seed": run.job.seed, "epochs": len(run.history)}
    row |= {"validation_accuracy": validation["accuracy"], "test_accuracy": test["accuracy"]}
    row |= {"test_accuracy_clean": test["accuracy_clean"], "macro_f1": test["macro_f1"]}
    row["minutes"] = round(run.provenance["seconds"] / 60, 1)
    row |= {"device": run.provenance["device"], "precision": run.recipe.precision}
    return row | {"parameters": parameters(build(shape)), "multiply_adds": multiply_adds(shape)}


def check_split(faces: data.Faces) -> None:
    """Raise RunError unless results on these faces are published."""
    if not (faces.official or faces.synthetic):
        reason = "has not FER2013's official split, so nothing on it is published"
        raise runs.RunError(f"{faces.title} {reason}: use --data fer2013 or --data synthetic.")


# ---------------------------------------------------------------- notebooks


def publish_notebooks(source: str = "auto", names=None) -> None:
    """Run the notebooks as a reader with the published runs only would; write the outputs back.

    `source` is what `data.load` takes, `names` what `series.select` takes. It happens in a home
    of its own, `home()/publishing`, with faces hidden. What the notebooks kept on the seminar's
    claims goes to data/published/claims.json; a notebook that shows a claim which changed runs
    once more. On drawn faces the notebooks run, and no outputs and no claims are written. Raises
    RunError for data of another split, NotebookFailed for a notebook that failed; no output is
    written then.
    """
    faces = data.load(source)
    check_split(faces)
    room, chosen = (home() / "publishing").resolve(), series.select(names)
    # A name is looked up in this home, not in the room.
    source = "synthetic" if faces.synthetic else str((home() / faces.source).resolve())
    for folder in ("runs", "claims"):
        shutil.rmtree(room / folder, ignore_errors=True)
    if (votes := data.votes_path(faces)).exists():
        files.write_atomic(room / votes.name, votes.read_bytes())
    with patch.dict(os.environ, FER_HOME=str(room), FER_HIDE_FACES="1"):
        for row in [] if faces.synthetic else ledger.published_rows():
            # So that the ledger of notebook 09 is full.
            files.write_json(ledger.path_of(row["claim"], faces), row)
        out = series.run(source, names=names, prepare=ask).parent
        showing = set() if faces.synthetic else publish_claims(faces)
        again = [notebook.stem for notebook in chosen if notebook.stem[:2] in showing]
        if again:
            series.run(source, names=again, out=out, prepare=ask)
            publish_claims(faces)  # what changed in that run
    for notebook in [] if faces.synthetic else chosen:
        publish_outputs(out / f"{notebook.stem}.ipynb", notebook)


def publish_claims(faces) -> set[str]:
    """Write what is kept on `faces` to data/published/claims.json; return the numbers of the
    notebooks that show a claim which changed.
    """
    before, kept = ledger.published_claims(), ledger.kept_claims(faces).assign(data="fer2013")
    said = ["measured", "verdict"]
    changed = (kept[said] != before[said]).any(axis=1)
    rows = kept[kept["verdict"] != ledger.NOT_RUN].reset_index()
    rows = rows[["claim", "measured", "verdict", "notebook", "data"]].to_dict("records")
    files.write_json(ledger.PUBLISHED_CLAIMS, {"claims": rows})
    return {"09", *kept["notebook"][changed]} if changed.any() else set()


NUMBER = re.compile(r"([^\s(*]+)<!--\{(.+?)\}-->")  # in prose: 17.2<!--{cost:.1f}-->


def numbers(notebook) -> list[tuple[str, str]]:
    """The numbers in a notebook's prose and what each is made of, as in an f-string."""
    return NUMBER.findall("\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"))


def ask(notebook) -> None:
    """Append a cell that prints what the numbers in the prose are in this run."""
    asked = ", ".join(f"{what!r}: f'''{{{what}}}'''" for _, what in numbers(notebook))
    source = f"import json\nprint(json.dumps({{{asked}}}))"
    notebook.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": ["numbers"]}))


def source_hash(notebook) -> str:
    """The sha256 (hex) of all code cells' sources: outputs kept under it are fresh."""
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    added = {"setup", "injected-parameters", "numbers"}
    own = [c for c in codes if not added.intersection(c.metadata.get("tags", []))]
    return hashlib.sha256("\0".join(cell.source for cell in own).encode()).hexdigest()


def publish_outputs(executed_path: Path, notebook_path: Path) -> None:
    """Write the outputs of an executed copy back into the notebook in notebooks/.

    Only outputs move, and numbers into the prose: neither papermill's cell and metadata nor widget
    states come along. Execution counts become 1..n; `fer_source_hash`, `fer_numbers` (what `ask`
    printed) and, where it is new, `fer_seconds` are set.
    Raises NotebookFailed when the copy did not run to its end or the notebook's code has changed
    since.
    """
    executed, notebook = series.check_executed(executed_path), nbformat.read(notebook_path, 4)
    code = source_hash(notebook)
    if source_hash(executed) != code:
        raise series.NotebookFailed(f"{notebook_path} has changed since it was run: run it again.")
    outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
    found = json.loads(executed.cells[-1].outputs[0].text)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = NUMBER.sub(lambda n: f"{found[n[2]]}<!--{{{n[2]}}}-->", cell.source)
    for number, cell in enumerate(series.code_cells(notebook), 1):
        cell.outputs, cell.execution_count = outputs[cell.id], number
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
    seconds = notebook.metadata.get("fer_seconds", round(executed.metadata.papermill.duration))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    kept = dict(kernelspec=kernel, language_info={"name": "python"}, fer_seconds=seconds)
    notebook.metadata = kept | {"fer_source_hash": code, "fer_numbers": found}
    files.write_atomic(notebook_path, f"{nbformat.writes(notebook)}\n".encode())


def main(arguments: list[str] | None = None) -> int:
    """Publish own runs and some notebooks; the exit code is 2 for an error, told in a sentence."""
    parser = argparse.ArgumentParser(prog="python -m tests.publish", description=__doc__)
    parser.add_argument("notebooks", nargs="*", help="whose outputs (default: all)")
    parser.add_argument("--data", default="auto", help="as for `python -m fer_utils run`")
    options = parser.parse_args(arguments)
    terminate_as_interrupt()
    try:
        for folder in publish_runs(data.load(options.data)):
            print(folder.relative_to(ROOT))
        publish_notebooks(options.data, options.notebooks)
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
