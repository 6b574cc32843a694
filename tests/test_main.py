"""The command line: results as promised, and each error one sentence without a traceback."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import patterns
import publish
import pytest
import torch

from fer_utils import ROOT, data, experiments, fetching, recipes, runs, series
from fer_utils.__main__ import main
from fer_utils.runs import Job

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
    assert list(result) == ["name", "seed", "epochs", "validation_accuracy", "seconds"]
    (record,) = [
        json.loads(path.read_text("utf-8")) for path in (runs.home() / "runs").glob("*/run.json")
    ]
    last = record["history"][-1]
    assert result == {
        "name": "fully_connected-short-s3",
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


def test_threads(table, capsys):
    command = ["train", "fully_connected", "--profile", "smoke", "--data", table]
    assert main([*command, "--threads", "2"]) == 0 and torch.get_num_threads() == 2
    capsys.readouterr()
    assert main([*command, "--threads", "0"]) == 2
    assert "--threads" in one_error(capsys)


def test_several_names_and_an_experiment_each_give_their_runs(table, capsys):
    command = ["train", "fully_connected", "one_layer", "--profile", "smoke", "--data", table]
    assert main([*command, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
    names = ["fully_connected-smoke", "fully_connected-smoke", "fully_connected_shuffled-smoke"]
    assert [row["name"] for row in rows] == names
    assert len(list((runs.home() / "runs").glob("*/run.json"))) == 2, "equal trainings are one"


def test_the_list_has_every_name_with_its_runs_and_minutes(capsys, monkeypatch):
    monkeypatch.setattr(runs, "PUBLISHED", ROOT / "data" / "published")
    assert main(["train", "--list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(lines) == {*recipes.SETTINGS, *experiments.EXPERIMENTS}
    assert "24 runs" in lines["search"] and "24 published" in lines["search"]
    seconds = runs.published_run(Job("a", recipes.recipe("deep", "short", False)))
    assert f"{seconds.provenance['seconds'] / 60:.1f} minutes" in lines["deep"]


def test_all_published_runs_are_made_again_and_then_kept(table, monkeypatch, capsys):
    tiny = Job("tiny-short", replace(patterns.RECIPE, epochs=1))
    monkeypatch.setattr(experiments, "EXPERIMENTS", {"tiny": (None, ["fer2013"])})
    monkeypatch.setattr(experiments, "jobs", lambda *asked: {"tiny": [tiny]})
    monkeypatch.setattr(runs, "published_run", lambda job, faces=None: pytest.fail("was taken"))
    command = ["train", "--all-published", "--data", table]
    assert main(command) == 0
    assert "trained now" in capsys.readouterr().out
    assert main(command) == 0
    assert "own run" in capsys.readouterr().out


def test_publish_hands_on_data_and_notebooks(table, monkeypatch):
    asked = []
    monkeypatch.setattr(publish, "publish_runs", lambda faces: [])
    monkeypatch.setattr(publish, "publish_notebooks", lambda *given: asked.append(given))
    assert publish.main(["03", "--data", table]) == 0
    assert asked == [(table, ["03"])]


# ---------------------------------------------------------------- errors


def test_data_that_is_not_there(tmp_path, capsys):
    missing = str(tmp_path / "nowhere")
    assert main(["train", "shallow", "--data", missing]) == 2
    assert missing in one_error(capsys)
    assert main(["train", "shallow", "--data", "fer2013"]) == 2
    assert "python -m fer_utils fetch" in one_error(capsys)


def test_data_that_is_something_else(tmp_path, capsys):
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    assert main(["train", "shallow", "--data", str(tmp_path / "notes.csv")]) == 2
    assert "notes.csv" in one_error(capsys)


def test_a_wrong_path_fails_before_any_notebook(tmp_path, no_notebooks, capsys):
    assert main(["run", "--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in one_error(capsys)


def test_an_unknown_notebook_names_the_known_ones(table, no_notebooks, capsys):
    assert main(["run", "99", "--data", table]) == 2
    assert "'99'" in one_error(capsys)


def test_a_failed_notebook_fails_the_command(table, monkeypatch, capsys):
    def failing(*arguments, **options):
        raise series.NotebookFailed("Failed: 03_fully_connected_baseline.")

    monkeypatch.setattr(series, "run", failing)
    assert main(["run", "--data", table]) == 2
    assert "03_fully_connected_baseline" in one_error(capsys)


def test_a_diverged_training_is_one_sentence(table, monkeypatch, capsys):
    one = recipes.recipe("fully_connected", "short", small=True)
    steep = Job("steep-short", replace(one, learning_rate=1e38, batch_size=16))
    monkeypatch.setattr(experiments, "jobs", lambda *given: {"steep": [steep]})
    assert main(["train", "fully_connected", "--data", table]) == 2
    assert "choose a smaller" in one_error(capsys)


@pytest.mark.parametrize("names", [["deepest"], []])
def test_train_names_what_it_knows(names, table, capsys):
    assert main(["train", *names, "--data", table]) == 2
    line = one_error(capsys)
    assert "fully_connected" in line and "patience" in line if names else "--list" in line


def test_unpublishable_data(table, capsys):
    assert publish.main(["--data", table]) == 2
    assert "official split" in one_error(capsys)


@pytest.mark.parametrize("wrong", [["train", "deep", "--profile", "fast"], ["fly"], []])
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
    assert done.returncode == 2
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
    monkeypatch.setattr(fetching, "fetch", lambda path, seminar: data.load(path))
    assert main(["fetch", "--from", table]) == 0
    assert "70 train, 14 validation, 14 test" in capsys.readouterr().out


def test_fetch_takes_votes_alone(table, monkeypatch, capsys):
    taken = []
    monkeypatch.setattr(fetching, "fetch", lambda *_: taken.append("images"))
    monkeypatch.setattr(
        fetching, "fetch_votes", lambda path: taken.append(path) or data.load(table)
    )
    assert main(["fetch", "--ferplus", "v.csv"]) == 0
    assert taken == ["v.csv"] and "70 train" in capsys.readouterr().out


def test_an_interrupt_is_130(table, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "train_run", stopped)
    assert main(["train", "shallow", "--data", table]) == 130


def test_sigterm_ends_every_command_as_ctrl_c_does(home, monkeypatch):
    """Without a training, too: `fetch` has a temporary folder to clear."""
    monkeypatch.setattr(fetching, "fetch", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert main(["fetch"]) == 130
