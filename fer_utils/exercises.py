"""The check of an exercise."""

from collections import Counter
from collections.abc import Callable

WRONG = Counter()  # answers so far, by the hints of an exercise


def check(answer, test: Callable[[object], bool], *hints: str) -> None:
    """Print how an exercise went; the notebook goes on either way.

    `answer` is None until a reader has tried; `test(answer)` is true for a right one. A first wrong
    answer is followed by the first of `hints`, the next by the second, and so on. What `test`
    raises counts as a wrong answer and is named: nothing is raised here.
    Introduced in notebook 01.
    """
    if answer is None:
        print("not attempted yet")
        return
    try:
        right, raised = bool(test(answer)), ""
    except Exception as error:  # a reader's code can raise anything
        right, raised = False, f" ({type(error).__name__}: {error})"
    hint = hints[min(WRONG[hints], len(hints) - 1)]
    WRONG[hints] += not right
    print("✓" if right else f"not yet: {hint}{raised}")
