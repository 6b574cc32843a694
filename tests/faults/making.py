"""How the tests of this folder make things go wrong: processes, stops, and a limit on waiting."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import patterns
import pytest

import fer_utils
from fer_utils import runs, training

TESTS = Path(patterns.__file__).parent


def start(*arguments, **environment) -> subprocess.Popen:
    """A Python process with one thread in its own session, its output as one unbuffered pipe."""
    search = os.pathsep.join([str(TESTS), str(fer_utils.ROOT)])
    variables = dict(
        PYTHONPATH=search,
        OMP_NUM_THREADS="1",
        PYTHONUNBUFFERED="1",
        PYTHONIOENCODING="utf-8",
        CUDA_VISIBLE_DEVICES="",
    )
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **variables, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def read_until(process, word):
    """The output's lines up to the first that holds `word`."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"{word!r} never came:\n{''.join(lines)}")


def stop():
    """Ctrl+C."""
    raise KeyboardInterrupt


def raise_after(epochs, stop, monkeypatch):
    """Let a training stop, as by Ctrl+C, once the checkpoint of so many epochs is written."""
    whole = training.train

    def stopped(*arguments):
        for _, row in zip(range(epochs), whole(*arguments)):
            yield row
        stop()

    monkeypatch.setattr(runs, "train", stopped)


def stopped_run(home, faces, monkeypatch, recipe, epochs):
    """The folder of a training that was stopped after so many epochs."""
    with monkeypatch.context() as patch:
        raise_after(epochs, stop, patch)
        with pytest.raises(KeyboardInterrupt):
            patterns.train_or_load(recipe, faces)
    (checkpoint,) = home.glob("runs/*/checkpoint.pt")
    return checkpoint.parent


@contextmanager
def within(seconds):
    """What hangs, on a pipe for example, fails instead (not on Windows, which has no alarm)."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it hangs"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
