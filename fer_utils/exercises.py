"""The check of an exercise."""

from collections.abc import Callable


def check(answer, test: Callable[[object], bool], hint: str | Callable[[object], str]) -> None:
    """Print how an exercise went; the notebook goes on either way.

    `answer` is None until a reader has tried; `test(answer)` is true for a right one; `hint`
    follows a wrong one, as a string or a function of the answer that returns one. What `test`
    or `hint` raises counts as a wrong answer and is named: nothing is raised here.
    Introduced in notebook 01.
    """
    if answer is None:
        print("not attempted yet")
        return
    try:
        verdict = "✓" if test(answer) else f"not yet: {hint(answer) if callable(hint) else hint}"
    except Exception as error:  # a reader's code can raise anything
        words = "" if callable(hint) else f"{hint} "
        verdict = f"not yet: {words}({type(error).__name__}: {error})"
    print(verdict)
