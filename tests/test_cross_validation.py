"""Folds without leaks, and a search that goes on where it was killed."""

from dataclasses import replace

import numpy as np
import patterns
import pytest

from fer_utils import cross_validation
from fer_utils.data import image_hashes

RECIPES = [replace(patterns.RECIPE, epochs=1, learning_rate=rate) for rate in (1e-3, 1e-2)]


def with_copies():
    """The patterns, each tenth training image a byte copy of the one seven places before it."""
    images = patterns.arrays()["images"]
    for place in range(10, 160, 10):
        images[place] = images[place - 7]
    return patterns.faces(images=images)


def test_folds_are_stratified_and_copies_stay_together():
    faces = with_copies()
    parts = cross_validation.fold_faces(faces, folds=3)
    held_out = [image_hashes(part.split("validation")[0]) for part in parts]
    assert sum(map(len, held_out)) == len(faces.split("train")[0])
    for part, hashes in zip(parts, held_out, strict=True):
        assert not np.isin(hashes, image_hashes(part.split("train")[0])).any()
        counts = np.bincount(part.split("validation")[1], minlength=7)
        assert counts.min() >= 4 and counts.max() <= 12  # 8 of each of the seven on average
        assert not (part.splits == "test").any()
    assert len({part.fingerprint for part in parts}) == 3


def test_a_killed_search_goes_on_without_redoing_folds(tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path))
    trained, train = [], cross_validation.train

    def killed_at_the_fourth(state, recipe, faces, seed):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(recipe)
        return train(state, recipe, faces, seed)

    monkeypatch.setattr(cross_validation, "train", killed_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        cross_validation.cross_validate(RECIPES, patterns.faces())
    assert len(list(tmp_path.glob("runs/folds/*.json"))) == 3

    counted = []
    monkeypatch.setattr(
        cross_validation, "train", lambda *job: counted.append(job) or train(*job)
    )
    rows = cross_validation.cross_validate(RECIPES, patterns.faces())
    assert len(counted) == 3
    assert [row["fold"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert [row["recipe"]["learning_rate"] for row in rows] == [1e-3] * 3 + [1e-2] * 3
