"""Each notebook's file alone, in the folder where this starts, with the package from an archive.

python without_a_clone.py CLONE ARCHIVE [NN …] runs the first cell of the clone's notebooks, with
ARCHIVE in place of the repository's address, then each notebook (or those) at `smoke` by papermill.
"""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import nbformat

PINNED = ("torch", "torchvision", "numpy", "pandas", "ipython", "ipykernel")


def install(notebook: Path, archive: Path) -> None:
    """Run the cell that gets the package; it says so once and leaves alone what is there."""
    cells = nbformat.read(notebook, 4).cells
    (cell,) = [cell for cell in cells if "setup" in cell.metadata.get("tags", [])]
    source, found = re.subn(r"https://\S+\.zip", archive.resolve().as_uri(), cell.source)
    assert found == 1, source
    before = [version(name) for name in PINNED]
    for said in (1, 0):
        done = subprocess.check_output([sys.executable, "-c", source], text=True)
        assert done.count("\n") == said, done
        print(done, end="")
    assert before == [version(name) for name in PINNED], "the cell changed what was there"


def run(notebook: Path) -> str:
    """Run a copy of a notebook here, at `smoke`; returns what is wrong, else nothing."""
    from fer_utils import series

    name = f"{notebook.stem}.out.ipynb"
    Path(notebook.name).write_bytes(notebook.read_bytes())
    command = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3"]
    command += [notebook.name, name, "-p", "PROFILE", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return f"{notebook.name} failed: {done.stderr[-2000:]}"
    text = nbformat.writes(series.check_executed(Path(name)))
    return "" if "fer_data" in text else f"{notebook.name} does not say where results go"


def main(clone: str, archive: str, *numbers: str) -> int:
    """How many notebooks failed with the package as it was installed."""
    notebooks = sorted(Path(clone, "notebooks").glob("*.ipynb"))
    install(notebooks[0], Path(archive))
    notebooks = [path for path in notebooks if path.name.startswith(numbers or "")]
    import fer_utils

    assert Path(fer_utils.__file__).is_relative_to(sys.prefix), fer_utils.__file__
    with ThreadPoolExecutor(2) as two:
        failed = list(filter(None, two.map(run, notebooks)))
    print(*failed, f"{len(notebooks) - len(failed)} passed, {len(failed)} failed", sep="\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
