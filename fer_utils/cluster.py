"""Many trainings at once: processes of this machine, or a dask cluster (`train --backend`)."""

import os
import threading
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache, partial
from io import StringIO

import joblib

from fer_utils import UserError, data, home, machine, runs
from fer_utils.runs import RunError

load = lru_cache(1)(data.load)  # read once a worker
# Threads of one worker (dask's default) take turns: random numbers belong to the process.
IN_TURN = threading.Lock()


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


def each_trained(config, todo: list[runs.Job], faces: data.Faces, retrain: bool):
    """Yield the run of each job as it is finished, in the jobs' order."""
    told = (faces.source, faces.fingerprint, str(home().resolve()), retrain)
    tasks = (joblib.delayed(train_elsewhere)(job, *told) for job in todo)
    try:
        with config:
            yield from joblib.Parallel(return_as="generator")(tasks)
    except BrokenProcessPool as error:
        advice = "often for its memory: run again, with fewer workers, to go on"
        raise RunError(f"A worker was ended from outside, {advice}.") from error


def train_elsewhere(job: runs.Job, source, fingerprint, folder, retrain=False) -> runs.Run:
    """`runs.train_run` in another process or on another machine, with one thread, by the data's
    source.

    folder: FER_HOME, where all workers write. Raises RunError if the data found there is another.
    Prints nothing: many workers' lines would mix.
    """
    os.environ["FER_HOME"] = folder
    with IN_TURN, redirect_stdout(StringIO()), redirect_stderr(StringIO()), machine.threads(1):
        faces = load(source)
        if faces.fingerprint != fingerprint:
            raise RunError(f"{source} holds other faces here than where the work was given out.")
        return runs.train_run(job, faces, retrain)
