"""The benchmarks run and say what they found; what it is worth, no test says."""

import json
import subprocess
import sys

from fer_utils import ROOT


def benchmarks(*arguments):
    command = [sys.executable, "-m", "tests.benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


def test_a_group_gives_the_machine_and_its_rows_as_json():
    done = benchmarks("work", "--json")
    assert done.returncode == 0, done.stderr
    head, *rows = map(json.loads, done.stdout.splitlines())
    assert {"processor", "threads", "versions"} <= head["machine"].keys()
    assert [row["group"] for row in rows] == ["work", "work"]
    first = rows[0]
    assert first["ratio"] == first["ours"] / first["theirs"]


def test_a_group_that_is_not_there_is_refused():
    done = benchmarks("nothing")
    assert done.returncode == 2
    assert "nothing" in done.stderr
