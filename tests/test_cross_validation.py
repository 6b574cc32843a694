"""Folds without leaks, and a search that goes on where it was killed."""

import json
from dataclasses import replace

import numpy as np
import patterns
import pytest

from fer_utils import cross_validation, data, runs
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
    monkeypatch.setattr(cross_validation, "train", lambda *job: counted.append(job) or train(*job))
    rows = cross_validation.cross_validate(RECIPES, patterns.faces())
    assert len(counted) == 3
    assert [row["fold"] for row in rows] == [0, 1, 2, 0, 1, 2]
    assert [row["recipe"]["learning_rate"] for row in rows] == [1e-3] * 3 + [1e-2] * 3


def without_times(rows):
    """The rows without what differs between two trainings of the same fold."""
    return [[{**epoch, "seconds": 0} for epoch in row["history"]] for row in rows]


def test_every_backend_gives_the_same_folds_and_numbers(tmp_path, monkeypatch):
    found = []
    for backend in ("sequential", "threading", "loky"):
        monkeypatch.setenv("FER_HOME", str(tmp_path / backend))
        jobs = 1 if backend == "threading" else 2  # torch's random state is one for all threads
        rows = cross_validation.cross_validate(
            RECIPES[:1], patterns.faces(), backend=backend, jobs=jobs
        )
        names = sorted(path.name for path in (tmp_path / backend).glob("runs/folds/*.json"))
        found.append((names, without_times(rows)))
    assert found[0] == found[1] == found[2] and len(found[0][0]) == 3


def test_published_folds_are_offered_on_every_copy_of_the_data(tmp_path, monkeypatch):
    faces = patterns.faces()
    counts = dict(zip(data.SPLITS, faces.counts().tolist(), strict=True))
    monkeypatch.setattr(data, "CLASS_COUNTS", counts)
    monkeypatch.setattr(cross_validation, "PUBLISHED", tmp_path / "published")
    monkeypatch.setenv("FER_HOME", str(tmp_path / "author"))
    known = cross_validation.cross_validate(RECIPES, faces)
    cross_validation.publish_folds(faces)

    monkeypatch.setenv("FER_HOME", str(tmp_path / "reader"))
    copied = patterns.faces(images=faces.images ^ 1)
    trained, train = [], cross_validation.train
    monkeypatch.setattr(cross_validation, "train", lambda *job: trained.append(job) or train(*job))
    assert cross_validation.cross_validate(RECIPES, copied) == known
    assert not trained
    other = [replace(RECIPES[0], epochs=2)]
    for changed in (
        dict(recipes=other),
        dict(recipes=RECIPES[:1], seed=1),
        dict(recipes=RECIPES[:1], images=100),
        dict(recipes=RECIPES[:1], folds=2),
        dict(recipes=RECIPES[:1], retrain=True),
    ):
        trained.clear()
        cross_validation.cross_validate(faces=copied, **changed)
        assert len(trained) == changed.get("folds", 3), changed
    monkeypatch.setattr(data, "CLASS_COUNTS", {split: (1,) * 7 for split in data.SPLITS})
    trained.clear()
    cross_validation.cross_validate(RECIPES, patterns.faces(seed=9))
    assert len(trained) == 6, "other data"


def test_the_shipped_folds_hold_no_pictures_and_their_keys_are_right():
    for path in runs.PUBLISHED.glob("folds-*.json"):
        rows = json.loads(path.read_text("utf-8"))
        for key, row in rows.items():
            assert set(row) == {
                "fold",
                "folds",
                "images",
                "seed",
                "fingerprint",
                "recipe",
                "history",
            }
            recipe = runs.as_recipe(row["recipe"])
            assert cross_validation.setting(recipe, row) == key
            assert len(row["history"]) == recipe.epochs
