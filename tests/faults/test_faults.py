"""What can go wrong with a training, made to go wrong: nothing wrong is kept, nothing is lost.

Killed at any moment, stopped politely, out of space, damaged or forged checkpoints, two at once.
"""

import hashlib
import io
import os
import pickle
import signal
import sys
from dataclasses import replace

import patterns
import pytest
import torch
from making import raise_after, read_until, start, stopped_run
from patterns import train_or_load

from fer_utils import UserError, runs, training
from fer_utils.__main__ import main
from fer_utils.runs import Job, RunError

RECIPE = replace(patterns.RECIPE, epochs=6)
TRAIN = """
import dataclasses, patterns
patterns.train_or_load(dataclasses.replace(patterns.RECIPE, epochs=6))
"""
# The second checkpoint's bytes are written, but not yet renamed, when the power goes.
KILLED_IN_SAVE = """
import os
saves = []
def fsync(handle):
    saves.append(handle)
    if len(saves) == 2:
        os._exit(9)
os.fsync = fsync
"""


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def faces():
    return patterns.faces()


def weights(folder):
    return (next(folder.glob("runs/*/run.json")).parent / "weights.safetensors").read_bytes()


@pytest.fixture
def csv(tmp_path):
    """A command that trains for a few seconds."""
    patterns.write_csv(tmp_path / "faces.csv", {"train": 140, "validation": 14, "test": 14})
    return ["train", "hidden_layer", "--data", str(tmp_path / "faces.csv"), "--threads", "1"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The weights of the same training, done elsewhere in one go."""
    elsewhere = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch, patterns.one_thread():
        patch.setenv("FER_HOME", str(elsewhere))
        train_or_load(RECIPE, patterns.faces())
    return weights(elsewhere)


# ---------------------------------------------------------------- killed and stopped


def test_killed_in_a_save_and_again_in_an_epoch_ends_with_the_same_weights(
    home, faces, uninterrupted
):
    process = start("-c", KILLED_IN_SAVE + TRAIN)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 9, output
    (folder,) = home.glob("runs/tiny-*/")
    assert len(list(folder.glob(".checkpoint.pt-*.part"))) == 1, "killed elsewhere than meant"
    assert not (folder / "checkpoint.pt").exists() and (folder / "previous.pt").exists()

    process = start("-c", TRAIN)
    assert "going on after epoch 1" in "".join(read_until(process, "epoch   2/6"))
    process.kill()
    process.wait(timeout=60)
    process.stdout.close()
    assert not (folder / "run.json").exists()

    run = train_or_load(RECIPE, faces)
    assert run.origin == "trained now" and len(run.history) == 6
    assert weights(home) == uninterrupted
    assert not list(folder.glob(".*.part")), "what a kill left behind is swept"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_terminated_training_says_how_to_go_on(home, csv):
    process = start("-m", "fer_utils", *csv)
    read_until(process, "epoch   1/10")
    process.terminate()
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=60) == 130
    assert "run again to go on" in rest and "Traceback" not in rest
    assert list(home.glob("runs/*/checkpoint.pt")) and not list(home.glob("runs/*/run.json"))


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_same_command_goes_on_after_a_signal(csv, sent, monkeypatch, capsys):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `pytest &` ignores it
    with monkeypatch.context() as patch:
        raise_after(3, lambda: signal.raise_signal(sent), patch)
        assert main(csv) == 130
    assert "Stopped after epoch 3 of 10; run again to go on." in capsys.readouterr().out
    assert main(csv) == 0
    assert "going on after epoch 3" in capsys.readouterr().out


def test_an_interrupt_in_a_notebook_names_the_epoch_and_passes_on(home, faces, monkeypatch, capsys):
    stopped_run(home, faces, monkeypatch, RECIPE, 2)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "Stopped after epoch 2 of 6; run again to go on."
    )
    run = train_or_load(RECIPE, faces)
    assert "going on after epoch 2" in capsys.readouterr().out
    assert [row["epoch"] for row in run.history] == [1, 2, 3, 4, 5, 6]


def test_stopped_between_the_last_epoch_and_the_end(home, faces, uninterrupted, monkeypatch):
    stopped_run(home, faces, monkeypatch, RECIPE, 6)
    assert len(train_or_load(RECIPE, faces).history) == 6
    assert weights(home) == uninterrupted


# ---------------------------------------------------------------- damaged checkpoints


def flip_a_bit(content):
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    return bytes(changed)


DAMAGE = {
    "empty": lambda content: b"",
    "first byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "last byte missing": lambda content: content[:-1],
    "one bit flipped": flip_a_bit,
    "a web page": lambda content: b"<html><body>502 Bad Gateway</body></html>" * 50,
    "random bytes": lambda content: os.urandom(5000),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    home, faces, uninterrupted, monkeypatch, damage, capsys
):
    folder = stopped_run(home, faces, monkeypatch, RECIPE, 3)
    checkpoint = folder / "checkpoint.pt"
    checkpoint.write_bytes(bad := damage(checkpoint.read_bytes()))
    capsys.readouterr()
    train_or_load(RECIPE, faces)
    said = capsys.readouterr().out
    assert f"checkpoint.pt of {folder.name} is damaged" in said
    assert "going on after epoch 2" in said
    assert (folder / "checkpoint.damaged").read_bytes() == bad, "kept to be looked at"
    assert weights(home) == uninterrupted


def test_two_damaged_checkpoints_mean_training_from_the_start(
    home, faces, uninterrupted, monkeypatch, capsys
):
    folder = stopped_run(home, faces, monkeypatch, RECIPE, 3)
    for path in folder.glob("*.pt"):
        path.write_bytes(b"damaged")
    capsys.readouterr()
    run = train_or_load(RECIPE, faces)
    said = capsys.readouterr().out
    assert said.count("is damaged") == 2 and "going on" not in said
    assert len(run.history) == 6
    assert weights(home) == uninterrupted


class Forged:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return (open, (self.target, "w"))


@pytest.mark.parametrize("form", ["torch", "plain pickle"])
def test_a_forged_checkpoint_is_refused_and_its_payload_not_run(
    home, faces, tmp_path, monkeypatch, form, capsys
):
    folder = stopped_run(home, faces, monkeypatch, RECIPE, 3)
    trap, forged = tmp_path / "payload ran", Forged(tmp_path / "payload ran")
    if form == "torch":
        torch.save({"model": forged}, buffer := io.BytesIO())
        content = buffer.getvalue()
    else:
        content = pickle.dumps(forged, protocol=2)
    with_right_sum = hashlib.sha256(content).digest() + content
    (folder / "checkpoint.pt").write_bytes(with_right_sum)
    run = train_or_load(RECIPE, faces)
    assert not trap.exists()
    assert "is damaged; put aside" in capsys.readouterr().out and len(run.history) == 6
    pickle.loads(pickle.dumps(forged)).close()
    assert trap.exists(), "the trap itself works"


def test_a_damaged_record_of_a_finished_run_is_named(faces):
    run = train_or_load(replace(RECIPE, epochs=1), faces)
    record = run.folder / "run.json"
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(UserError, match="run.json is damaged .*: delete its folder and run again"):
        train_or_load(replace(RECIPE, epochs=1), faces)


# ---------------------------------------------------------------- no room


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_clear_error_and_costs_one_epoch(
    home, faces, uninterrupted, monkeypatch, capsys
):
    folder = stopped_run(home, faces, monkeypatch, RECIPE, 3)
    kept = (folder / "checkpoint.pt").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(RunError, match="No space left on device.*make room, then run again"):
            train_or_load(RECIPE, faces)
    assert kept in [path.read_bytes() for path in folder.glob("*.pt")]
    assert not list(folder.glob(".*.part"))
    capsys.readouterr()
    train_or_load(RECIPE, faces)
    assert "going on after epoch 3" in capsys.readouterr().out
    assert weights(home) == uninterrupted


def test_a_full_disk_at_the_very_end_leaves_no_half_finished_run(home, faces, monkeypatch):
    stopped_run(home, faces, monkeypatch, RECIPE, 6)
    with monkeypatch.context() as patch:
        patch.setattr(runs, "write_record", full_disk)  # weights are there, the record is not
        with pytest.raises(RunError, match="No space left"):
            train_or_load(RECIPE, faces)
    assert not list(home.glob("runs/*/run.json"))
    assert len(train_or_load(RECIPE, faces).history) == 6


def test_a_full_disk_on_the_command_line(home, tmp_path, monkeypatch, capsys):
    patterns.write_csv(tmp_path / "faces.csv", {"train": 14, "validation": 7, "test": 7})
    monkeypatch.setattr(runs, "save_checkpoint", full_disk)
    assert main(["train", "fully_connected", "--data", str(tmp_path / "faces.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ") and "No space left" in line


def test_an_exploding_loss_does_not_overwrite_the_last_good_epoch(home, faces, monkeypatch):
    folder = stopped_run(home, faces, monkeypatch, RECIPE, 3)
    kept = (folder / "checkpoint.pt").read_bytes()
    with monkeypatch.context() as patch:
        no_number = torch.tensor(float("nan"), requires_grad=True)
        patch.setattr(training.F, "cross_entropy", lambda *_, **__: no_number)
        with pytest.raises(training.TrainingError, match="nan at epoch 4, step 1"):
            train_or_load(RECIPE, faces)
    assert (folder / "checkpoint.pt").read_bytes() == kept


# ---------------------------------------------------------------- two at once, odd places


def test_two_processes_that_want_the_same_run_train_it_once(home, faces):
    """The first waits with its first epoch until the second stands at the lock."""
    slow = """
import pathlib, sys, time
from fer_utils import runs
train = runs.train
def waiting(*arguments):
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.05)
    yield from train(*arguments)
