"""A data set of seven patterns that a small network learns at once, and a recipe for it.

For tests of everything that comes after the data. Nothing in it shows a person.
"""

from contextlib import contextmanager

import numpy as np
import torch

from fer_utils import data, runs
from fer_utils.models import Plain
from fer_utils.recipes import Recipe
from fer_utils.runs import Job

COUNTS = {"train": 168, "validation": 42, "test": 42}
# Every part of a network and of a recipe that draws random numbers or keeps a state.
RECIPE = Recipe(
    Plain(((4, 3), (6, 3)), (12,)),
    "adamw",
    3e-3,
    1e-2,
    epochs=4,
    batch_size=32,
    schedule="one-cycle",
    dropout_convolution=0.1,
    dropout_hidden=0.5,
    mirror=True,
    shift=2,
    label_smoothing=0.1,
)
JOB = Job("tiny-short", RECIPE)


def arrays(counts=COUNTS, seed=0, texture=0) -> dict:
    """Expression k is a bright bar in rows 6k … 6k + 5 of a noisy image; classes are balanced.

    texture: grey levels by which squares of 6 × 6 pixels differ, so that two images of a class
    are no near copies.
    """
    rng = np.random.default_rng(seed)
    splits = np.repeat(list(counts), list(counts.values()))
    labels = np.concatenate([np.arange(n) % 7 for n in counts.values()])
    images = rng.integers(0, 120, (len(labels), 48, 48))
    for image, label in zip(images, labels, strict=True):
        image[6 * label : 6 * label + 6] += 100
    squares = np.random.default_rng(seed + 1).integers(0, texture + 1, (len(labels), 8, 8))
    images += squares.repeat(6, axis=1).repeat(6, axis=2)
    names = np.array([f"{number:05d}" for number in range(len(labels))])
    return dict(images=images.astype(np.uint8), labels=labels, names=names, splits=splits)


def faces(counts=COUNTS, seed=0, kind=data.Faces, texture=0, **changed) -> data.Faces:
    """The patterns as Faces; ``changed`` replaces arrays."""
    made = arrays(counts, seed, texture) | changed
    return kind(**made, fingerprint=data.fingerprint(made), source="patterns", report={})


def write_csv(path, counts=COUNTS) -> None:
    """The patterns in the layout of the challenge's csv, for what starts from a file."""
    made = arrays(counts)
    usage = {split: prefix for prefix, split in data.USAGES.items()}
    lines = ["emotion,pixels,Usage"]
    for image, label, split in zip(made["images"], made["labels"], made["splits"], strict=True):
        pixels = " ".join(map(str, image.flat))
        lines.append(f"{data.CSV_CLASSES.index(data.CLASSES[label])},{pixels},{usage[split]}")
    path.write_text("\n".join(lines) + "\n", "utf-8")


@contextmanager
def one_thread():
    """One CPU thread: the same sums on every machine, and no threads that wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train_or_load(recipe=RECIPE, faces_=None, seed=runs.SEED, retrain=False, name="tiny-short"):
    """The run of one recipe."""
    return runs.train_all([Job(name, recipe, seed)], faces_ or faces(), retrain)[0]
