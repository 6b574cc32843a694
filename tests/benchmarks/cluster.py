"""How a list of trainings scales: python -m tests.benchmarks cluster (ten to twenty minutes).

Eight small trainings on drawn faces, with one thread each: here one after the other, and by one and
two workers of loky and of dask. Start-up of the workers is included.
"""

import os
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace

from fer_utils import data, experiments, machine, runs
from tests.benchmarks.measure import compared


def jobs() -> list[runs.Job]:
    """Shallow on 1,000 drawn faces, six epochs, eight seeds."""
    ((first, *_),) = experiments.jobs("kernel_seeds", "short", small=True).values()
    recipe = replace(first.recipe, epochs=6)
    return [runs.Job("bench-short", recipe, seed) for seed in range(1, 9)]


def seconds(backend: str, workers: int) -> float:
    """Of all trainings in an empty home."""
    faces = data.load("synthetic")
    with tempfile.TemporaryDirectory() as home, machine.threads(1):
        os.environ["FER_HOME"] = home
        data.load("synthetic")  # into the new home's cache
        began = time.monotonic()
        with local_cluster(workers) if backend == "dask" else nullcontext():
            runs.train_all(jobs(), faces, backend, workers)
        return time.monotonic() - began


def local_cluster(workers: int):
    """A dask cluster on this machine."""
    from distributed import Client

    return Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)


def rows():
    """One row a backend and number of workers; theirs is the sequential backend."""
    base = seconds("sequential", 1)
    for backend, workers in ("loky", 1), ("loky", 2), ("dask", 1), ("dask", 2):
        took = seconds(backend, workers)
        yield compared(f"eight trainings, {backend} {workers}", took, base, "s")


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name}: {row.ours:.1f} s, {1 / row.ratio:.2f} times as fast as sequential")
