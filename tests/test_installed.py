"""The package without a clone: what pyproject.toml puts into a wheel is all that notebooks need.

`.ci/run` builds the wheel and installs it; here its files are laid out as pip would.
"""

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from fer_utils import ROOT, runs, series

SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
SHOW = """
import fer_utils
from fer_utils import data, ledger, machine, runs, series
print(fer_utils.__file__)
print(data.load("synthetic").describe())
print(len(runs.published_runs()), len(runs.published_runs("synthetic")), len(series.notebooks()))
print(len(ledger.published_rows()))
print(machine.provenance(machine.pick_device())["revision"])
print(next(run for run in runs.published_runs() if run.has_weights).model().training)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed packages with what the wheel holds of the package, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    for package in SETUPTOOLS["packages"]:
        source = ROOT / SETUPTOOLS["package-dir"].get(package, package.replace(".", "/"))
        for pattern in ("*.py", *SETUPTOOLS["package-data"].get(package, ())):
            for path in filter(lambda found: found.is_file(), source.glob(pattern)):
                target = folder.joinpath(*package.split("."), path.relative_to(source))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, target)
    return folder


def run(site, folder, *arguments):
    """Run Python in an empty folder, without FER_HOME; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    environment.pop("FER_HOME")
    command = [sys.executable, *arguments]
    pipes = dict(capture_output=True, text=True, encoding="utf-8")
    done = subprocess.run(command, cwd=folder, env=environment, **pipes)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_published_runs_and_notebooks_travel_and_results_go_to_the_working_folder(site, tmp_path):
    lines = run(site, tmp_path, "-c", SHOW)
    assert lines[0] == str(site / "fer_utils" / "__init__.py")
    assert lines[1].endswith(f"739 test (own results: {tmp_path / 'fer_data'})")
    published = [len(runs.published_runs(kind)) for kind in ("fer2013", "synthetic")]
    assert lines[2].split() == [str(n) for n in (*published, len(series.notebooks()))]
    assert min(published) > 10 and int(lines[3]) > 10
    assert lines[4:] == ["None", "False"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["fer_data"]
