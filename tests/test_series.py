"""The runner runs what it was told to, and refuses what did not run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from small_notebooks import PARAMETERS, VALUES, soup

from fer_utils import series


def no_unfinished(folder):
    return not list(folder.glob("*.running.ipynb")) and not list(folder.glob("*.part"))


# ---------------------------------------------------------------- which notebooks


def test_the_whole_series_has_its_quarter_of_an_hour():
    notebooks = series.notebooks()
    assert [n.name[:2] for n in notebooks] == [f"{i:02d}" for i in range(len(notebooks))]
    assert sum(map(series.seconds, notebooks)) <= 15 * 60
    for notebook in notebooks:
        metadata = nbformat.read(notebook, as_version=4).metadata
        assert metadata.fer_seconds == series.seconds(notebook), f"{notebook.stem} says nothing"


def test_select_takes_existing_notebooks_in_order(write):
    write("01_one")
    write("02_two")
    (series.FOLDER / "notes.ipynb").write_text("{}")
    assert [note.stem for note in series.select()] == ["01_one", "02_two"]
    assert [note.stem for note in series.select(["02", "01_one.ipynb"])] == ["01_one", "02_two"]
    with pytest.raises(ValueError, match="'03'.*01_one, 02_two"):
        series.select(["03"])


# ---------------------------------------------------------------- a run that succeeds


def test_run_gives_typed_parameters_folder_and_interpreter(write, tmp_path, monkeypatch, capsys):
    """The kernel is this interpreter even where another one is installed as "python3"."""
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = dict(argv=["/no/such/python", "{connection_file}"], display_name="x", language="python")
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_HOME", "home")
    source = write(
        "01_one",
        "import json, os, sys\nprint('seen', json.dumps([DATA, PROFILE, SEED, "
        "RETRAIN, os.getcwd(), sys.prefix, os.environ['FER_HOME']]))",
    )
    before, environment = source.read_bytes(), dict(os.environ)
    index = series.run(data="my data/faces.zip", profile="smoke", seed=7)

    shown = capsys.readouterr().out
    assert shown.startswith("[1/1] 01_one   elapsed 0:00, about 0:05 left\n    seen ")
    seen = json.loads(shown.splitlines()[1].split("seen ")[1])
    assert seen == [
        str(tmp_path / "my data" / "faces.zip"),
        "smoke",
        7,
        False,
        str(source.parent),
        sys.prefix,
        str(tmp_path / "home"),
    ]
    assert index.parent.parent == tmp_path / "home" / "reports"
    series.check_executed(index.parent / "01_one.ipynb")
    assert no_unfinished(index.parent)
    assert source.read_bytes() == before and dict(os.environ) == environment


def test_relative_fer_data_reaches_the_notebook_as_an_absolute_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FER_DATA", "faces.csv")
    assert series.absolute("auto") == str(tmp_path / "faces.csv")
    assert series.absolute("synthetic") == "synthetic"
    monkeypatch.setenv("FER_DATA", "fer2013")
    assert series.absolute("auto") == "fer2013"


# ---------------------------------------------------------------- runs that fail

DEATHS = {
    "killed": ("import os\nos.kill(os.getpid(), 9)", "Kernel died"),
    "exit(0)": ("import sys\nsys.exit(0)", "SystemExit: 0"),
    "exit(3)": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "raises": ("pixels = 47\nassert pixels == 48, 'not 48'", "AssertionError: not 48"),
    "times out": ("import time\ntime.sleep(60)", "timed out"),
}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("last", [False, True], ids=["middle", "last cell"])
def test_a_notebook_that_stops_early_has_failed(death, last, write, tmp_path):
    code, message = DEATHS[death]
    source = write("01_one", "print('first')", code, *([] if last else ["print('never')"]))
    target = tmp_path / "01_one.ipynb"
    target.write_text("a good earlier result")
    with pytest.raises(series.NotebookFailed) as failure:
        series.execute(source, target, VALUES, timeout=3)
    assert str(failure.value).startswith(f"01_one.ipynb failed in cell [4] `{code.split()[0]}")
    assert message in str(failure.value)
    assert target.read_text() == "a good earlier result"
    partial = nbformat.read(tmp_path / "01_one.failed.ipynb", as_version=4)
    assert "first" in str(partial.cells) and no_unfinished(tmp_path)
    with pytest.raises(series.NotebookFailed):
        raise_unless_last_was_killed(death, last, tmp_path / "01_one.failed.ipynb")


def raise_unless_last_was_killed(death, last, partial):
    """Without papermill's own return the file tells, except where only the last cell was cut."""
    if last and death in ("killed", "times out"):
        raise series.NotebookFailed("only papermill's exception can know")
    series.check_executed(partial)


