"""Seconds until Python has imported fer_utils, and until the command line has said its usage."""

import subprocess
import sys

from fer_utils import ROOT
from tests.benchmarks.measure import alternating, limited, seconds

COMMANDS = {
    "import fer_utils": ["-c", "import fer_utils"],
    "python -m fer_utils --help": ["-m", "fer_utils", "--help"],
}
LIMIT = 0.3  # seconds


def rows():
    """Two rows; theirs is a Python that does nothing."""
    measures = {name: timed(command) for name, command in COMMANDS.items()}
    found = alternating(measures | {"bare": timed(["-c", "pass"])}, rounds=5)
    for name, command in COMMANDS.items():
        note = "imports torch" if imports_torch(command) else "without torch"
        took, bare = found[name]["seconds"], found["bare"]["seconds"]
        yield limited(name, took, "s", LIMIT, bare, note)


def timed(command: list[str]):
    """A function that runs Python with these arguments and returns the seconds."""
    return lambda: {"seconds": seconds(lambda: python(command))}


def python(command: list[str]) -> subprocess.CompletedProcess:
    """Python with these arguments, run to its end."""
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True
    )


def imports_torch(command: list[str]) -> bool:
    """Whether a Python with these arguments imports torch."""
    lines = python(["-X", "importtime", *command]).stderr.splitlines()
    return any(line.rpartition("|")[2].strip() == "torch" for line in lines)
