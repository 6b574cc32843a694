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
from fer_utils.progress import track
from fer_utils.recipes import Recipe
from fer_utils.runs import PUBLISHED, as_recipe, identity, kind, offered, write_json
from fer_utils.training import TRAINING_VERSION, choose, start, train


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
    retrain: bool = False,
) -> list[dict]:
    """Train every recipe on every fold; returns one row a recipe and fold, in that order.

    A row: recipe (its fields), fold, history (see ``training.train``), and its search's settings.
    Finished folds are read from data/runs/folds, else from the published ones (``retrain``: from
    neither); only the rest is trained, one torch thread a worker, so that every backend gives the
    same numbers. images: see :func:`fold_faces`. jobs: workers, -1 for one a core.
    """
    shipped = published_folds(faces)
    work = []
    parts = fold_faces(faces, folds, images)
    for recipe in recipes:
        for fold, part in enumerate(parts):
            place = dict(fold=fold, folds=folds, images=images, seed=seed)
            path = home() / "runs" / "folds" / f"{identity(recipe, part, seed)}.json"
            known = json.loads(path.read_text("utf-8")) if path.exists() else None
            known = known or shipped.get(setting(recipe, place))
            if retrain or known is None:
                place["fingerprint"] = faces.fingerprint
                work.append(joblib.delayed(train_fold)(recipe, part, place, path))
            else:
                work.append(joblib.delayed(dict)(known))
    with joblib.parallel_config(backend=backend, n_jobs=1 if backend == "sequential" else jobs):
        rows = joblib.Parallel(return_as="generator")(work)
        return list(track(rows, "folds", len(work)))


def train_fold(recipe: Recipe, part: Faces, place: dict, path: Path) -> dict:
    """Train one recipe on one fold; returns its row, which is kept at ``path`` as well.

    place: fold, folds, images, seed, and the fingerprint of the whole data set.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        state = start(recipe, place["seed"], int((part.splits == "train").sum()))
        for _ in train(state, recipe, part, place["seed"]):
            pass
    finally:
        torch.set_num_threads(threads)
    row = json.dumps(place | {"recipe": asdict(recipe), "history": state.history})
    write_atomic(path, row.encode())
    return json.loads(row)  # the same lists as when it is read again


# --- publishing ----------------------------------------------------------------------------------


def setting(recipe: Recipe, place: dict) -> str:
    """Hash of all that a fold's numbers depend on but the pictures: the same for every copy."""
    parts = [recipe.identity(), *(place[name] for name in ("fold", "folds", "images", "seed"))]
    parts = json.dumps([*parts, TRAINING_VERSION], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def published_path(faces: Faces) -> Path:
    """The one file of published folds on drawn faces, or on FER2013."""
    return PUBLISHED / f"folds-{kind(faces)}.json"


def published_folds(faces: Faces) -> dict[str, dict]:
    """Published rows by their ``setting``, offered as published runs are: see ``runs.offered``."""
    path = published_path(faces)
    rows = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return {key: row for key, row in rows.items() if offered(row["fingerprint"], faces)}


def publish_folds(faces: Faces) -> None:
    """Add all own folds of searches on ``faces`` (not smoke) to the published ones."""
    rows = published_folds(faces)
    for path in sorted((home() / "runs" / "folds").glob("*.json")):
        row = json.loads(path.read_text("utf-8"))
        if row["fingerprint"] == faces.fingerprint and row["recipe"]["profile"] != "smoke":
            rows[setting(as_recipe(row["recipe"]), row)] = row
    if rows:
        write_json(published_path(faces), rows)
