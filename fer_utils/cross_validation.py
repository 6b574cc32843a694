"""Cuts the training images into folds; a fold is a run on a part of the data (see `runs.Job`).

Introduced in notebook 06.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from fer_utils.data import Faces, choose, image_hashes


@dataclass(frozen=True)
class Fold:
    """Which part of the training images judges. number: from 0 to `folds` - 1. images: how many
    are used, chosen in proportion to the classes; None for all. Introduced in notebook 06.
    """

    number: int
    folds: int = 3
    images: int | None = None

    def cut(self, faces: Faces) -> Faces:
        """This fold's data set (see `fold_faces`)."""
        return fold_faces(faces, self.folds, self.images)[self.number]


def fold_faces(faces: Faces, folds: int = 3, images: int | None = None) -> list[Faces]:
    """The training images cut into `folds` data sets, each with another part as validation.

    Folds keep the classes' shares, and byte copies of an image stay together, so that no fold is
    tested on what it was trained on. images: use so many, chosen in proportion to the classes.
    The test split is not in them. Introduced in notebook 06.
    """
    pixels, labels = faces.split("train")
    chosen = choose(labels, images)
    pixels, labels = pixels[chosen], labels[chosen]
    # In the order of scikit-learn 1.9's own shuffle, which older versions get wrong.
    _, groups = np.unique(image_hashes(pixels), return_inverse=True)
    order = np.random.RandomState(0).permutation(groups.max() + 1)
    parts = StratifiedGroupKFold(folds).split(pixels, labels, groups=np.argsort(order)[groups])
    names, made = np.arange(len(labels)).astype(str), []
    whole = dict(images=pixels, labels=labels, names=names, votes=None, report={})
    for _, held_out in parts:
        splits = np.full(len(labels), "train", dtype="<U10")
        splits[held_out] = "validation"
        mark = hashlib.sha256(faces.fingerprint.encode() + splits.tobytes()).hexdigest()
        made.append(replace(faces, **whole, splits=splits, fingerprint=mark))
    return made
