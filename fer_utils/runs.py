"""Train or load: one folder a run, resumable, locked, never mixed up with another.

A run's identity is its recipe, the data's fingerprint, the seed and `TRAINING_VERSION`.
Own runs lie in data/runs, published ones in data/published. Introduced in notebook 05.
"""

import hashlib
import io
import json
import os
import pickle
import shutil
import threading
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import joblib
import numpy as np
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from torch import nn
from tqdm import tqdm

from fer_utils import ROOT, data, home, machine, write_atomic
from fer_utils.cross_validation import Fold
from fer_utils.data import Faces
from fer_utils.evaluation import Score, device_of, metrics, predict, score
from fer_utils.models import build
from fer_utils.progress import clock, track
from fer_utils.recipes import Recipe, from_identity
from fer_utils.training import TRAINING_VERSION, State, start, train

PUBLISHED = ROOT / "data" / "published"
SEED = 42  # the notebooks' default: published runs with this seed don't name it


class RunError(RuntimeError):
    """A run cannot give what was asked; the message says why and what to do."""


@dataclass(frozen=True)
class Job:
    """One training: a name for people, what decides its numbers, and the fold that it trains on
    (None: all training images). Introduced in notebook 05.
    """

    name: str
    recipe: Recipe
    seed: int = SEED
    fold: Fold | None = None

    @property
    def title(self) -> str:
        """The name with seed and fold, as folders have it; the default seed is not named."""
        seed = "" if self.seed == SEED else f"-s{self.seed}"
        return self.name + seed + (f"-fold{self.fold.number}" if self.fold else "")

    def key(self, faces: Faces) -> str:
        """sha256 (hex) over everything that decides the numbers; `faces` is the whole data."""
        fold = self.fold and asdict(self.fold)
        parts = [self.recipe.identity(), fold, faces.fingerprint, self.seed, TRAINING_VERSION]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def folder(self, faces: Faces) -> Path:
        """Where the own run of this job is kept."""
        return home() / "runs" / f"{self.title}-{self.key(faces)[:12]}"


