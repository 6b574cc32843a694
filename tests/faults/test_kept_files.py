"""What is kept after a run, damaged: nothing wrong is shown, and the message says what to do.

Finished runs, own and published, folds, claims; changed data, recipes; exit codes. See README.md.
"""

import os
import re
from dataclasses import replace

import patterns
import pytest
import torch
from making import raise_after, start, stopped_run
from patterns import train_or_load

import fer_utils
from fer_utils import UserError, files, ledger, runs
from fer_utils.__main__ import main
from fer_utils.cross_validation import Fold
from fer_utils.runs import Job, RunError

pytestmark = pytest.mark.usefixtures("home")
RECIPE = replace(patterns.RECIPE, epochs=1)
DAMAGE = {
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "noise": lambda content: bytes(range(256)) * 8,
    "a page": lambda content: b"<!DOCTYPE html><title>404</title>",
    "other JSON": lambda content: b"[1, 2]",
    "a changed digit": lambda content: re.sub(rb"\d", lambda d: bytes([d[0][0] ^ 1]), content, 1),
    "deep brackets": lambda content: b"[" * 100_000,
}


def look_at_all(run, faces):
    """Everything that a notebook asks of a run, from disk."""
    again = runs.load_run(run.folder, "own run")
    again.model()
    return again.filters.sum(), again.history, again.metrics("validation", faces)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize(
    "name", ["run.json", "metrics.json", "weights.safetensors", "filters.safetensors"]
)
def test_a_damaged_file_of_a_run_is_named(name, damage):
    faces = patterns.faces()
    run = train_or_load(RECIPE, faces)
    run.metrics("validation", faces)
    path = run.folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="damaged") as caught:
        look_at_all(run, faces)
    message = str(caught.value)
    assert str(path) in message and "delete it" in message.replace("its folder", "it")
    assert message.count("\n") == 0 and message.isprintable()


def test_what_the_message_says_to_do_helps():
    faces = patterns.faces(texture=30)
    run = train_or_load(RECIPE, faces)
    before = run.metrics("validation", faces)
    (run.folder / "metrics.json").write_bytes(b"{")
    (run.folder / "metrics.json").unlink()
    assert run.metrics("validation", faces) == before
    (run.folder / "run.json").write_bytes(b"{")
    for path in run.folder.iterdir():
        path.unlink()
    run.folder.rmdir()
    assert train_or_load(RECIPE, faces).metrics("validation", faces) == before


