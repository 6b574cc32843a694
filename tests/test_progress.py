"""Progress in words and in one bar."""

import io
from types import SimpleNamespace

import IPython.display
import pytest

from fer_utils import progress


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"), (3661, "1:01:01")],
)
def test_clock(seconds, text):
    assert progress.clock(seconds) == text


def test_items_pass_through_in_order_and_unread(capsys):
    drawn = iter(range(5))
    tracked = progress.track(drawn, "Counting", total=5)
    assert [next(tracked), next(tracked)] == [0, 1]
    assert next(drawn) == 2, "an item is taken only when it is asked for"
    assert list(progress.track([1, 2], "Counting")) == [1, 2]
    assert capsys.readouterr().out == ""


def test_a_file_gets_no_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr", out := io.StringIO())
    list(progress.track(range(3), "Counting"))
    assert out.getvalue() == ""


def test_a_notebook_keeps_one_bar_in_its_last_state(monkeypatch):
    states, places = [], set()

    def shown(bar, raw, display_id, update):
        states.append((update, bar["text/plain"], bar["text/html"]))
        places.add(display_id)

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr(IPython.display, "display", shown)
    assert list(progress.track(range(3, 5), "Epochs", total=5, initial=3)) == [3, 4]
    assert [update for update, *_ in states] == [False] + [True] * (len(states) - 1)
    assert [states[0][1], states[-1][1]] == ["Epochs: 3 of 5, ? left", "Epochs: 5 of 5, 00:00 left"]
    assert 'value="5" max="5"' in states[-1][2] and len(places) == 1


def test_an_error_passes_through_the_bar():
    def broken():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(progress.track(broken(), "Counting", total=2))
