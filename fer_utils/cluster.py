"""Many trainings at once: processes of this machine, or a dask cluster (`train --backend`)."""

import io
import os
import threading
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache, partial

import joblib

from fer_utils import UserError, data, home, machine, runs
from fer_utils.data import Faces
from fer_utils.runs import Job, Run, RunError

load = lru_cache(1)(data.load)  # read once a worker
# Threads of one worker (dask's default) take turns: random numbers belong to the process.
ONE_AT_A_TIME = threading.Lock()


def elsewhere(backend: str, workers: int = -1, scheduler: str | None = None):
    """What `runs.train_all` takes as `how`, for joblib's backend of this name.

    `loky`: `workers` processes of one thread, -1 for one a core. `dask`: a cluster by its
    scheduler's address (None: the client that is there), whose workers share FER_HOME. A worker
    loads the data by its source: a task carries no pixels. Raises UserError if dask is not
    installed or nobody answers.
    """
    place = {"scheduler_host": scheduler} if scheduler else {}
    try:
        config = joblib.parallel_config(backend, n_jobs=workers, **place)
        joblib.effective_n_jobs()  # waits for a worker
    except (ValueError, OSError) as error:
        advice = "`pip install -e .[cluster]`, start a scheduler and workers, give its address."
        raise UserError(f"no dask cluster answers at {scheduler}: {advice}") from error
    return partial(each_trained, config)


def each_trained(config, todo: list[Job], faces: Faces, retrain: bool):
    """Yield the run of each job as it is finished, in the jobs' order."""
    told = (faces.source, faces.fingerprint, str(home().resolve()), retrain)
    tasks = (joblib.delayed(train_elsewhere)(job, *told) for job in todo)
    with config:
        yield from joblib.Parallel(return_as="generator")(tasks)


def train_elsewhere(job: Job, source, fingerprint, folder, retrain=False) -> Run:
    """`runs.train_run` in another process or on another machine, with one thread, by the data's
    source.

    folder: FER_HOME, where all workers write. Raises RunError if the data found there is another.
    Prints nothing: many workers' lines would mix.
    """
    os.environ["FER_HOME"] = folder
    silent = redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO())
    with ONE_AT_A_TIME, silent[0], silent[1], machine.threads(1):
        faces = load(source)
        if faces.fingerprint != fingerprint:
            raise RunError(f"{source} holds other faces here than where the work was given out.")
        return runs.train_run(job, faces, retrain)
