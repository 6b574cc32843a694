"""The README of this folder names tests that exist, and all rows of the fault matrix."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = re.findall(r"(?m)^\| (\d+|–) \|.*\| ([^|]*) \|$", (HERE / "README.md").read_text("utf-8"))
NAMED = sorted({name for _, tests in ROWS for name in re.findall(r"`([^`]+::[^`]+)`", tests)})


def test_all_33_rows_are_there():
    assert [int(number) for number, _ in ROWS if number != "–"] == list(range(1, 34))


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name):
    path, _, function = name.partition("::")
    assert f"def {function}(" in (HERE / path).read_text("utf-8")
