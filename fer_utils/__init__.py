"""Helpers of the notebook series that re-runs and extends a FER2013 seminar paper.

What every module shares stands here: the repository's root, the folder that holds a
reader's data and results, and the names of the classes and the splits. Everything else is
imported from its own module, for example `from fer_utils import data, plots`.
"""

import os
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
SPLITS = ("train", "validation", "test")


def home() -> Path:
    """Return the folder of data, runs, claims and reports: `$FER_HOME`, or `ROOT / "data"`."""
    return Path(os.environ.get("FER_HOME") or ROOT / "data")


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the whole new one, never a part.

    Makes missing folders. Raises OSError (disk full, read-only) and leaves the old file as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def known_or_refuse(what: str, name, known) -> None:
    """Raise ValueError, naming the known ones, unless `name` is one of them."""
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: choose one of {', '.join(known)}")
