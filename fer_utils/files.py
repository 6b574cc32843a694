"""Writes files whole or not at all, and notices when one is no longer as it was written."""

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from fer_utils import ROOT, UserError


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


def write_json(path: Path, value: dict) -> None:
    """Write plain values as indented JSON, atomically, and beside them the sha256 over them."""
    sealed = value | {"sha256": seal(value)}
    write_atomic(path, (json.dumps(sealed, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict:
    """What `write_json` wrote. Raises UserError for anything else: see `damaged`."""
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        value = json.loads(path.read_bytes())
        if value.pop("sha256") == seal(value):
            return value
    raise damaged(path)


def seal(value: dict | list) -> str:
    """sha256 (hex) of plain values, in any order of their names."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def damaged(path: Path, delete="it") -> UserError:
    """The error for a file that is not as it was written; `delete` is what to delete then."""
    shipped = path.is_relative_to(ROOT / "data" / "published")
    advice = "get data/published again" if shipped else f"delete {delete} and run again"
    return UserError(f"{path} is damaged or of another version: {advice}.")


def write_sealed(path: Path, content: bytes) -> None:
    """Write a file as `write_atomic` does, its own sha256 first."""
    write_atomic(path, hashlib.sha256(content).digest() + content)


def read_sealed(path: Path) -> bytes:
    """The content that `write_sealed` was given. Raises UserError if the file is damaged."""
    content = path.read_bytes()
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        raise damaged(path)  # neither torch.load nor numpy would notice each flipped bit
    return content[32:]


def sha256(path: Path) -> str:
    """sha256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