@pytest.mark.parametrize("name", ["run.json", "metrics.json", "filters.safetensors"])
def test_damage_in_a_published_run_says_to_get_it_again(name, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROOT", tmp_path)
    faces, folder = patterns.faces(), tmp_path / "data" / "published" / "tiny-short"
    run = train_or_load(RECIPE, faces)
    run.metrics("validation", faces)
    folder.parent.mkdir(parents=True)
    run.folder.rename(folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    with pytest.raises(UserError, match="get data/published again") as caught:
        look_at_all(replace(run, folder=folder), faces)
    assert str(folder / name) in str(caught.value)


def test_a_damaged_fold_is_named():
    faces = patterns.faces()
    job = Job("tiny-short", RECIPE, fold=Fold(0, 3))
    (run,) = runs.train_all([job], faces)
    path = run.folder / "run.json"
    path.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
    with pytest.raises(UserError, match="fold0.*damaged.*delete its folder"):
        runs.train_all([job], faces)


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_claim_is_named(damage):
    faces = patterns.faces()
    ledger.verdict("digits", "91 %", "reproduced", faces)
    path = ledger.path_of("digits", faces)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match="digits.json is damaged.*delete it and run again"):
        ledger.kept_claims(faces)


def test_a_record_of_an_older_version_is_refused():
    faces = patterns.faces()
    run = train_or_load(RECIPE, faces)
    record = files.read_json(run.folder / "run.json")
    del record["fold"]
    files.write_json(run.folder / "run.json", record)
    with pytest.raises(UserError, match="of another version: delete its folder"):
        train_or_load(RECIPE, faces)


# ---------------------------------------------------------------- what changed


def test_a_new_training_says_in_what_it_differs_from_the_one_of_the_same_name(capsys):
    faces = patterns.faces()
    first = train_or_load(RECIPE, faces)
    capsys.readouterr()
    second = train_or_load(replace(RECIPE, shift=1, mirror=False), faces)
    said = capsys.readouterr().out
    assert f"{first.folder.name} has other mirror, shift: this is a new training" in said
    assert second.folder != first.folder
    changed = patterns.faces(images=faces.images ^ 1)
    train_or_load(RECIPE, changed)
    assert f"{first.folder.name} has other faces:" in capsys.readouterr().out
    assert train_or_load(RECIPE, faces).folder == first.folder, "nothing was lost"


def test_changed_training_code_is_said(monkeypatch, capsys):
    first = train_or_load(RECIPE)
    monkeypatch.setattr(runs, "TRAINING_VERSION", 99)
    train_or_load(RECIPE)
    assert f"{first.folder.name} has other version:" in capsys.readouterr().out


def test_the_newest_checkpoint_is_told_by_its_name_not_by_the_clock(home, monkeypatch, capsys):
    faces, recipe = patterns.faces(), replace(RECIPE, epochs=4)
    checkpoint = stopped_run(home, faces, monkeypatch, recipe, 3) / "checkpoint.pt"
    os.utime(checkpoint, (0, 0))  # as if the clock had gone back
    train_or_load(recipe, faces)
    assert "going on after epoch 3" in capsys.readouterr().out


def test_a_gpu_without_room_is_one_sentence_and_costs_one_epoch(monkeypatch, capsys):
    faces, recipe = patterns.faces(), replace(RECIPE, epochs=3)

    def full():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as patch:
        raise_after(1, full, patch)
        with pytest.raises(RunError, match="GPU's memory: .*run again to go on"):
            train_or_load(recipe, faces)
    capsys.readouterr()
    assert len(train_or_load(recipe, faces).history) == 3
    assert "going on after epoch 1" in capsys.readouterr().out


# ---------------------------------------------------------------- exit codes


def command(code: str) -> tuple[int, str]:
    """What a process ends with and prints that runs some code, then ends with its `done`."""
    code = f"import sys\nfrom fer_utils.__main__ import main\n{code}\nsys.exit(done)"
    process = start("-c", code)
    told, _ = process.communicate(timeout=120)
    return process.returncode, told


def test_a_users_error_ends_with_2_and_without_a_traceback(capsys):
    for wrong in (["train", "nobody"], ["train", "shallow", "--data", "nowhere"], ["run", "77"]):
        assert main(wrong) == 2
        assert capsys.readouterr().err.startswith("Error: ")


def test_a_bug_keeps_its_traceback_and_1():
    broken = "from fer_utils import data\ndata.load = lambda source: [][1]\n"
    code, told = command(broken + "done = main(['train', 'deep'])")
    assert code == 1 and "IndexError" in told and "Traceback" in told


@pytest.mark.parametrize("error", ["ValueError", "RuntimeError", "KeyError"])
def test_a_bug_is_not_taken_for_a_users_error(error, monkeypatch):
    def broken(source):
        raise getattr(__builtins__, error, None) or __builtins__[error]("a bug")

    monkeypatch.setattr(fer_utils.data, "load", broken)
    with pytest.raises((ValueError, RuntimeError, KeyError), match="a bug"):
        main(["train", "deep"])


def test_ctrl_c_ends_with_130(monkeypatch):
    def stopped(source):
        raise KeyboardInterrupt

    monkeypatch.setattr(fer_utils.data, "load", stopped)
    assert main(["train", "deep"]) == 130


def test_help_does_not_wait_for_torch():
    asked = "try:\n    main(['--help'])\nexcept SystemExit as e:\n    done = e.code\n"
    code, told = command(asked + "assert 'torch' not in sys.modules, 'torch'")
    assert code == 0 and "usage" in told, told
