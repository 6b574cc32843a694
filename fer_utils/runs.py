"""Train or load: one folder a run, resumable, locked, never mixed up with another.

A run's identity is its recipe, the data's fingerprint, the seed and ``TRAINING_VERSION``.
Own runs lie in data/runs, published ones in data/published. Introduced in notebook 03.
"""

import hashlib
import io
import json
import os
import pickle
import platform
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import nn
from tqdm import tqdm

from fer_utils import ROOT, home, publishing, write_atomic
from fer_utils.data import Faces, image_hashes
from fer_utils.evaluation import metrics, predict
from fer_utils.models import Architecture, build, multiply_adds, parameters
from fer_utils.progress import clock, track
from fer_utils.recipes import Recipe
from fer_utils.training import TRAINING_VERSION, State, pick_device, start, train

PUBLISHED = ROOT / "data" / "published"
SEED = 42  # the notebooks' default: published runs with this seed don't name it


class RunError(RuntimeError):
    """A run cannot give what was asked; the message says why and what to do."""


@dataclass
class Run:
    """A finished training. origin: ``trained now``, ``own run`` or ``published run``.

    folder holds run.json, filters.safetensors, weights.safetensors (not for every published run)
    and metrics. record is run.json: seed, training_version, fingerprint, data, history, provenance.
    Introduced in notebook 03.
    """

    recipe: Recipe
    folder: Path
    origin: str
    record: dict

    @property
    def seed(self) -> int:
        return self.record["seed"]

    @property
    def history(self) -> list[dict]:
        """One row an epoch, as ``training.train`` yields them."""
        return self.record["history"]

    @property
    def provenance(self) -> dict:
        """Where and when it was trained: date, seconds, device, processor, threads, versions."""
        return self.record["provenance"]

    @property
    def filters(self) -> np.ndarray:
        """First convolution's filters, start and each epoch, float32 [epochs + 1, F, k, k]."""
        tensors = safetensors.torch.load_file(self.folder / "filters.safetensors")
        return tensors["filters"].float().numpy()

    def model(self) -> nn.Module:
        """The trained network in evaluation mode. Raises RunError where no weights are kept."""
        path = self.folder / "weights.safetensors"
        if not path.exists():
            raise RunError(
                f"{self.folder.name} is published without weights:"
                " set RETRAIN = True to train it here."
            )
        recipe = self.recipe
        network = build(recipe.architecture, recipe.dropout_convolution, recipe.dropout_hidden)
        network.load_state_dict(safetensors.torch.load_file(path))
        return network.to(pick_device()).eval()

    def made_on(self, faces: Faces) -> bool:
        """True if this run was trained on exactly these images and this split."""
        return self.record["fingerprint"] == faces.fingerprint

    def metrics(self, split: str, faces: Faces) -> dict:
        """Metrics of a split (``evaluation.metrics`` and ``correct`` bits), kept once measured.

        ``test`` is asked for by a notebook's result cell and by ``publish`` only. A published run
        shows its published metrics on the data they were measured on, else is evaluated afresh.
        """
        path = self.folder / "metrics.json"
        if not self.made_on(faces) and (self.folder / "weights.safetensors").exists():
            training = hashlib.sha256((self.folder / "run.json").read_bytes()).hexdigest()
            name = f"{self.folder.name}-{training[:12]}-{faces.fingerprint[:12]}.json"
            path = home() / "runs" / "elsewhere" / name
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if split not in kept:
            kept[split] = measure(self.model(), split, faces)
            write_json(path, kept)
        return kept[split]

    def published_metrics(self) -> dict:
        """Published metrics by split (``validation``, ``test``), whatever data the reader has."""
        return json.loads((self.folder / "metrics.json").read_text("utf-8"))

    def correct(self, split: str, faces: Faces) -> np.ndarray:
        """Whether each image of a split was classified correctly, bool [n], by file name.

        Raises RunError for a run without weights on another copy of its data, whose images may
        stand in another order.
        """
        if not self.made_on(faces):
            self.model()  # raises where there are no weights
        return unpack(self.metrics(split, faces))

    def describe(self) -> str:
        """One line: model, profile, seed, origin, epochs and validation accuracy."""
        last, r = self.history[-1], self.recipe
        when = "" if self.origin == "trained now" else f" of {self.provenance['date']}"
        return (
            f"{r.model} ({r.profile}, seed {self.seed}): {self.origin}{when}, {last['epoch']}"
            f" epochs, validation accuracy {last['validation_accuracy']:.2%}"
        )