@dataclass
class Run:
    """A finished training. origin: `trained now`, `own run` or `published run`.

    folder holds run.json and, not for every published run, filters.safetensors,
    weights.safetensors and metrics.json. record is run.json: fingerprint, data, training_version,
    history, provenance and the job's fields. Introduced in notebook 03.
    """

    job: Job
    folder: Path
    origin: str
    record: dict

    @property
    def recipe(self) -> Recipe:
        return self.job.recipe

    @property
    def history(self) -> list[dict]:
        """One row an epoch, as `training.train` yields them."""
        return self.record["history"]

    @property
    def provenance(self) -> dict:
        """Where and when it was trained, see `machine.provenance`, and for how many seconds."""
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
            name = self.folder.name
            raise RunError(f"{name} is published without weights: RETRAIN = True trains it here.")
        recipe = self.recipe
        network = build(recipe.architecture, recipe.dropout_convolution, recipe.dropout_hidden)
        network.load_state_dict(safetensors.torch.load_file(path))
        return network.to(machine.pick_device()).eval()

    def made_on(self, faces: Faces) -> bool:
        """True if this run was trained on exactly these images and this split."""
        return self.record["fingerprint"] == faces.fingerprint

    def metrics(self, split: str, faces: Faces) -> dict:
        """Metrics of a split (`evaluation.metrics` and `correct` bits), kept once measured.

        `test` is asked for by a notebook's result cell and by `publish` only. A published run
        shows its published metrics on the data they were measured on, else is evaluated afresh
        if its weights are shipped.
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

    def score(self, split: str, faces: Faces | None = None) -> Score:
        """Accuracy on a split in percent, with its 95 % interval.

        faces: None for a published run's published number. Introduced in notebook 03.
        """
        kept = self.metrics(split, faces) if faces else self.published_metrics()[split]
        return score(unpack(kept))

    def published_metrics(self) -> dict:
        """Published metrics by split (`validation`, `test`), whatever data the reader has."""
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
        """One line: name, seed, origin, epochs and validation accuracy."""
        last, where = self.history[-1], f"{self.job.name}, seed {self.job.seed}: {self.origin}"
        when = "" if self.origin == "trained now" else f" of {self.provenance['date']}"
        accuracy = f"validation accuracy {last['validation_accuracy']:.2%}"
        return f"{where}{when}, {last['epoch']} epochs, {accuracy}"


def paired(first: Run, second: Run, split: str, faces: Faces) -> tuple[np.ndarray, np.ndarray]:
    """Two runs' correct answers, bool [n] each, in the same order of images, for a paired test.

    Two runs made on the same copy of the data are compared on that copy, whichever the reader has;
    other pairs on `faces` (see `Run.correct`). Introduced in notebook 05.
    """
    if first.record["fingerprint"] == second.record["fingerprint"] != faces.fingerprint:
        return tuple(unpack(run.published_metrics()[split]) for run in (first, second))
    return first.correct(split, faces), second.correct(split, faces)


def unpack(kept: dict) -> np.ndarray:
    """The correct/incorrect bits of metrics, bool [n]."""
    bits = np.frombuffer(bytes.fromhex(kept["correct"]), np.uint8)
    return np.unpackbits(bits, count=kept["n"]).astype(bool)


def measure(model: nn.Module, split: str, faces: Faces) -> dict:
    """Metrics of one split, a correct/incorrect bit an image (hex), accuracy without copies."""
    images, labels = faces.split(split)
    predicted = predict(model, images).argmax(1)
    right = predicted == labels
    clean = ~faces.copies(split)
    without = {"n_clean": int(clean.sum()), "accuracy_clean": float(right[clean].mean())}
    return metrics(labels, predicted) | {"correct": np.packbits(right).tobytes().hex()} | without


# --- finding a run ----------------------------------------------------------------------------


def own_run(job: Job, faces: Faces) -> Run | None:
    """The finished own run of this job, under whatever name it was trained, or None."""
    found = sorted((home() / "runs").glob(f"*-{job.key(faces)[:12]}/run.json"))
    return load_run(found[0].parent, "own run") if found else None


def published_run(job: Job, faces: Faces | None = None) -> Run | None:
    """The published run of this job that is offered on `faces`, or None.

    On FER2013 it is where the class counts by split are the official ones, on drawn faces where
    they are of the same version. Without `faces`: the run on FER2013.
    """
    for run in published_runs(kind(faces)):
        same = replace(run.job, name=job.name) == job
        if same and (faces is None or faces.official or run.made_on(faces)):
            return run
    return None


def published_runs(kind: str = "fer2013") -> list[Run]:
    """All runs in data/published on `fer2013` or on `synthetic`, in alphabetical order."""
    paths = sorted(PUBLISHED.glob("*/run.json"))
    runs = [published_record(path, path.stat().st_mtime_ns) for path in paths]
    return [run for run in runs if run.record["data"] == kind]


@lru_cache(None)
def published_record(path: Path, written: int) -> Run:
    """The published run of a run.json: read once, as lists of trainings ask for it many times."""
    return load_run(path.parent, "published run")


def kind(faces: Faces | None) -> str:
    """What published results are filed under: `synthetic` for drawn faces, else `fer2013`."""
    return "synthetic" if faces is not None and faces.synthetic else "fer2013"


def load_run(folder: Path, origin: str) -> Run | None:
    """The finished run in a folder, or None. Raises RunError if its run.json is damaged."""
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text("utf-8"))
        fold = record["fold"] and Fold(**record["fold"])
        job = Job(record["name"], from_identity(record["recipe"]), record["seed"], fold)
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} is damaged: delete its folder and run again.") from error
    return Run(job, folder, origin, record)


# --- training a run ---------------------------------------------------------------------------


def train_or_load(job: Job, faces: Faces, retrain: bool = False) -> Run:
    """The run of a job: an own finished one, else a published one, else trained now.

    retrain: train even if there is one. An interrupted training goes on after its last whole epoch.
    Prints where the run comes from, and one line an epoch. A second process asking for the same
    run waits for the first.
    """
    (run,) = train_all([job], faces, retrain=retrain)
    return run


def train_all(jobs, faces, backend="sequential", workers=-1, retrain=False, published=True):
    """The runs of many jobs, in their order; trained is what has no own and no published run.

    backend: joblib's name of it: `sequential` (here, one after the other), `loky` (`workers`
    processes of one thread, -1 for one a core) or, when installed, `dask` (a cluster, whose
    workers share FER_HOME). A worker loads the data by its source: a task carries no pixels.
    retrain: see `train_or_load`. published: whether a published run counts as there.
    Introduced in notebook 06.
    """
    # By key: two names of the same numbers (the ladder's last row is a depth of 08) are one run.
    found, todo = {}, {}
    for job in jobs:
        run = not retrain and (own_run(job, faces) or published and published_run(job, faces))
        (found if run else todo).setdefault(job.key(faces), run or job)
    made = each_trained(list(todo.values()), faces, backend, workers, retrain)
    if len(todo) > 1:
        made = track(made, "trainings", len(todo))
    found |= zip(todo, made, strict=True)
    runs = [replace(found[job.key(faces)], job=job) for job in jobs]
    for run in runs:
        if run.job.fold is None:  # a search has too many
            print(run.describe())
    return runs


def each_trained(todo: list[Job], faces: Faces, backend: str, workers: int, retrain: bool):
    """Yield the run of each job as it is finished, in the jobs' order."""
    if backend == "sequential":
        yield from (train_run(job, faces, retrain) for job in todo)
        return
    told = (faces.source, faces.fingerprint, str(home().resolve()), retrain)
    tasks = (joblib.delayed(train_elsewhere)(job, *told) for job in todo)
    with joblib.parallel_config(backend, n_jobs=workers):
        yield from joblib.Parallel(return_as="generator")(tasks)


