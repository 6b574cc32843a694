"""A dask cluster, on this machine or elsewhere, for `train --backend dask`."""

from contextlib import contextmanager


@contextmanager
def cluster(scheduler: str | None, workers: int = -1):
    """While open, joblib's backend `dask` works on the cluster at this address; for None on a new
    one on this machine, of so many processes (-1: one a core). Raises ValueError if dask is not
    installed, or if no scheduler with a worker answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("dask is not installed: `pip install -e .[cluster]`.") from error
    # memory_limit=0: else dask stops or kills a worker for memory that a training needs
    own = dict(threads_per_worker=1, memory_limit=0, dashboard_address=None)
    own["n_workers"] = workers if workers > 0 else None
    try:
        client = Client(scheduler, timeout=10, **({} if scheduler else own))
    except Exception as error:  # whatever stands at that address, it is no scheduler
        raise ValueError(f"no dask scheduler answers at {scheduler}: start one first.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=10)
        except OSError as error:
            raise ValueError(f"{scheduler} has no workers: start one first.") from error
        yield client
