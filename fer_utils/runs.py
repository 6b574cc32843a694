"""Train or load: one folder a run, resumable, locked, never mixed up with another.

A run's identity is its recipe, the data's fingerprint, the seed and `TRAINING_VERSION`.
Own runs lie in data/runs, published ones in data/published. Introduced in notebook 05.
"""

import io
import pickle
import shutil
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from fer_utils import ROOT, SEED, UserError, files, home, machine
from fer_utils.cross_validation import Fold
from fer_utils.data import Faces
from fer_utils.evaluation import Score, device_of, metrics, predict, score
from fer_utils.progress import clock, track
from fer_utils.recipes import Recipe, from_identity
from fer_utils.training import TRAINING_VERSION, State, start, train

PUBLISHED = ROOT / "data" / "published"


class RunError(UserError):
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
        return files.seal(parts)

    def folder(self, faces: Faces) -> Path:
        """Where the own run of this job is kept."""
        return home() / "runs" / f"{self.title}-{self.key(faces)[:12]}"


@dataclass
class Run:
    """A finished training. origin: `trained now`, `own run` or `published run`.

    folder holds run.json and, not for every published run, filters.safetensors,
    weights.safetensors and metrics.json. record is run.json: fingerprint, data, training_version,
    history, provenance and the job's fields. From it come recipe; history, one row an epoch, as
    `training.train` yields them; provenance, where and when it was trained, see
    `machine.provenance`, and for how many seconds; has_weights, False for a run that is published
    without them. Introduced in notebook 03.
    """

    job: Job
    folder: Path
    origin: str
    record: dict

    def __post_init__(self):
        self.recipe, self.history = self.job.recipe, self.record["history"]
        self.provenance = self.record["provenance"]
        self.has_weights = "weights.safetensors" in self.record["files"]

    @property
    def filters(self) -> np.ndarray:
        """First convolution's filters, start and each epoch, float32 [epochs + 1, F, k, k]."""
        return self.tensors("filters.safetensors")["filters"].float().numpy()

    @property
    def temperature(self) -> float:
        """What its logits are divided by to be calibrated; 1 where that was not fitted."""
        path = self.folder / "calibration.json"
        return files.read_json(path)["temperature"] if path.exists() else 1.0

    def model(self) -> torch.nn.Module:
        """The trained network in evaluation mode. Raises RunError where no weights are kept."""
        if not self.has_weights:
            name = self.folder.name
            raise RunError(f"{name} is published without weights: RETRAIN = True trains it here.")
        network = self.recipe.network()
        network.load_state_dict(self.tensors("weights.safetensors"))
        return network.to(machine.pick_device()).eval()

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """What a safetensors file of the run holds. Raises UserError if it is damaged."""
        path = self.folder / name
        if not path.exists() or files.sha256(path) != self.record["files"][name]:
            raise files.damaged(path, "its folder")
        return safetensors.torch.load_file(path)

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
        if not self.made_on(faces) and self.has_weights:
            training = files.sha256(self.folder / "run.json")
            name = f"{self.folder.name}-{training[:12]}-{faces.fingerprint[:12]}.json"
            path = home() / "runs" / "elsewhere" / name
        kept = files.read_json(path) if path.exists() else {}
        if split not in kept:
            kept[split] = measure(self.model(), split, faces)
            files.write_json(path, kept)
        return kept[split]

    def score(self, split: str, faces: Faces | None = None) -> Score:
        """Accuracy on a split in percent, with its 95 % interval.

        faces: None for a published run's published number. Introduced in notebook 03.
        """
        kept = self.metrics(split, faces) if faces else self.published_metrics()[split]
        return score(unpack(kept))

    def published_metrics(self) -> dict:
        """Published metrics by split (`validation`, `test`), whatever data the reader has."""
        return files.read_json(self.folder / "metrics.json")

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


def measure(model: torch.nn.Module, split: str, faces: Faces) -> dict:
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
    same = (run for run in published_runs(kind(faces)) if replace(run.job, name=job.name) == job)
    offered = (run for run in same if faces is None or faces.official or run.made_on(faces))
    return next(offered, None)


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
    """The finished run in a folder, or None. Raises UserError if its run.json is damaged."""
    path = folder / "run.json"
    if not path.exists():
        return None
    try:
        record = files.read_json(path)
        fold = record["fold"] and Fold(**record["fold"])
        job = Job(record["name"], from_identity(record["recipe"]), record["seed"], fold)
        return Run(job, folder, origin, record)
    except (ValueError, KeyError, TypeError) as error:
        raise files.damaged(path, "its folder") from error


# --- training a run ---------------------------------------------------------------------------


def free_first(todo: list[Job], faces: Faces, retrain: bool):
    """Yield the run of each job, trained here; what another process trains meanwhile comes last.

    So processes that are given one list share it out, on one machine or on several.
    """
    later = []
    for job in todo:
        if run := train_run(job, faces, retrain, wait=False):
            yield run
        else:
            later.append(job)
    for job in later:
        print(f"Another process is training {job.title}: waiting for it.", flush=True)
        yield train_run(job, faces)


def train_all(jobs, faces, retrain=False, published=True) -> list[Run]:
    """The runs of many jobs, in their order; trained is what has no own and no published run.

    A run is an own finished one, else a published one (unless `published` says no), else trained
    now; an interrupted training goes on after its last whole epoch. retrain: train what is there,
    too.
    """
    # By key: two names of the same numbers (the ladder's last row is a depth of 08) are one run.
    found, todo = {}, {}
    for job in jobs:
        run = not retrain and (own_run(job, faces) or published and published_run(job, faces))
        (found if run else todo).setdefault(job.key(faces), run or job)
    made = free_first(list(todo.values()), faces, retrain)
    if len(todo) > 1:
        made = track(made, "trainings", len(todo))
    found |= {run.job.key(faces): run for run in made}
    runs = [replace(found[job.key(faces)], job=job) for job in jobs]
    for run in runs:
        if run.job.fold is None:  # a search has too many
            print(run.describe())
    return runs