def paired(first: Run, second: Run, split: str, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """Two runs' correct answers, bool [n] each, in the same order of images, for a paired test.

    Two runs made on the same copy of the data are compared on that copy, whichever the reader has;
    other pairs on ``faces`` (see ``Run.correct``). Introduced in notebook 08.
    """
    if first.record["fingerprint"] == second.record["fingerprint"] != faces.fingerprint:
        return tuple(unpack(run.published_metrics()[split]) for run in (first, second))
    return first.correct(split, faces), second.correct(split, faces)


def unpack(kept: dict) -> np.ndarray:
    """The correct/incorrect bits of metrics, bool [n]."""
    bits = np.frombuffer(bytes.fromhex(kept["correct"]), np.uint8)
    return np.unpackbits(bits, count=kept["n"]).astype(bool)


def measure(model: nn.Module, split: str, faces: Faces) -> dict:
    """Metrics of one split, a correct/incorrect bit an image (hex), accuracy without leaks."""
    images, labels = faces.split(split)
    predicted = predict(model, images).argmax(1)
    right = predicted == labels
    clean = ~np.isin(image_hashes(images), image_hashes(faces.split("train")[0]))
    return metrics(labels, predicted) | {
        "correct": np.packbits(right).tobytes().hex(),
        "n_clean": int(clean.sum()),
        "accuracy_clean": float(right[clean].mean()),
    }


def train_or_load(recipe: Recipe, faces: Faces, seed: int = SEED, retrain: bool = False) -> Run:
    """The run of this identity: an own finished one, else a published one, else trained now.

    retrain: train even if there is one. An interrupted training goes on after its last whole epoch.
    While notebooks are published, a published run comes first: their outputs show what readers get.
    Prints where the run comes from, and one line an epoch. A second process asking for the same
    run waits for the first. Introduced in notebook 03.
    """
    key = f"s{seed}-{identity(recipe, faces, seed)[:12]}"
    folder = home() / "runs" / f"{recipe.model}-{recipe.profile}-{key}"
    run = None if retrain else known_run(recipe, faces, seed, key)
    if run is None:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if retrain and (folder / "run.json").exists():
                shutil.rmtree(folder)
            run = load_run(folder, "own run") or train_run(recipe, faces, seed, folder)
    run = replace(run, recipe=recipe)  # the same numbers may have been made under other labels
    print(run.describe())
    return run


def known_run(recipe: Recipe, faces: Faces, seed: int, key: str) -> Run | None:
    """The finished own or published run to show, or None."""
    if publishing():
        return published_run(recipe, seed, faces) or own_run(key)
    return own_run(key) or published_run(recipe, seed, faces)


def own_run(key: str) -> Run | None:
    """The finished own run whose folder's name ends in ``key``, whatever its labels, or None."""
    found = sorted((home() / "runs").glob(f"*-{key}/run.json"))
    return load_run(found[0].parent, "own run") if found else None


def locked(path: Path):
    """The lock at ``path``, held until the ``with`` ends; says so if another process has it."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print("Another process is training this run: waiting for it.", flush=True)
        return lock.acquire()


def identity(recipe: Recipe, faces: Faces, seed: int) -> str:
    """sha256 (hex) over everything that decides a run's numbers."""
    parts = [recipe.identity(), faces.fingerprint, seed, TRAINING_VERSION]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load_run(folder: Path, origin: str) -> Run | None:
    """The finished run in a folder, or None. Raises RunError if its run.json is damaged."""
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise RunError(f"{path} is damaged: delete its folder and run again.") from error
    return Run(as_recipe(record["recipe"]), folder, origin, record)


def as_recipe(fields: dict) -> Recipe:
    """The recipe that ``dataclasses.asdict`` and JSON made plain values of."""
    shape = dict(fields["architecture"])
    shape["convolutions"] = tuple(map(tuple, shape["convolutions"]))
    shape["hidden"] = tuple(shape["hidden"])
    return Recipe(**fields | {"architecture": Architecture(**shape)})


def kind(faces: Faces | None) -> str:
    """What published results are filed under: ``synthetic`` for drawn faces, else ``fer2013``."""
    return "synthetic" if faces is not None and faces.synthetic else "fer2013"


def offered(fingerprint: str, faces: Faces | None) -> bool:
    """True if a result published on data of this fingerprint stands for ``faces`` as well.

    On FER2013 it does where the class counts by split are the official ones, on drawn faces where
    they are of the same version. ``faces`` None: always.
    """
    return faces is None or faces.official or faces.fingerprint == fingerprint


def published_runs(data: str = "fer2013") -> list[Run]:
    """All runs in data/published on ``fer2013`` or on ``synthetic``, in alphabetical order."""
    paths = sorted(PUBLISHED.glob("*/run.json"))
    found = [load_run(path.parent, "published run") for path in paths]
    return [run for run in found if run.record["data"] == data]


def published_run(recipe: Recipe, seed: int = SEED, faces: Faces | None = None) -> Run | None:
    """The published run of this recipe and seed that is ``offered`` on ``faces``, or None.

    Without ``faces``: the run on FER2013.
    """
    for run in published_runs(kind(faces)):
        same = run.seed == seed and run.recipe.identity() == recipe.identity()
        if same and offered(run.record["fingerprint"], faces):
            return run
    return None


# --- training a run ------------------------------------------------------------------------------


def train_run(recipe: Recipe, faces: Faces, seed: int, folder: Path) -> Run:
    """Train (or go on training) the run of ``folder`` to its end; returns the finished run."""
    state = start(recipe, seed, int((faces.splits == "train").sum()))
    resume(state, folder)
    device = next(state.model.parameters()).device.type
    say = f"Training {recipe.model} ({recipe.profile}, seed {seed}) on {device}"
    done = len(state.history)
    print(f"{say}: {recipe.epochs} epochs" + (f", going on after epoch {done}" if done else ""))
    try:
        epochs = train(state, recipe, faces, seed)
        for row in track(epochs, recipe.model, recipe.epochs, initial=done):
            save_checkpoint(state, folder)
            tqdm.write(progress_line(state.history, recipe.epochs))  # a print would tear the bar
        finish(state, recipe, faces, seed, folder)
    except KeyboardInterrupt:
        print(f"Stopped after epoch {len(state.history)} of {recipe.epochs}; run again to go on.")
        raise
    except OSError as error:
        raise RunError(
            f"{folder} cannot be written ({error.strerror}): make room, then run again to go on."
        ) from error
    return load_run(folder, "trained now")


def progress_line(history: list[dict], epochs: int) -> str:
    """What an epoch's end prints: accuracy and losses, its seconds and the time left."""
    row = history[-1]
    pace = sum(each["seconds"] for each in history) / len(history)
    left = clock(pace * (epochs - row["epoch"]))
    return (
        f"epoch {row['epoch']:3d}/{epochs}"
        f"  validation accuracy {row['validation_accuracy']:6.2%}"
        f"  loss {row['validation_loss']:.3f} (training {row['train_loss']:.3f})"
        f"  {row['seconds']:.1f} s, {left} left"
    )


def save_checkpoint(state: State, folder: Path) -> None:
    """Write checkpoint.pt (a sha256, then torch's format) and keep the one before."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    content = buffer.getvalue()
    if (folder / "checkpoint.pt").exists():
        os.replace(folder / "checkpoint.pt", folder / "previous.pt")
    write_atomic(folder / "checkpoint.pt", hashlib.sha256(content).digest() + content)


def resume(state: State, folder: Path) -> None:
    """Put the newest undamaged checkpoint, if any, into ``state``."""
    device = next(state.model.parameters()).device
    for path in (folder / "checkpoint.pt", folder / "previous.pt"):
        if not path.exists():
            continue
        if saved := read_checkpoint(path, device):
            state.load_state_dict(saved)
            return
        path.replace(path.with_suffix(".damaged"))
        print(f"{path.name} of {folder.name} is damaged; put aside as {path.stem}.damaged.")


def read_checkpoint(path: Path, device: torch.device) -> dict | None:
    """What a checkpoint holds; None if it is damaged or more than tensors and plain values."""
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None  # torch.load would not notice a flipped bit
    try:
        return torch.load(io.BytesIO(content[32:]), map_location=device, weights_only=True)
    except pickle.UnpicklingError:
        return None


def finish(state: State, recipe: Recipe, faces: Faces, seed: int, folder: Path) -> None:
    """Write the finished run's weights, filters and, last, run.json; drop the checkpoints."""
    save_weights(state.model, folder, torch.float32)
    if state.filters:
        save_tensors({"filters": torch.stack(state.filters)}, folder / "filters.safetensors")
    device = next(state.model.parameters()).device
    record = {
        "recipe": asdict(recipe),
        "seed": seed,
        "training_version": TRAINING_VERSION,
        "fingerprint": faces.fingerprint,
        "data": faces.source,
        "history": state.history,
        "provenance": {
            "date": date.today().isoformat(),
            "seconds": round(sum(row["seconds"] for row in state.history), 1),
            "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "threads": torch.get_num_threads(),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        },
    }
    write_json(folder / "run.json", record)
    for path in [*folder.glob("*.pt"), *folder.glob(".*.part")]:
        path.unlink()


def save_weights(model: nn.Module, folder: Path, dtype: torch.dtype) -> None:
    """weights.safetensors: matrices and filters as ``dtype``, biases and statistics as they are."""
    tensors = {
        name: tensor.detach().cpu().to(dtype if tensor.ndim > 1 else tensor.dtype)
        for name, tensor in model.state_dict().items()
    }
    save_tensors(tensors, folder / "weights.safetensors")


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors as one safetensors file, atomically."""
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(plain))


def write_json(path: Path, value) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())


# --- publishing ----------------------------------------------------------------------------------


def publish_runs(faces: Faces, with_weights: set[Recipe]) -> list[Path]:
    """Copy each finished own run on ``faces`` (not smoke) to data/published; write results.csv.

    with_weights: recipes whose weights of the default seed are shipped, as float16; metrics are
    those of the weights as shipped. Raises RunError unless ``faces`` has the
    official split or is drawn, if nothing is there to publish, or if two runs would get one folder.
    """
    if not (faces.official or faces.synthetic):
        raise RunError(
            "Only runs on FER2013's official split and on drawn faces are published: use"
            " --data fer2013 or --data synthetic."
        )
    chosen: dict[Path, Run] = {}
    for path in sorted((home() / "runs").glob("*/run.json")):
        run = load_run(path.parent, "own run")
        if run.record["fingerprint"] == faces.fingerprint and run.recipe.profile != "smoke":
            other = chosen.setdefault(published_folder(run, faces), run)
            if other is not run:
                raise RunError(
                    f"{other.folder.name} and {run.folder.name} would both be published"
                    f" as {published_folder(run, faces).name}: rename the model of one,"
                    " or delete one."
                )
    for target, run in chosen.items():
        shipped = run.recipe in with_weights and run.seed == SEED
        if not is_published(run, target, shipped):
            publish_run(run, faces, target, shipped)
    rows = [results_row(run) for run in published_runs()]
    if not (rows or chosen):
        raise RunError("No finished run on this data to publish: train one first.")
    if rows:
        table = pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")
        write_atomic(PUBLISHED / "results.csv", table.encode())
    return sorted(PUBLISHED.glob("*/"))


def published_folder(run: Run, faces: Faces) -> Path:
    """data/published/<model>-<profile>[-s<seed>][-synthetic]; the default seed is not named."""
    seed = "" if run.seed == SEED else f"-s{run.seed}"
    drawn = "-synthetic" if faces.synthetic else ""
    return PUBLISHED / f"{run.recipe.model}-{run.recipe.profile}{seed}{drawn}"


def is_published(run: Run, target: Path, weights: bool) -> bool:
    """True if exactly this training is in ``target`` already, with or without weights as asked."""
    known = load_run(target, "published run")
    files = {path.name for path in target.glob("*")}
    same = known and known.history == run.history and known.recipe == run.recipe
    return bool(same) and "metrics.json" in files and weights == ("weights.safetensors" in files)


def publish_run(run: Run, faces: Faces, target: Path, weights: bool) -> None:
    """Write the run's folder in data/published: no labels, no pictures."""
    if target.exists():
        shutil.rmtree(target)
    save_weights(run.model(), target, torch.float16)
    if run.recipe.architecture.convolutions:
        filters = torch.from_numpy(run.filters).half()
        save_tensors({"filters": filters}, target / "filters.safetensors")
    write_json(target / "run.json", run.record | {"data": kind(faces)})
    shipped = load_run(target, "published run")
    for split in ("validation", "test"):
        shipped.metrics(split, faces)
    if not weights:
        (target / "weights.safetensors").unlink()


def results_row(run: Run) -> dict:
    """One line of results.csv, the source of every table of published results."""
    validation, test = (run.published_metrics()[split] for split in ("validation", "test"))
    return {
        "model": run.recipe.model,
        "profile": run.recipe.profile,
        "seed": run.seed,
        "epochs": len(run.history),
        "validation_accuracy": round(validation["accuracy"], 5),
        "test_accuracy": round(test["accuracy"], 5),
        "test_accuracy_clean": round(test["accuracy_clean"], 5),
        "macro_f1": round(test["macro_f1"], 5),
        "minutes": round(run.provenance["seconds"] / 60, 1),
        "parameters": parameters(build(run.recipe.architecture)),
        "multiply_adds": multiply_adds(run.recipe.architecture),
        "precision": run.recipe.precision,
    }
