"""Peak memory of the notebooks at profile `smoke` on drawn faces."""

import tempfile

from fer_utils import series
from tests.benchmarks.measure import Row, children_peak, once


def notebook(name: str):
    """One notebook in an empty FER_HOME: MB of its kernel (of its largest process) at the peak."""

    def measure() -> dict:
        with tempfile.TemporaryDirectory() as out:
            series.run("synthetic", "smoke", names=[name], out=out)
        return {"peak": children_peak()}

    return measure


def rows():
    """One row a notebook, then the largest."""
    peaks = {}
    with tempfile.TemporaryDirectory() as home:
        for path in series.notebooks():
            name = path.stem[:2]
            peaks[name] = once("series:notebook", home, name=name)["peak"]
            yield Row(f"peak memory of notebook {name}, smoke", peaks[name], None, "MB")
    largest = max(peaks, key=lambda name: peaks[name] or 0)  # None on Windows
    yield Row("peak memory of the series", peaks[largest], None, "MB", note=f"notebook {largest}")