def train_run(job: Job, faces: Faces, retrain=False, wait=True) -> Run | None:
    """Train a job's run, or go on training it, unless another process has finished it meanwhile.

    wait: until no other process trains it; else None is returned while one does.
    """
    folder = job.folder(faces)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder.with_suffix(".lock")).acquire(timeout=-1 if wait else 0)
    except Timeout:
        return None
    # A fold takes one thread, so that a search gives the same numbers however it is shared out.
    with lock, threadpool_limits(1 if job.fold else None):
        if retrain and (folder / "run.json").exists():
            shutil.rmtree(folder)
        if run := load_run(folder, "own run"):
            return run
        say_what_changed(job, faces)
        part = job.fold.cut(faces) if job.fold else faces
        state = start(job.recipe, part, job.seed)
        resume(state, folder)
        try:
            train_to_the_end(state, job, part, folder)
            finish(state, job, faces, folder)
        except KeyboardInterrupt:
            done = len(state.history)
            print(f"Stopped after epoch {done} of {job.recipe.epochs}; run again to go on.")
            raise
        except OSError as error:
            advice = "make room, then run again to go on."
            raise RunError(f"{folder} cannot be written ({error.strerror}): {advice}") from error
        except torch.OutOfMemoryError as error:
            advice = "end what else uses it, then run again to go on."
            raise RunError(f"{job.title} needs more of the GPU's memory: {advice}") from error
    return load_run(folder, "trained now")


def say_what_changed(job: Job, faces: Faces) -> None:
    """Print in what each own run of the same name differs: nobody takes one for the other."""
    for path in sorted((home() / "runs").glob(f"{job.title}-{'?' * 12}/run.json")):
        other = load_run(path.parent, "own run")
        now = vars(job.recipe) | {"faces": faces.fingerprint, "version": TRAINING_VERSION}
        then = vars(other.recipe) | {"faces": other.record["fingerprint"]}
        then |= {"version": other.record["training_version"]}
        names = ", ".join(name for name in now if now[name] != then[name])
        print(f"{path.parent.name} has other {names}: this is a new training beside it.")


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


def progress_line(history: list[dict], epochs: int) -> str:
    """What an epoch's end prints: accuracy and losses, its seconds and the time left."""
    row = history[-1]
    pace = sum(each["seconds"] for each in history) / len(history)
    left = clock(pace * (epochs - row["epoch"]))
    losses = f"loss {row['validation_loss']:.3f} (training {row['train_loss']:.3f})"
    reached = f"validation accuracy {row['validation_accuracy']:6.2%}  {losses}"
    return f"epoch {row['epoch']:3d}/{epochs}  {reached}  {row['seconds']:.1f} s, {left} left"


def save_checkpoint(state: State, folder: Path) -> None:
    """Write checkpoint.pt and keep the one before."""
    buffer = io.BytesIO()
    torch.save(state.state_dict(), buffer)
    if (folder / "checkpoint.pt").exists():
        (folder / "checkpoint.pt").replace(folder / "previous.pt")
    files.write_sealed(folder / "checkpoint.pt", buffer.getvalue())


def resume(state: State, folder: Path) -> None:
    """Put the newest undamaged checkpoint, if any, into `state`."""
    for path in (folder / "checkpoint.pt", folder / "previous.pt"):
        if path.exists():
            try:
                state.load_state_dict(read_checkpoint(path))
                return
            except (UserError, pickle.UnpicklingError):  # it held more than tensors and values
                aside = path.replace(path.with_suffix(".damaged")).name
                print(f"{path.name} of {folder.name} is damaged; put aside as {aside}.")


def read_checkpoint(path: Path) -> dict:
    """What a checkpoint holds, on the CPU. Raises UserError or UnpicklingError."""
    return torch.load(io.BytesIO(files.read_sealed(path)), map_location="cpu", weights_only=True)


def finish(state: State, job: Job, faces: Faces, folder: Path) -> None:
    """Write the finished run's weights, filters and, last, run.json; drop the checkpoints."""
    save_tensors(state.model.state_dict(), folder / "weights.safetensors")
    if state.filters:
        save_tensors({"filters": torch.stack(state.filters)}, folder / "filters.safetensors")
    seconds = round(sum(row["seconds"] for row in state.history), 1)
    record = asdict(job) | {"recipe": job.recipe.identity(), "training_version": TRAINING_VERSION}
    record |= {"fingerprint": faces.fingerprint, "data": faces.title, "history": state.history}
    record["provenance"] = machine.provenance(device_of(state.model)) | {"seconds": seconds}
    write_record(folder, record)
    for path in [*folder.glob("*.pt"), *folder.glob(".*.part")]:
        path.unlink()


def save_tensors(tensors: dict[str, torch.Tensor], path: Path, dtype=torch.float32) -> None:
    """Write one safetensors file, atomically: matrices and filters as `dtype`, biases and
    statistics as they are.
    """
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    smaller = {name: tensor.to(dtype) for name, tensor in plain.items() if tensor.ndim > 1}
    files.write_atomic(path, safetensors.torch.save(plain | smaller))


def write_record(folder: Path, record: dict) -> None:
    """Write run.json, last of all: the record and the sha256 of each file of tensors."""
    files.write_json(folder / "run.json", record | {"files": digests(folder)})


def digests(folder: Path) -> dict[str, str]:
    """sha256 (hex) of each file of tensors in a folder, by name."""
    return {path.name: files.sha256(path) for path in sorted(folder.glob("*.safetensors"))}
