"""Folds without leaks; a search goes on where it was killed and gives the same anywhere."""

import json
from dataclasses import replace

import numpy as np
import patterns
import publish
import pytest

from fer_utils import cross_validation, data, runs
from fer_utils.cross_validation import Fold
from fer_utils.data import image_hashes
from fer_utils.evaluation import predict
from fer_utils.runs import Job

RECIPES = [replace(patterns.RECIPE, epochs=1, learning_rate=rate) for rate in (1e-3, 1e-2)]


def search(recipes=RECIPES, seed=42, folds=3, images=None):
    """The jobs of a small search."""
    return [
        Job(f"search_{recipe.learning_rate:g}", recipe, seed, Fold(number, folds, images))
        for recipe in recipes
        for number in range(folds)
    ]


def with_copies():
    """The patterns, each tenth training image a byte copy of the one seven places before it."""
    images = patterns.arrays()["images"]
    for place in range(10, 160, 10):
        images[place] = images[place - 7]
    return patterns.faces(images=images)


# ---------------------------------------------------------------- cutting


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


@pytest.mark.parametrize("images", [None, 70])
def test_a_fold_cuts_what_fold_faces_does(images):
    faces = with_copies()
    for number, part in enumerate(cross_validation.fold_faces(faces, 4, images)):
        cut = Fold(number, 4, images).cut(faces)
        assert cut.fingerprint == part.fingerprint and len(cut.labels) == (images or 168)
        for name in ("images", "labels", "splits"):
            assert np.array_equal(getattr(cut, name), getattr(part, name)), name


def test_a_fold_says_what_its_faces_are(monkeypatch):
    """A fold of drawn faces is drawn, and a part of FER2013 is not its official split."""
    faces = patterns.faces()
    drawn = Fold(0).cut(replace(faces, source="synthetic"))
    assert drawn.synthetic and "drawn" in drawn.describe()
    counts = dict(zip(data.SPLITS, faces.counts().tolist(), strict=True))
    monkeypatch.setattr(data, "CLASS_COUNTS", counts)
    part = Fold(0).cut(faces)
    assert faces.official and not part.official and not part.synthetic
    assert part.fingerprint != faces.fingerprint


# ---------------------------------------------------------------- a fold is a run


@pytest.fixture
def train_calls(monkeypatch):
    """The recipes that were trained; `.stop_at` of them end in a Ctrl+C."""
    calls, train = [], runs.train

    def counted(state, faces):
        calls.append(state.recipe)
        if len(calls) == counted.stop_at:
            raise KeyboardInterrupt
        return train(state, faces)

    counted.stop_at, counted.calls = None, calls
    monkeypatch.setattr(runs, "train", counted)
    return counted


def test_a_killed_search_goes_on_without_redoing_folds(home, train_calls):
    train_calls.stop_at = 4
    with pytest.raises(KeyboardInterrupt):
        runs.train_all(search(), patterns.faces())
    assert len(list(home.glob("runs/*/run.json"))) == 3

    train_calls.stop_at = None
    train_calls.calls.clear()
    found = runs.train_all(search(), patterns.faces())
    assert len(train_calls.calls) == 3
    assert [run.job.fold.number for run in found] == [0, 1, 2, 0, 1, 2]
    assert [run.recipe.learning_rate for run in found] == [1e-3] * 3 + [1e-2] * 3


def test_a_fold_is_trained_on_its_own_part(home):
    faces = patterns.faces()
    (run,) = runs.train_all(search(RECIPES[:1])[1:2], faces)
    pixels, labels = Fold(1).cut(faces).split("validation")
    right = predict(run.model(), pixels).argmax(1) == labels
    assert run.history[-1]["validation_accuracy"] == pytest.approx(right.mean())
    assert run.made_on(faces), "its record names the whole data"


@pytest.fixture
def file(tmp_path):
    """The patterns as a file that any process can read."""
    patterns.write_csv(tmp_path / "patterns.csv")
    return tmp_path / "patterns.csv"


def numbers(run):
    """What a training gave, without its times."""
    history = [{**epoch, "seconds": 0} for epoch in run.history]
    return history, {name: value.tolist() for name, value in run.model().state_dict().items()}


# ---------------------------------------------------------------- published folds


def test_published_folds_are_offered_on_every_copy_of_the_data(
    home, tmp_path, monkeypatch, train_calls
):
    faces, trained = patterns.faces(), train_calls.calls
    counts = dict(zip(data.SPLITS, faces.counts().tolist(), strict=True))
    monkeypatch.setattr(data, "CLASS_COUNTS", counts)
    known = runs.train_all(search(), faces)
    for run in known:
        publish.publish_run(run, faces, runs.PUBLISHED / run.job.title)

    monkeypatch.setenv("FER_HOME", str(tmp_path / "reader"))
    copied = patterns.faces(images=faces.images ^ 1)
    trained.clear()
    offered = runs.train_all(search(), copied)
    assert [run.history for run in offered] == [run.history for run in known]
    assert {run.origin for run in offered} == {"published run"} and not trained
    for changed in (
        dict(recipes=[replace(RECIPES[0], epochs=2)]),
        dict(seed=1),
        dict(images=100),
        dict(folds=2),
    ):
        trained.clear()
        runs.train_all(search(**dict(recipes=RECIPES[:1]) | changed), copied)
        assert len(trained) == changed.get("folds", 3), changed
    trained.clear()
    runs.train_all(search(RECIPES[:1]), copied, retrain=True)
    assert len(trained) == 3
    monkeypatch.setattr(data, "CLASS_COUNTS", {split: (1,) * 7 for split in data.SPLITS})
    trained.clear()
    runs.train_all(search(), patterns.faces(seed=9))
    assert len(trained) == 6, "other data"


def test_the_shipped_folds_are_records_and_what_a_notebook_reads():
    shipped = [
        run
        for kind in ("fer2013", "synthetic")
        for run in runs.published_runs(kind)
        if run.job.fold is not None
    ]
    assert shipped
    for run in shipped:
        # Notebook 13 reads the weights of its folds; of a search the records are enough.
        kept = {"held_out-short": ["filters.safetensors", "run.json", "weights.safetensors"]}
        names = sorted(path.name for path in run.folder.iterdir())
        assert names == kept.get(run.job.name, ["run.json"])
        assert len(run.history) == run.recipe.epochs
        assert len(json.dumps(run.record)) < 20_000, "no pictures"
