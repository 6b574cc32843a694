"""Several processes at once, and processes that are ended from outside. See README.md."""

import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace

import nbformat
import patterns
import psutil
import pytest
import small_notebooks
import torch
from making import start, stopped_run
from patterns import train_or_load

import fer_utils
from fer_utils import data, files, runs
from fer_utils.cluster import elsewhere
from fer_utils.runs import Job, RunError

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


def kill_workers(home):
    """End loky's processes once the short run is finished and the long one has two epochs."""
    while not (list(home.glob("runs/short*/run.json")) and list(home.glob("runs/long*/prev*"))):
        time.sleep(0.05)
    for child in psutil.Process().children(recursive=True):
        if any("popen_loky" in word for word in child.cmdline()):
            child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_worker_of_loky_is_named_and_costs_no_finished_run(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(fer_utils.ROOT))
    patterns.write_csv(tmp_path / "faces.csv")
    faces = data.load(tmp_path / "faces.csv")
    short, long = (replace(patterns.RECIPE, epochs=epochs) for epochs in (1, 3_000))
    jobs = [Job("short-short", short), Job("long-short", long)]
    killer = threading.Thread(target=kill_workers, args=(home,), daemon=True)
    killer.start()
    with pytest.raises(RunError, match="worker .*run again"):
        runs.train_all(jobs, faces, how=elsewhere("loky", 2))
    assert [path.parent.name[:5] for path in home.glob("runs/*/run.json")] == ["short"]
    assert runs.read_checkpoint(next(home.glob("runs/long*/checkpoint.pt")))["history"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_training_stopped_and_resumed_on_a_gpu_ends(home, monkeypatch):
    recipe, faces = replace(patterns.RECIPE, epochs=4), patterns.faces()
    stopped_run(home, faces, monkeypatch, recipe, 2)
    run = train_or_load(recipe, faces)
    assert len(run.history) == 4 and len(run.filters) == 5
