"""Helpers of the notebook series that re-runs and extends a FER2013 seminar paper.

What every module shares stands here: the repository's root, the folder that holds a
reader's data and results, and the names of the classes and the splits. Everything else is
imported from its own module, for example `from fer_utils import data, plots`.
"""

import os
import tempfile
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
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's own mode would hide reports from other users
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
