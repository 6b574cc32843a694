"""A connection to a dask cluster, for `train --backend dask`."""

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
        client.wait_for_workers(1, timeout=10)
    except Exception as error:  # whatever stands at that address, it is no scheduler
        advice = "start both, and give its address as --scheduler."
        raise ValueError(f"no dask scheduler with a worker at {scheduler}: {advice}") from error
    with client:
        yield client
