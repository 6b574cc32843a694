"""The command line: results as promised, and each error one sentence without a traceback."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import patterns
import pytest
import torch

from fer_utils import ROOT, __main__, cross_validation, data, runs, seminar, series
from fer_utils.__main__ import main
from fer_utils.recipes import recipe

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def table(tmp_path):
    """A csv with few images, as the challenge's."""
    patterns.write_csv(tmp_path / "faces.csv", {"train": 70, "validation": 14, "test": 14})
    return str(tmp_path / "faces.csv")


@pytest.fixture
def no_notebooks(monkeypatch):
    """Fails the test as soon as the first notebook would start."""

    def forbidden(*arguments, **options):
        raise AssertionError("a notebook was started")

    monkeypatch.setattr(series, "execute", forbidden)


def one_error(capsys):
    """The only line on stderr."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Error: ") and "Traceback" not in line
    return line


# ---------------------------------------------------------------- train


def test_train_ends_with_one_line_of_json_and_retrains_nothing(table, monkeypatch, capsys):
    command = ["train", "fully_connected", "--data", table, "--seed", "3", "--json"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Data: faces.csv: 70 train, 14 validation, 14 test"
    result = json.loads(lines[-1])
    assert list(result) == ["model", "profile", "seed", "epochs", "validation_accuracy", "seconds"]
    (record,) = [
        json.loads(path.read_text("utf-8")) for path in (runs.home() / "runs").glob("*/run.json")
    ]
    last = record["history"][-1]
    assert result == {
        "model": "fully_connected",
        "profile": "short",
        "seed": 3,
        "epochs": 30,
        "validation_accuracy": last["validation_accuracy"],
        "seconds": record["provenance"]["seconds"],
    }
    assert 0 <= result["validation_accuracy"] <= 1

    monkeypatch.setattr(runs, "train", None)  # calling it would fail
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result


def test_train_says_nothing_of_test(table, capsys):
    assert main(["train", "fully_connected", "--data", table, "--json"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert not any("test" in line for line in printed[1:]), "only the data line counts test images"
    assert not list((runs.home() / "runs").glob("*/metrics.json"))


def test_threads_and_epochs(table, capsys):
    command = ["train", "fully_connected", "--profile", "smoke", "--data", table]
    assert main([*command, "--threads", "2"]) == 0 and torch.get_num_threads() == 2
    assert main([*command, "--epochs", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["epochs"] == 3
    for option in ("--threads", "--epochs"):
        assert main([*command, option, "0"]) == 1
        assert option in one_error(capsys)


def test_publish_takes_some_notebooks(table, monkeypatch, capsys):
    asked, written = [], []
    monkeypatch.setattr(runs, "publish_runs", lambda faces, weights: [])
    monkeypatch.setattr(cross_validation, "publish_folds", lambda faces: None)
    monkeypatch.setattr(seminar, "publish_claims", lambda faces: None)
    monkeypatch.setattr(series, "publish_outputs", lambda executed, path: written.append(path.stem))
    monkeypatch.setenv("FER_PUBLISHING", "0")  # put back after the test

    def record(source, names):
        asked.append(names)
        return ROOT / "reports" / "index.html"

    monkeypatch.setattr(series, "run", record)
    assert main(["publish", "03", "--data", table]) == 0
    assert asked == [["03"]] and written == ["03_fully_connected_baseline"]


# ---------------------------------------------------------------- errors


def test_data_that_is_not_there(tmp_path, capsys):
    missing = str(tmp_path / "nowhere")
    assert main(["train", "shallow", "--data", missing]) == 1
    assert missing in one_error(capsys)
    assert main(["train", "shallow", "--data", "fer2013"]) == 1
    assert "python -m fer_utils fetch" in one_error(capsys)


def test_data_that_is_something_else(tmp_path, capsys):
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    assert main(["train", "shallow", "--data", str(tmp_path / "notes.csv")]) == 1
    assert "notes.csv" in one_error(capsys)


def test_a_wrong_path_fails_before_any_notebook(tmp_path, no_notebooks, capsys):
    assert main(["run", "--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in one_error(capsys)


def test_an_unknown_notebook_names_the_known_ones(table, no_notebooks, capsys):
    assert main(["run", "99", "--data", table]) == 1
    assert "'99'" in one_error(capsys)


def test_a_failed_notebook_fails_the_command(table, monkeypatch, capsys):
    def failing(*arguments, **options):
        raise series.NotebookFailed("Failed: 03_fully_connected_baseline.")

    monkeypatch.setattr(series, "run", failing)
    assert main(["run", "--data", table]) == 1
    assert "03_fully_connected_baseline" in one_error(capsys)


def test_a_diverged_training_is_one_sentence(table, monkeypatch, capsys):
    steep = replace(recipe("fully_connected"), learning_rate=1e38, batch_size=16)
    monkeypatch.setattr(__main__, "recipe", lambda model, profile, faces: steep)
    assert main(["train", "fully_connected", "--data", table]) == 1
    assert "choose a smaller" in one_error(capsys)


def test_unpublishable_data(table, capsys):
    assert main(["publish", "--data", table]) == 1
    assert "official split" in one_error(capsys)


@pytest.mark.parametrize(
    "wrong", [["train", "deepest"], ["train", "deep", "--profile", "fast"], ["fly"], []]
)
def test_what_argparse_refuses(wrong, capsys):
    with pytest.raises(SystemExit) as error:
        main(wrong)
    assert error.value.code == 2
    assert "usage: python -m fer_utils" in capsys.readouterr().err


def test_from_a_terminal_an_error_has_no_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "fer_utils", "train", "shallow", "--data", "nowhere"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "nowhere does not exist" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


# ---------------------------------------------------------------- run, fetch


def test_run_hands_its_options_to_the_series_and_prints_the_report(table, monkeypatch, capsys):
    asked = []

    def record(*arguments, **options):
        asked.append((arguments, options))
        return "reports/index.html"

    monkeypatch.setattr(series, "run", record)
    assert main(["run", "03", "--data", table, "--profile", "smoke", "--seed", "7"]) == 0
    assert asked == [((table, "smoke", 7, ["03"]), {"keep_going": False})]
    assert capsys.readouterr().out.splitlines()[-1] == "Report: reports/index.html"


def test_fetch_prints_what_was_counted(table, monkeypatch, capsys):
    monkeypatch.setattr(data, "fetch", lambda path, seminar: data.load(path))
    assert main(["fetch", "--from", table]) == 0
    assert "70 train, 14 validation, 14 test" in capsys.readouterr().out


def test_an_interrupt_is_130(table, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train_or_load", stopped)
    assert main(["train", "shallow", "--data", table]) == 130
