"""A progress bar that suits the place: tqdm in a terminal, one updating HTML bar in a notebook.

tqdm's own notebook bar leaves a stale "0 %" and widget metadata in headless runs, and plain tqdm
leaves a line an update; a display handle keeps only its last state.
"""

import time
from functools import partial

import IPython.display
from tqdm import tqdm


def track(items, label: str, total: int | None = None, initial: int = 0):
    """Yield each of `items` while showing label, count, time left; silent if output is a file.

    total: number of items (default `len(items)`); initial: how many were done before.
    """
    total = len(items) if total is None else total
    show = notebook_bar if in_notebook() else partial(tqdm, leave=False, disable=None)
    yield from show(items, label, total, initial=initial)


def in_notebook() -> bool:
    """True inside a Jupyter kernel (JupyterLab or papermill)."""
    return hasattr(IPython.get_ipython(), "kernel")


def bar(label: str, done: int, total: int, left: float) -> dict[str, str]:
    """What the notebook bar shows, by MIME type: text where HTML is not shown."""
    text = f"{label}: {done:,} of {total:,}" + f", {clock(left)} left" * (done < total)
    html = f'<progress value="{done}" max="{total}"></progress> {text}'
    return {"text/plain": text, "text/html": html}


def notebook_bar(items, label: str, total: int, initial: int):
    """Yield items, refreshing one displayed bar at most twice a second."""
    handle = IPython.display.display(bar(label, initial, total, 0), raw=True, display_id=True)
    start = shown = time.monotonic()
    for done, item in enumerate(items, initial + 1):
        yield item
        now = time.monotonic()
        if now - shown > 0.5 or done == total:
            left = (now - start) / (done - initial) * (total - done)
            handle.update(bar(label, done, total, left), raw=True)
            shown = now


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    return tqdm.format_interval(round(seconds)).removeprefix("0")  # tqdm writes 01:01
