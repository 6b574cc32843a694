"""Helpers of the notebook series that re-runs and extends a FER2013 seminar paper.

What every module shares stands here: the root, where notebooks and published runs are, the folder
that holds a reader's data and results, and the names of the classes and the splits. Everything else
is imported from its own module, for example `from fer_utils import data, plots`.
"""

import os
import signal
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Without a clone: pip's copy of the package has notebooks/ and data/published/ inside.
INSTALLED = (HERE / "notebooks").is_dir()
ROOT = HERE if INSTALLED else HERE.parent
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
SPLITS = ("train", "validation", "test")
PROFILES = ("smoke", "short", "seminar")
SEED = 42  # the notebooks' default: published runs with this seed don't name it


class UserError(ValueError):
    """What a user can mend; the message is a sentence with what, where and what to do."""


def home() -> Path:
    """Return the folder of data, runs, claims and reports: `$FER_HOME`, else data/ of the clone,
    else fer_data/ in the working folder.
    """
    own = Path.cwd() / "fer_data" if INSTALLED else ROOT / "data"
    return Path(os.environ.get("FER_HOME") or own)


def terminate_as_interrupt() -> None:
    """From now on SIGTERM acts as Ctrl+C: the training or notebook that runs ends cleanly."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def read_toml(name: str) -> dict:
    """What stands in `fer_utils/<name>.toml`: numbers and texts that are data, not code."""
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


def known_or_refuse(what: str, name, known) -> None:
    """Raise UserError, naming the known ones, unless `name` is one of them."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")
