"""Every reader against bytes that nobody wrote: never a hang, a file outside, a traceback, a wrong
value. 60 cases a reader; FER_FUZZ=1000 asks for more.
"""

import io
import os
from dataclasses import replace

import numpy as np
import patterns
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from making import within
from patterns import train_or_load
from PIL import Image

from fer_utils import UserError, data, files, ledger, runs, training
from fer_utils.cross_validation import Fold
from fer_utils.runs import Job

fuzzed = settings(
    max_examples=int(os.environ.get("FER_FUZZ", 60)),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def damage(draw):
    """A function that damages bytes: flips, cuts, doubles, zeros, inserts or replaces a part."""
    kind = draw(st.sampled_from(["flip", "cut", "zeros", "double", "insert", "noise", "swap"]))
    place, length = draw(st.floats(0, 1)), draw(st.integers(1, 400))
    bit, noise = draw(st.integers(0, 7)), draw(st.binary(min_size=1, max_size=200))

    def change(content: bytes) -> bytes:
        at = int(place * max(len(content) - 1, 0))
        before, part, after = content[:at], content[at : at + length], content[at + length :]
        if kind == "flip":
            return before + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        parts = {"cut": b"", "zeros": bytes(len(part)), "double": part * 2, "insert": noise + part}
        parts |= {"noise": (noise * 400)[: len(part)], "swap": part[::-1]}
        return before + parts[kind] + (b"" if kind == "cut" and bit else after)

    return change


@pytest.fixture(autouse=True)
def never_long():
    with within(120 * max(1, fuzzed.max_examples // 60)):
        yield


def value_or_error(read, expected=None):
    """What a reader gives; None for a user's error, which is one line that can be printed."""
    try:
        found = read()
    except UserError as error:
        assert str(error).isprintable() and len(str(error)) < 1000, str(error)
        return None
    assert expected is None or found == expected, "a wrong value"
    return found


def sound(faces) -> None:
    """Arrays in the shapes, types and ranges that `Faces` promises."""
    count = len(faces.labels)
    assert faces.images.shape == (count, 48, 48) and faces.images.dtype == np.uint8
    assert set(faces.labels) <= set(range(7)) and set(faces.splits) == set(data.SPLITS)
    assert (faces.counts() > 0).all(), "each split has each class"


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
@fuzzed
@given(damage())
def test_pictures(kind, change):
    buffer = io.BytesIO()
    Image.fromarray(patterns.arrays()["images"][0]).save(buffer, kind)
    found = value_or_error(lambda: data.decode("x", change(buffer.getvalue())))
    if found:
        assert found[0].shape == (48, 48) and found[0].dtype == np.uint8


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_archives(form, tiny_files, store, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    (tmp_path / "in").mkdir()
    path = store(tiny_files("official"), tmp_path / "in" / "faces", form)
    whole = path.read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        path.write_bytes(change(whole))
        found = value_or_error(lambda: data.load(path))
        if found:
            sound(found)

    check()
    assert {p.name for p in tmp_path.iterdir()} == {"in", "home"}, "a file outside"
    assert {p.name for p in (tmp_path / "in").iterdir()} == {path.name}


def test_tables(tiny_files, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    (whole,) = tiny_files("fer2013.csv").values()

    @fuzzed
    @given(damage())
    def check(change):
        (tmp_path / "faces.csv").write_bytes(change(whole))
        found = value_or_error(lambda: data.load(tmp_path / "faces.csv"))
        if found:
            sound(found)

    check()


def test_the_cache(tiny_files, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path / "home"))
    (whole,) = tiny_files("fer2013.csv").values()
    (tmp_path / "faces.csv").write_bytes(whole)
    expected = data.load(tmp_path / "faces.csv")
    (path,) = (tmp_path / "home" / "cache").glob("*.npz")
    kept = path.read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        path.write_bytes(change(kept))
        found = data.load(tmp_path / "faces.csv")
        assert found.fingerprint == expected.fingerprint
        assert np.array_equal(found.images, expected.images)

    check()


# ---------------------------------------------------------------- runs


@pytest.fixture
def run(home):
    """A finished run with metrics, on patterns."""
    run = train_or_load(replace(patterns.RECIPE, epochs=1), patterns.faces(texture=30))
    run.metrics("validation", patterns.faces(texture=30))
    return run


def looked_at(run) -> tuple:
    """What a notebook asks of a run, from disk, as values to compare."""
    again = runs.load_run(run.folder, "own run")
    weights = [tensor.sum().item() for tensor in again.model().state_dict().values()]
    return again.record, again.filters.tolist(), again.published_metrics(), weights


@pytest.mark.parametrize(
    "name", ["run.json", "metrics.json", "weights.safetensors", "filters.safetensors"]
)
def test_files_of_a_run(name, run):
    expected, path = looked_at(run), run.folder / name
    whole = path.read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        path.write_bytes(change(whole))
        value_or_error(lambda: looked_at(run), expected)

    check()


def test_folds(home):
    faces, job = patterns.faces(), Job("tiny-short", patterns.RECIPE, fold=Fold(0, 3))
    job = replace(job, recipe=replace(job.recipe, epochs=1))
    (run,) = runs.train_all([job], faces)
    path = run.folder / "run.json"
    whole = path.read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        path.write_bytes(change(whole))
        value_or_error(lambda: runs.train_all([job], faces)[0].history, run.history)

    check()


def test_checkpoints(home):
    recipe, faces = replace(patterns.RECIPE, epochs=1), patterns.faces()
    state = training.start(recipe, faces, seed=0)
    folder = home / "runs" / "x"
    list(training.train(state, faces))
    runs.save_checkpoint(state, folder)
    whole = (folder / "checkpoint.pt").read_bytes()
    expected = [tensor.clone() for tensor in state.model.state_dict().values()]

    @fuzzed
    @given(damage())
    def check(change):
        (folder / "checkpoint.pt").write_bytes(change(whole))
        again = training.start(recipe, faces, seed=0)
        fresh = [tensor.clone() for tensor in again.model.state_dict().values()]
        runs.resume(again, folder)
        found = list(again.model.state_dict().values())
        wanted = expected if again.history else fresh
        assert all(torch.equal(a, b) for a, b in zip(found, wanted)), "a wrong value"

    check()


def test_claims(home):
    faces = patterns.faces()
    ledger.verdict("digits", "91 %", "reproduced", faces)
    path, expected = ledger.path_of("digits", faces), ledger.kept_claims(faces).to_dict()
    whole = path.read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        path.write_bytes(change(whole))
        value_or_error(lambda: ledger.kept_claims(faces).to_dict(), expected)

    check()


def test_a_published_ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "PUBLISHED_CLAIMS", tmp_path / "claims.json")
    files.write_json(tmp_path / "claims.json", {"claims": [{"claim": "digits", "measured": "9"}]})
    expected = ledger.published_rows()
    whole = (tmp_path / "claims.json").read_bytes()

    @fuzzed
    @given(damage())
    def check(change):
        (tmp_path / "claims.json").write_bytes(change(whole))
        value_or_error(ledger.published_rows, expected)

    check()
