"""Several processes at once, and processes that are ended from outside. See README.md."""

import os
import re
import signal
import sys
import time
from contextlib import suppress
from dataclasses import replace

import nbformat
import patterns
import psutil
import pytest
import small_notebooks
import torch
from filelock import FileLock
from making import read_until, start, stopped_run
from patterns import train_or_load
from threadpoolctl import threadpool_limits

from fer_utils import files, runs
from fer_utils.cross_validation import Fold
from fer_utils.runs import Job

pytestmark = pytest.mark.usefixtures("home")
# Kernels start one after another: jupyter_client picks ports that it does not hold, so two that
# start at once may get the same. Then the trainings start at once.
MEET = """
import time
from pathlib import Path
Path("here_{n}").touch()
while len(list(Path().glob("here_*"))) < 4:
    time.sleep(0.05)
"""
TRAIN = """
import patterns
from dataclasses import replace
run = patterns.train_or_load(replace(patterns.RECIPE, epochs=12))
print("weights", sum(t.sum().item() for t in run.model().state_dict().values()))
"""


def wait_for(folder, pattern, process):
    """Until a file of this pattern is there, which this process makes."""
    deadline = time.monotonic() + 100
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline and process.poll() is None, f"no {pattern}"
        time.sleep(0.05)


def printed(path) -> str:
    """What the cells of an executed notebook printed."""
    cells = nbformat.read(path, 4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_four_notebooks_at_once_train_each_run_once_and_all_are_right(home, tmp_path):
    """Through papermill, on an empty cache: one trains, the others wait and read its run."""
    papermill = ["-m", "papermill", "--kernel", "python3", "--cwd", tmp_path]
    outs, processes = [tmp_path / f"out_{n}.ipynb" for n in range(4)], []
    for n, out in enumerate(outs):
        source = small_notebooks.write(tmp_path / f"0{n}_n.ipynb", MEET.format(n=n), TRAIN)
        processes.append(start(*papermill, source, out))
        wait_for(tmp_path, f"here_{n}", processes[-1])
    told = [process.communicate(timeout=200)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    texts = [printed(out) for out in outs]
    assert sum("Training tiny-short" in text for text in texts) == 1, texts
    assert len({re.search(r"weights (\S+)", text)[1] for text in texts}) == 1
    (record,) = home.glob("runs/*/run.json")
    assert [row["epoch"] for row in files.read_json(record)["history"]] == list(range(1, 13))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_papermill_ended_in_a_training_costs_no_finished_epoch(home, tmp_path):
    """Bare papermill passes no signal on to its kernel: the epochs are on disk all the same."""
    train = TRAIN.replace("epochs=12", "epochs=400")
    source = small_notebooks.write(tmp_path / "01_n.ipynb", train)
    process = start("-m", "papermill", "--kernel", "python3", source, tmp_path / "out.ipynb")
    wait_for(home, "runs/*/previous.pt", process)
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=60)
    time.sleep(1)  # its kernel, an orphan, may be in the middle of a step
    for kernel in orphans(home):
        kernel.kill()
    (path,) = home.glob("runs/*/checkpoint.pt")
    done = len(runs.read_checkpoint(path)["history"])
    assert done > 0
    recipe = replace(patterns.RECIPE, epochs=400)
    state = runs.start(recipe, patterns.faces(), runs.SEED)
    runs.resume(state, path.parent)
    assert [row["epoch"] for row in state.history] == list(range(1, done + 1))


def orphans(home) -> list[psutil.Process]:
    """Processes that have this home in their environment, this one apart."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("FER_HOME") == str(home):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_training_stopped_and_resumed_on_a_gpu_ends(home, monkeypatch):
    recipe, faces = replace(patterns.RECIPE, epochs=4), patterns.faces()
    stopped_run(home, faces, monkeypatch, recipe, 2)
    run = train_or_load(recipe, faces)
    assert len(run.history) == 4 and len(run.filters) == 5


def test_processes_with_one_list_share_it_out(home):
    """What another process trains is left for the end, and then waited for."""
    faces, jobs = patterns.faces(), [Job("tiny-short", patterns.RECIPE, seed) for seed in (1, 2, 3)]
    lock = jobs[0].folder(faces).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    train = """
import patterns
from fer_utils import runs
jobs = [runs.Job("tiny-short", patterns.RECIPE, seed) for seed in (1, 2, 3)]
found = runs.train_all(jobs, patterns.faces())
print("in order", [run.job.seed for run in found])
"""
    with FileLock(lock):
        process = start("-c", train)
        said = read_until(process, "waiting")
        assert sorted(path.parent.name[:13] for path in home.glob("runs/*/run.json")) == [
            "tiny-short-s2",
            "tiny-short-s3",
        ]
    said = "".join(said) + process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=100) == 0, said
    assert "Another process is training tiny-short-s1" in said and "in order [1, 2, 3]" in said
    assert len(list(home.glob("runs/*/run.json"))) == 3


def test_a_fold_is_the_same_whoever_trains_it(home, tmp_path, monkeypatch):
    """With two threads here, and with one in another process."""
    job, faces = Job("tiny-short", patterns.RECIPE, fold=Fold(0, 2)), patterns.faces()
    with threadpool_limits(2):
        (here,) = runs.train_all([job], faces)
    train = """
import patterns
from fer_utils import runs
from fer_utils.cross_validation import Fold
runs.train_all([runs.Job("tiny-short", patterns.RECIPE, fold=Fold(0, 2))], patterns.faces())
"""
    process = start("-c", train, FER_HOME=str(tmp_path / "other"))
    said = process.communicate(timeout=100)[0]
    assert process.returncode == 0, said
    monkeypatch.setenv("FER_HOME", str(tmp_path / "other"))
    there = runs.own_run(job, faces)
    assert [row | {"seconds": 0} for row in there.history] == [
        row | {"seconds": 0} for row in here.history
    ]
