"""An exercise that is open, wrong or broken never stops a notebook, and says what to do."""

import numpy as np
import pytest

from fer_utils import exercises


def said(capsys, *arguments):
    exercises.check(*arguments)
    (line,) = capsys.readouterr().out.splitlines()
    return line


def broken(answer):
    raise KeyError("no such face")


def test_an_open_exercise_is_not_tested(capsys):
    assert said(capsys, None, broken, "a hint") == "not attempted yet"


@pytest.mark.parametrize("answer", [4, 0, False, np.int64(4), np.arange(5)])
def test_each_right_answer_is_ticked(capsys, answer):
    assert said(capsys, answer, lambda given: np.size(given) > 0, "size?") == "✓"


def test_each_wrong_answer_gets_the_next_hint_and_the_last_one_stays(capsys):
    hints = ("one more", "it is even", "two times two")
    for hint in (*hints, hints[-1]):
        assert said(capsys, 3, lambda given: given == 4, *hints) == f"not yet: {hint}"
    assert said(capsys, 4, lambda given: given == 4, *hints) == "✓"
    assert said(capsys, 3, lambda given: given == 4, "of another") == "not yet: of another"


def test_what_is_raised_is_named(capsys):
    line = said(capsys, 3, broken, "look closer")
    assert line == "not yet: look closer (KeyError: 'no such face')"


def test_an_array_where_a_number_is_asked_for_is_no_crash(capsys):
    line = said(capsys, np.arange(3), lambda given: given == 4, "one number")
    assert line.startswith("not yet: one number") and "ValueError" in line


def test_an_interrupt_is_not_swallowed():
    def stopped(answer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercises.check(1, stopped, "")
