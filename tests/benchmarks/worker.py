"""The other end of `measure.Worker`: an answer, one line of JSON, for each line that comes in."""

import json
import os
import sys
from importlib import import_module


def main(prepare: str, arguments: str) -> None:
    """Prepare, then measure once a line until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what else this process or its children print is no answer
    module, _, function = prepare.partition(":")
    found = getattr(import_module(f"tests.benchmarks.{module}"), function)
    measure = found(**json.loads(arguments))
    for _ in sys.stdin:
        print(json.dumps(measure()), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
