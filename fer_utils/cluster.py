"""A dask cluster, on this machine or elsewhere, for `train --backend dask`."""

from contextlib import contextmanager


@contextmanager
def cluster(scheduler: str | None):
    """While open, joblib's backend `dask` works on the cluster at this address.

    Raises ValueError if dask is not installed, or if no scheduler with a worker answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError("dask is not installed: `pip install -e .[cluster]`.") from error
    try:
        client = Client(scheduler or "no address", timeout=10)
    except Exception as error:  # whatever stands at that address, it is no scheduler
        raise ValueError(f"no dask scheduler answers at {scheduler}: start one first.") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=10)
        except OSError as error:
            raise ValueError(f"{scheduler} has no workers: start one first.") from error
        yield client