def executed(counts=(1, 2), end_time="2026-01-01T00:00:00", outputs=()):
    cells = [new_code_cell("1", execution_count=count) for count in counts]
    cells[-1].outputs = list(outputs)
    cells.insert(1, new_code_cell("  "))  # an empty cell is never counted
    return new_notebook(cells=cells, metadata={"papermill": {"end_time": end_time}})


@pytest.mark.parametrize(
    "notebook, message",
    [
        (executed(counts=(1, 3)), "code cell 2 of 2 did not run"),
        (executed(counts=(1, None)), "code cell 2 of 2 did not run"),
        (executed(end_time=None), "no end time"),
        (
            executed(outputs=[new_output("error", ename="ValueError", evalue="no", traceback=[])]),
            "ValueError: no",
        ),
        (None, "cannot be read"),
    ],
)
def test_each_sign_of_the_oracle(notebook, message, tmp_path):
    path = tmp_path / "one.ipynb"
    nbformat.write(executed(), path)
    series.check_executed(path)
    path.write_text(nbformat.writes(notebook) if notebook else path.read_text()[:-20])
    with pytest.raises(series.NotebookFailed, match=message):
        series.check_executed(path)


def test_misspelt_parameter_fails_before_anything_runs(write, tmp_path):
    source = write("01_one", parameters=PARAMETERS.replace("PROFILE", "PROFIL"))
    with pytest.raises(series.NotebookFailed, match="01_one.ipynb.*no parameter PROFILE.*PROFIL"):
        series.execute(source, tmp_path / "out.ipynb", VALUES)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("keep_going", [False, True])
def test_after_a_failure_later_notebooks_run_only_when_told_to(keep_going, write, tmp_path, capsys):
    write("01_one", "raise ValueError('broken')")
    write("02_two", "print('ran')")
    with pytest.raises(series.NotebookFailed, match="Failed: 01_one"):
        series.run(out=tmp_path / "out", profile="smoke", keep_going=keep_going)
    shown = capsys.readouterr().out
    assert "01_one.ipynb failed in cell [3] `raise ValueError('broken')`: ValueError: " in shown
    assert (tmp_path / "out" / "01_one.failed.ipynb").exists()
    assert (tmp_path / "out" / "02_two.ipynb").exists() == keep_going
    index = soup(tmp_path / "out" / "index.html")
    states = [state.text for state in index.select(".cards .status")]
    assert states == ["failed", "done" if keep_going else "not run"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_sigterm_lets_the_kernel_save_and_ends_cleanly(write, tmp_path):
    source = write(
        "01_one",
        "import time\nfrom pathlib import Path\ntry:\n"
        "    Path('started').touch()\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    Path('saved').touch()\n    raise",
    )
    program = (
        "from pathlib import Path; from fer_utils import series\n"
        f"series.FOLDER = Path({str(series.FOLDER)!r})\n"
        f"series.run(out={str(tmp_path / 'out')!r})"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(source.parent / "started")
    runner.send_signal(signal.SIGTERM)
    shown, _ = runner.communicate(timeout=60)
    assert runner.returncode != 0 and "Stopped" in shown
    wait_for(source.parent / "saved")
    notebook = nbformat.read(tmp_path / "out" / "01_one.failed.ipynb", as_version=4)
    assert "KeyboardInterrupt" in str(notebook.cells[-1].outputs)
    assert soup(tmp_path / "out" / "index.html").select_one(".cards .status").text == "stopped"
    assert no_unfinished(tmp_path / "out")


def wait_for(path: Path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.1)
