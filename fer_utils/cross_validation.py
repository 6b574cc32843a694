"""Many small trainings: recipes × folds over a joblib backend. Introduced in notebook 06.

One file a fold, so that a killed search goes on where it was. Backends by joblib's names:
``sequential``, ``loky`` (processes on this machine) or, when installed, ``dask`` (a cluster).
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import joblib
import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from fer_utils import home, write_atomic
from fer_utils.data import Faces, image_hashes
from fer_utils.recipes import Recipe
from fer_utils.runs import identity
from fer_utils.training import choose, start, train


def fold_faces(faces: Faces, folds: int = 3, images: int | None = None) -> list[Faces]:
    """The training images cut into ``folds`` data sets, each with another part as validation.

    Folds keep the classes' shares, and byte copies of an image stay together, so that no fold is
    tested on what it was trained on. images: use so many, chosen in proportion to the classes.
    The test split is not in them.
    """
    pixels, labels = faces.split("train")
    chosen = choose(labels, images)
    pixels, labels = pixels[chosen], labels[chosen]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    parts = splitter.split(pixels, labels, groups=image_hashes(pixels))
    return [one_fold(faces, pixels, labels, held_out) for _, held_out in parts]


def one_fold(faces: Faces, pixels: np.ndarray, labels: np.ndarray, held_out: np.ndarray) -> Faces:
    """A data set: the images at ``held_out`` are its validation, the others its training."""
    splits = np.full(len(labels), "train", dtype="<U10")
    splits[held_out] = "validation"
    names = np.arange(len(labels)).astype(str)
    mark = hashlib.sha256(faces.fingerprint.encode() + splits.tobytes()).hexdigest()
    return Faces(pixels, labels, names, splits, mark, f"fold of {faces.source}", {})


def cross_validate(
    recipes: list[Recipe],
    faces: Faces,
    folds: int = 3,
    images: int | None = None,
    seed: int = 42,
    backend: str = "sequential",
    jobs: int = -1,
) -> list[dict]:
    """Train every recipe on every fold; returns one row a recipe and fold, in that order.

    A row: recipe (its fields), fold, seed, and history (see ``training.train``). Finished folds
    are read from data/runs/folds; only the rest is trained, one torch thread a worker, so that
    every backend gives the same numbers.
    """
    parts = fold_faces(faces, folds, images)
    work = [(recipe, fold, part) for recipe in recipes for fold, part in enumerate(parts)]
    with joblib.parallel_config(backend=backend, n_jobs=1 if backend == "sequential" else jobs):
        return joblib.Parallel(return_as="list")(
            joblib.delayed(run_fold)(recipe, fold, part, seed, home())
            for recipe, fold, part in work
        )


def run_fold(recipe: Recipe, fold: int, part: Faces, seed: int, folder: Path) -> dict:
    """The row of one recipe on one fold: kept from before, or trained now and kept."""
    key = identity(recipe, part, seed)
    path = folder / "runs" / "folds" / f"{key}.json"
    if path.exists():
        return json.loads(path.read_text("utf-8"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = start(recipe, seed, int((part.splits == "train").sum()))
        for _ in train(state, recipe, part, seed):
            pass
    finally:
        torch.set_num_threads(threads)
    row = dict(key=key, recipe=asdict(recipe), fold=fold, seed=seed, history=state.history)
    write_atomic(path, json.dumps(row).encode())
    return row