# Threads of one worker (dask's default) take turns: random numbers belong to the process.
ONE_AT_A_TIME = threading.Lock()


def train_elsewhere(job: Job, source, fingerprint, folder, retrain=False) -> Run:
    """`train_run` in another process or on another machine, with one thread, by the data's source.

    folder: FER_HOME, where all workers write. Raises RunError if the data found there is another.
    Prints nothing: many workers' lines would mix.
    """
    os.environ["FER_HOME"] = folder
    silent = redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO())
    with ONE_AT_A_TIME, silent[0], silent[1], machine.threads(1):
        faces = loaded(source)
        if faces.fingerprint != fingerprint:
            raise RunError(f"{source} holds other faces here than where the work was given out.")
        return train_run(job, faces, retrain)


loaded = lru_cache(1)(data.load)  # read once a worker


def train_run(job: Job, faces: Faces, retrain: bool = False) -> Run:
    """Train a job's run, or go on training it, unless another process has finished it meanwhile."""
    folder = job.folder(faces)
    folder.mkdir(parents=True, exist_ok=True)
    # A fold takes one thread, so that every backend gives a search the same numbers.
    threads = machine.threads(1 if job.fold else torch.get_num_threads())
    with threads, locked(folder.with_suffix(".lock")):
        if retrain and (folder / "run.json").exists():
            shutil.rmtree(folder)
        if run := load_run(folder, "own run"):
            return run
        part = job.fold.cut(faces) if job.fold else faces
        state = start(job.recipe, part, job.seed)
        resume(state, folder)
        try:
            train_to_the_end(state, job, part, folder)
            finish(state, job, faces, folder)
        except KeyboardInterrupt:
            epochs = f"epoch {len(state.history)} of {job.recipe.epochs}"
            print(f"Stopped after {epochs}; run again to go on.")
            raise
        except OSError as error:
            advice = "make room, then run again to go on."
            raise RunError(f"{folder} cannot be written ({error.strerror}): {advice}") from error
    return load_run(folder, "trained now")


