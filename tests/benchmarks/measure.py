"""What all benchmarks share: rows, alternating rounds, processes of their own, memory, facts."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fer_utils import ROOT

ROUNDS = 3
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Row:
    """A line of the table. ours, theirs: medians in `unit`, None where there is nothing to measure.

    ratio: ours / theirs. target: what ours or the ratio should be. met: None without a target or
    where nothing was measured.
    """

    name: str
    ours: float | None
    theirs: float | None
    unit: str
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


def compared(name, ours, theirs, unit, at_least=None, note="") -> Row:
    """A row whose ratio should be `at_least` that, to the digits that it is given with."""
    ratio = ours / theirs
    target = "" if at_least is None else f"ratio ≥ {at_least}"
    met = None if at_least is None else round(ratio, digits(at_least)) >= at_least
    return Row(name, ours, theirs, unit, ratio, target, met, note)


def limited(name, ours, unit, at_most, theirs=None, note="") -> Row:
    """A row whose own number should be `at_most` that, to the digits that it is given with."""
    met = round(ours, digits(at_most)) <= at_most
    ratio = ours / theirs if theirs else None
    return Row(name, ours, theirs, unit, ratio, f"ours ≤ {at_most}", met, note)


def digits(number: float) -> int:
    """How many digits stand behind a number's point."""
    return len(str(number).partition(".")[2])


def alternating(measures: dict[str, Callable[[], dict]], rounds=ROUNDS, warm=True) -> dict:
    """Medians, by measure and then by the names in what it returns, of measures called in turns.

    warm: whether a first round is not counted.
    """
    seen = {name: [] for name in measures}
    for _ in range(warm + rounds):
        for name, measure in measures.items():
            seen[name].append(measure())
    return {name: medians(each[warm:]) for name, each in seen.items()}


def medians(found: list[dict]) -> dict:
    """By name, the median of what several dictionaries hold; None where one of them holds None."""
    columns = {name: [each[name] for each in found] for name in found[0]}
    return {n: None if None in each else statistics.median(each) for n, each in columns.items()}


class Worker:
    """A process of its own that prepares something once and measures it whenever it is called.

    prepare: `module:function` of tests.benchmarks; with `arguments` (JSON values) it returns the
    function that measures: no arguments, numbers by name. It ends with the `with`.
    """

    def __init__(self, prepare: str, home: Path | None = None, **arguments):
        command = [sys.executable, "-m", "tests.benchmarks.worker", prepare, json.dumps(arguments)]
        environment = os.environ | ({"FER_HOME": str(home)} if home else {})
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.prepare = prepare
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)

    def __call__(self) -> dict:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        if not (answer := self.process.stdout.readline()):
            raise RuntimeError(f"{self.prepare} ended: its error stands above.")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def once(prepare: str, home: Path | None = None, **arguments) -> dict:
    """What a worker measures the first time."""
    with Worker(prepare, home, **arguments) as worker:
        return worker()


def seconds(work: Callable[[], object], device=None) -> float:
    """Wall time of some work, to the end of what it gave a GPU to do."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


def wait(device) -> None:
    """Until a GPU has done what it was given."""
    if device is not None and device.type != "cpu":
        import torch

        getattr(torch, device.type).synchronize()


def memory(kind: str) -> float | None:
    """MB of this process: `VmHWM` (its peak), `RssAnon` (now, no mapped files). None off Linux."""
    if not STATUS.exists():
        return None
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{kind}:"))
    return int(line.split()[1]) * 1024 / 1e6  # the file has KiB


def children_peak() -> float | None:
    """MB of the largest process that this one has started and seen end. None on Windows."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6


def facts() -> dict:
    """The machine: see `machine.provenance`, and the processor's name."""
    from fer_utils import machine  # imports torch

    return machine.provenance(machine.pick_device()) | {"processor": processor()}


def processor() -> str:
    """The processor's name as the system gives it."""
    return information("model name") or platform.processor() or platform.machine()


def information(name: str) -> str:
    """The first entry of that name in Linux's /proc/cpuinfo; empty without one."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    entries = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in entries if key.strip() == name), "")
