"""A worker of a cluster dies in the middle of a training: every run is finished exactly once."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace

import patterns
import pytest
import torch

from fer_utils import data, runs
from fer_utils.cluster import elsewhere
from fer_utils.cross_validation import Fold
from fer_utils.runs import Job

distributed = pytest.importorskip("distributed")

EPOCHS = 60
LONG = replace(patterns.RECIPE, epochs=EPOCHS)
JOBS = [
    *(Job("tiny-short", LONG, seed) for seed in range(4)),
    *(Job("tiny-short", LONG, fold=Fold(number, 2)) for number in range(2)),
]
PATIENCE = 60  # seconds until a test gives up


@pytest.fixture
def faces(tmp_path, home):
    patterns.write_csv(tmp_path / "faces.csv")
    return data.load(tmp_path / "faces.csv")


@pytest.fixture
def cluster(home):
    """A function: workers, threads of each -> the client of a cluster on this machine."""
    opened = []

    def make(workers, threads=1):
        options = dict(n_workers=workers, threads_per_worker=threads, memory_limit=0)
        opened.append(distributed.Client(dashboard_address=None, **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


class Watch(threading.Thread):
    """Counts how often each run was finished, from how often its run.json was written."""

    def __init__(self, home):
        super().__init__(daemon=True)
        self.home, self.seen, self.over = home, set(), threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.look()

    def look(self):
        for path in self.home.glob("runs/*/run.json"):
            status = path.stat()
            self.seen.add((path, status.st_mtime_ns, status.st_ino))

    def end(self):
        self.over.set()
        self.join()
        self.look()
        return sorted(path.parent.name for path, *_ in self.seen)


def numbers(run):
    """What a training gave, without its times."""
    weights = torch.cat([part.flatten() for part in run.model().state_dict().values()])
    return [{**row, "seconds": 0} for row in run.history], weights.tolist()


def kill_one_of(client, home, killed):
    """Once each worker is in a training, end one with SIGKILL; keep what was done until then."""
    try:
        pids = client.run(os.getpid)
        deadline = time.monotonic() + PATIENCE
        while len(found := list(home.glob("runs/*/previous.pt"))) < len(pids):
            assert time.monotonic() < deadline, "no worker trains"
            time.sleep(0.02)
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        for path in found:  # the other worker goes on: its newest may be between two names
            names = [path.with_name("checkpoint.pt"), path]
            saved = runs.read_checkpoint(next(name for name in names if name.exists()))
            killed[path.parent.name] = saved["history"]
    except BaseException as error:
        killed["error"] = error


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_workers_training_is_finished_by_another(
    faces, home, cluster, tmp_path, monkeypatch
):
    client, watch, killed = cluster(2), Watch(home), {}
    watch.start()
    killer = threading.Thread(target=kill_one_of, args=(client, home, killed))
    killer.start()
    made = runs.train_all(JOBS, faces, how=elsewhere("dask"))
    killer.join()
    assert "error" not in killed, killed["error"]
    assert [run.job for run in made] == JOBS
    names = sorted(job.folder(faces).name for job in JOBS)
    assert watch.end() == names, "each run was finished once"
    for run in made:
        assert [row["epoch"] for row in run.history] == list(range(1, EPOCHS + 1))
    in_training = {run.folder.name: run.history for run in made if run.folder.name in killed}
    assert len(in_training) == 2
    for name, history in in_training.items():
        assert history[: len(killed[name])] == killed[name], "it went on, it did not start again"
    expected = {"run.json", "weights.safetensors", "filters.safetensors"}
    for folder in (path for path in home.glob("runs/*") if path.is_dir()):
        assert {path.name for path in folder.iterdir()} == expected

    monkeypatch.setenv("FER_HOME", str(tmp_path / "uninterrupted"))
    alone = runs.train_all(JOBS, faces)
    assert list(map(numbers, alone)) == list(map(numbers, made))


def test_trainings_in_threads_of_one_worker_do_not_mix(faces, home, cluster, tmp_path, monkeypatch):
    """`dask worker` alone has a thread a core, and random numbers belong to the process."""
    cluster(1, threads=3)
    jobs = [replace(job, recipe=replace(job.recipe, epochs=8)) for job in JOBS[:3]]
    made = runs.train_all(jobs, faces, how=elsewhere("dask"))
    monkeypatch.setenv("FER_HOME", str(tmp_path / "alone"))
    assert list(map(numbers, runs.train_all(jobs, faces))) == list(map(numbers, made))