def train_to_the_end(state: State, job: Job, part: Faces, folder: Path) -> None:
    """The epochs that are left, with a checkpoint after each. A fold is trained without a word."""
    done, epochs, rows = len(state.history), job.recipe.epochs, train(state, part)
    if job.fold is None:
        going_on = f", going on after epoch {done}" if done else ""
        print(f"Training {job.title} on {device_of(state.model).type}: {epochs} epochs{going_on}")
        rows = track(rows, job.title, epochs, initial=done)
    for _ in rows:
        save_checkpoint(state, folder)
        if job.fold is None:
            tqdm.write(progress_line(state.history, epochs))  # a print would tear the bar


def locked(path: Path):
    """The lock at `path`, held until the `with` ends; says so if another process has it."""
    lock = FileLock(path)
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print("Another process is training this run: waiting for it.", flush=True)
        return lock.acquire()


def progress_line(history: list[dict], epochs: int) -> str:
    """What an epoch's end prints: accuracy and losses, its seconds and the time left."""
    row = history[-1]
    pace = sum(each["seconds"] for each in history) / len(history)
    left = clock(pace * (epochs - row["epoch"]))
    losses = f"loss {row['validation_loss']:.3f} (training {row['train_loss']:.3f})"
    reached = f"validation accuracy {row['validation_accuracy']:6.2%}  {losses}"
    return f"epoch {row['epoch']:3d}/{epochs}  {reached}  {row['seconds']:.1f} s, {left} left"


def save_checkpoint(state: State, folder: Path) -> None:
    """Write checkpoint.pt (a sha256, then torch's format) and keep the one before."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    content = buffer.getvalue()
    if (folder / "checkpoint.pt").exists():
        os.replace(folder / "checkpoint.pt", folder / "previous.pt")
    write_atomic(folder / "checkpoint.pt", hashlib.sha256(content).digest() + content)


def resume(state: State, folder: Path) -> None:
    """Put the newest undamaged checkpoint, if any, into `state`."""
    for path in (folder / "checkpoint.pt", folder / "previous.pt"):
        if not path.exists():
            continue
        if saved := read_checkpoint(path):
            state.load_state_dict(saved)
            return
        path.replace(path.with_suffix(".damaged"))
        print(f"{path.name} of {folder.name} is damaged; put aside as {path.stem}.damaged.")


def read_checkpoint(path: Path) -> dict | None:
    """What a checkpoint holds, on the CPU; None if damaged or more than tensors and values."""
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        return None  # torch.load would not notice a flipped bit
    try:
        return torch.load(io.BytesIO(content[32:]), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        return None


def finish(state: State, job: Job, faces: Faces, folder: Path) -> None:
    """Write the finished run's weights, filters and, last, run.json; drop the checkpoints."""
    save_weights(state.model, folder, torch.float32)
    if state.filters:
        save_tensors({"filters": torch.stack(state.filters)}, folder / "filters.safetensors")
    seconds = round(sum(row["seconds"] for row in state.history), 1)
    record = {"name": job.name, "recipe": job.recipe.identity(), "seed": job.seed}
    record |= {"fold": job.fold and asdict(job.fold), "training_version": TRAINING_VERSION}
    record |= {"fingerprint": faces.fingerprint, "data": faces.title, "history": state.history}
    record["provenance"] = machine.provenance(device_of(state.model)) | {"seconds": seconds}
    write_json(folder / "run.json", record)
    for path in [*folder.glob("*.pt"), *folder.glob(".*.part")]:
        path.unlink()


def save_weights(model: nn.Module, folder: Path, dtype: torch.dtype) -> None:
    """weights.safetensors: matrices and filters as `dtype`, biases and statistics as they are."""
    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    smaller = {name: tensor.to(dtype) for name, tensor in tensors.items() if tensor.ndim > 1}
    save_tensors(tensors | smaller, folder / "weights.safetensors")


def save_tensors(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors as one safetensors file, atomically."""
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_atomic(path, safetensors.torch.save(plain))


def write_json(path: Path, value) -> None:
    """Write a value as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1) + "\n").encode())
