"""A progress bar that suits the place: tqdm's in a terminal, one that updates itself in a notebook.

tqdm's own notebook bar leaves a stale "0 %" and widget metadata in headless runs, and plain tqdm
leaves a line an update; a display handle keeps only its last state.
"""

import io
from functools import partial

import IPython.display
from tqdm import tqdm


def track(items, label: str, total: int | None = None, initial: int = 0):
    """Yield each of `items` while showing label, count, time left; silent if output is a file.

    total: number of items (default `len(items)`); initial: how many were done before.
    """
    show = partial(tqdm, leave=False, disable=None)
    if hasattr(IPython.get_ipython(), "kernel"):  # JupyterLab or papermill
        look = dict(bar_format="{desc}: {n_fmt} of {total_fmt}, {remaining} left", mininterval=0.5)
        show = partial(NotebookBar, file=io.StringIO(), **look)
    yield from show(items, label, total, initial=initial)


class NotebookBar(tqdm):
    """tqdm's bar in one output of a notebook."""

    def display(self, msg=None, pos=None):
        """Show the bar where it stood before."""
        text, at = str(self), f'value="{self.n}" max="{self.total}"'
        shown = {"text/plain": text, "text/html": f"<progress {at}></progress> {text}"}
        place = dict(display_id=f"bar {id(self)}", update=self.n > self.initial)
        IPython.display.display(shown, raw=True, **place)


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    return tqdm.format_interval(round(seconds)).removeprefix("0")  # tqdm writes 01:01
