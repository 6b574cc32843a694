"""First and second load: class folders, zip and csv of drawn faces as many as FER2013's.

`FER_TEST_DATA` names a copy of the real data to load instead.
"""

import os
import tempfile
from pathlib import Path

from fer_utils import data
from tests.benchmarks import drawn
from tests.benchmarks.measure import Worker, alternating, limited, seconds

LIMITS = {"first": 30, "second": 1.0}  # seconds


def loading(path: str):
    """Two loads into an empty FER_HOME: seconds each."""

    def measure() -> dict:
        with tempfile.TemporaryDirectory() as home:
            os.environ["FER_HOME"] = home
            return {name: seconds(lambda: data.load(path)) for name in LIMITS}

    return measure


def rows(sizes: dict[str, int] = drawn.SIZES):
    """Two rows a layout. The files were just read or written: they come from the disk's cache."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in sources(Path(folder), sizes).items():
            with Worker("load:loading", path=str(path)) as worker:
                found = alternating({name: worker}, warm=False)[name]
            for which, limit in LIMITS.items():
                yield limited(f"{which} load, {name}", found[which], "s", limit)


def sources(folder: Path, sizes: dict[str, int]) -> dict[str, Path]:
    """What is loaded, by name."""
    if path := os.environ.get("FER_TEST_DATA"):
        return {Path(path).name: Path(path)}
    faces = drawn.repeated(**sizes)
    contents = drawn.files(faces)
    return {
        "folder": drawn.write_folder(contents, folder / "folder"),
        "zip": drawn.write_zip(contents, folder / "faces.zip"),
        "csv": drawn.write_csv(faces, folder / "faces.csv"),
    }