runs.train = waiting
"""
    go = home.parent / "go"
    first = start("-c", slow + TRAIN, str(go))
    opening = read_until(first, "Training tiny")
    second = start("-c", TRAIN)
    waited = read_until(second, "waiting")
    go.touch()
    outputs = []
    for process, before in ((first, opening), (second, waited)):
        outputs.append("".join(before) + process.stdout.read())
        process.stdout.close()
        assert process.wait(timeout=120) == 0, outputs[-1]
    assert "trained now" in outputs[0] and outputs[0].count("epoch  ") == 6
    assert "own run" in outputs[1] and outputs[1].count("epoch  ") == 0
    assert train_or_load(RECIPE, faces).origin == "own run"


def test_a_lock_left_by_a_killed_process_does_not_block(home, faces):
    lock = Job("tiny-short", RECIPE).folder(faces).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert train_or_load(RECIPE, faces).origin == "trained now"


def test_a_home_with_spaces_and_other_letters(faces, tmp_path, monkeypatch):
    monkeypatch.setenv("FER_HOME", str(tmp_path / "wd é ż 顔"))
    run = train_or_load(replace(RECIPE, epochs=1), faces)
    assert (tmp_path / "wd é ż 顔" / "runs" / run.folder.name / "run.json").exists()
    assert train_or_load(replace(RECIPE, epochs=1), faces).metrics("test", faces)["n"] == 42
