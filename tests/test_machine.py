"""What a training does to the whole process, and what it says of where it ran."""

import json
import os
import platform
import subprocess
import sys
from itertools import product

import patterns
import pytest
import torch

from fer_utils import machine


def test_the_device_is_one_that_works():
    assert torch.ones(2, device=machine.pick_device()).sum().item() == 2


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_at_hand_is_taken(cuda, mps, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert machine.pick_device().type == expected


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_keeping_memory_works_or_does_nothing(system, monkeypatch):
    if not machine.sys.platform.startswith("linux"):
        pytest.skip("asks for a library of another system")
    called = []
    real = machine.ctypes.CDLL(None)
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: called.append(name) or real)
    monkeypatch.setattr(machine.sys, "platform", system)
    machine.prepare()
    assert bool(called) == (system == "linux")


def test_seed_and_epoch_decide_the_random_numbers():
    def drawn(*seed_and_epoch):
        machine.seed_everything(*seed_and_epoch)
        return torch.rand(4).tolist()

    assert drawn(3, 2) == drawn(3, 2) and drawn(3) == drawn(3, 0)
    streams = [drawn(seed, epoch) for seed, epoch in product((1, 2, 42), range(40))]
    assert len(set(map(tuple, streams))) == len(streams)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
def test_sigterm_ends_as_ctrl_c_does():
    code = (
        "import os, signal, time\n"
        "from fer_utils import terminate_as_interrupt\n"
        "terminate_as_interrupt()\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(30)\n"
        "except KeyboardInterrupt:\n"
        "    print('clean')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "clean"), done.stderr


def test_nothing_changes_the_process_on_import():
    """A reader's handlers, threads and precision are theirs until a training or a command runs."""
    code = (
        "import signal, torch\n"
        "before = signal.getsignal(signal.SIGTERM), torch.get_float32_matmul_precision()\n"
        "from fer_utils import runs, experiments\n"
        "assert before == (signal.getsignal(signal.SIGTERM), torch.get_float32_matmul_precision())"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ---------------------------------------------------------------- provenance


def test_provenance_is_plain_and_names_no_person():
    with patterns.one_thread():
        told = machine.provenance(torch.device("cpu"))
    assert json.loads(json.dumps(told)) == told
    assert (told["device"], told["threads"]) == ("cpu", 1)
    assert told["versions"] == {"python": platform.python_version(), "torch": torch.__version__}
    assert platform.node() not in told["machine"].split()


def git(folder, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_revision_says_which_commit_and_whether_files_were_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    (tmp_path / "file").write_text("one")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    git(tmp_path, "tag", "-a", "v1", "-m", "a name is no revision")
    clean = machine.revision()
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=tmp_path, text=True)
    assert len(clean) >= 7 and head.startswith(clean)
    (tmp_path / "file").write_text("two")
    assert machine.revision() == f"{clean}-dirty"


def test_without_git_or_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.revision() is None
    monkeypatch.setenv("PATH", os.devnull)
    assert machine.revision() is None
