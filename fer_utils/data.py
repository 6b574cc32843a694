"""Finds, reads, splits and caches the faces, whatever layout they come in.

Three layouts are recognised by their content, each as a folder, a zip, a tar or a bare csv:
class folders with official file names (Kaggle msambare/fer2013), class folders without them
(the seminar's Kaggle copy), and the challenge's csv. Introduced in notebook 01.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from fer_utils import CLASSES, ROOT, SPLITS, home, write_atomic
from fer_utils import synthetic
from fer_utils.progress import track
from fer_utils.seminar import CLASS_COUNTS

__all__ = ["CLASSES", "ROOT", "SPLITS", "DataError", "Faces", "fetch", "home", "image_hashes", "load"]

OFFICIAL_PREFIXES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
CSV_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # the csv's 0 … 6
KAGGLE = {
    "fer2013": "msambare/fer2013/versions/1",
    "fer2013-seminar-split": "jonathanoheix/face-expression-recognition-dataset/versions/1",
}
DAMAGED = (tarfile.ReadError, zipfile.BadZipFile, zlib.error, EOFError, OSError)


class DataError(ValueError):
    """The data cannot be used as it is; the message says what, where and what to do."""


@dataclass(frozen=True)
class Faces:
    """A data set in memory.

    images: uint8 [N, 48, 48], 0 black to 255 white. labels: int64 [N], alphabetical, 0 angry to
    6 surprise. names: str [N], path inside the data set or csv row. splits: str [N], one of
    ``train``, ``validation``, ``test``. fingerprint: sha256 (hex) of images, labels and splits.
    source: ``synthetic``, ``fer2013``, ``fer2013-seminar-split`` or the file's name.
    report: what was found while reading (see :func:`data_report`). Introduced in notebook 01.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    splits: np.ndarray
    fingerprint: str
    source: str
    report: dict

    @property
    def synthetic(self) -> bool:
        """True for drawn faces."""
        return self.source == "synthetic"

    @property
    def official(self) -> bool:
        """True if the class counts of every split are those of FER2013's official split."""
        return np.array_equal(self.counts(), list(CLASS_COUNTS.values()))

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 [n, 48, 48] and labels int64 [n] of ``train``, ``validation`` or ``test``."""
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}: choose one of {', '.join(SPLITS)}")
        chosen = self.splits == name
        return self.images[chosen], self.labels[chosen]

    def counts(self) -> np.ndarray:
        """Images by split (rows: train, validation, test) and class (columns), int64 [3, 7]."""
        return np.stack([np.bincount(self.split(name)[1], minlength=7) for name in SPLITS])

    def describe(self) -> str:
        """One line: which data this is and how many images each split has."""
        kind = "synthetic faces (drawn, no photographs)" if self.synthetic else self.source
        if self.official:
            kind += " (FER2013, official split)"
        sizes = ", ".join(f"{n:,} {name}" for n, name in zip(self.counts().sum(1), SPLITS))
        return f"Data: {kind}: {sizes}"


def load(source: str | Path = "auto") -> Faces:
    """Load a data set, from the cache where it was read before.

    source: ``auto`` (``FER_DATA`` if set, else data/fer2013 if fetched, else synthetic),
    ``synthetic``, ``fer2013``, ``fer2013-seminar-split``, or the path of a folder, zip, tar or csv.
    Raises DataError with one sentence on what is wrong with the data and what to do.
    Introduced in notebook 01.
    """
    name = str(source)
    if name == "auto":
        fallback = "fer2013" if fetched("fer2013") else "synthetic"
        name = os.environ.get("FER_DATA") or fallback
    if name == "synthetic":
        key = f"synthetic-{synthetic.VERSION}"
        return cached(key, name, draw_synthetic)
    path = home() / name if name in KAGGLE else Path(name).expanduser()
    if name in KAGGLE and not fetched(name):
        flag = " --seminar-split" if name == "fer2013-seminar-split" else ""
        raise DataError(f"data/{name} is not there: run `python -m fer_utils fetch{flag}` first.")
    if not path.exists():
        raise DataError(f"{path} does not exist: give a folder, zip, tar or csv with FER2013.")
    if path.is_dir() and len(entries := list(path.iterdir())) == 1 and entries[0].is_file():
        path = entries[0]  # a folder that holds one archive or csv, as `fetch --from FILE` leaves it
    return cached(content_key(path), name if name in KAGGLE else path.name, lambda: read(path))


def fetched(name: str) -> bool:
    """True if ``fetch`` has put a data set of this name (``fer2013``, …) into data/."""
    return (home() / name).is_dir() and any((home() / name).iterdir())


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Hash of each image's pixels, str [N]: equal exactly for byte copies. images: uint8 [N, 48, 48]."""
    return np.array([hashlib.sha1(image.tobytes()).hexdigest() for image in images])


# --- the cache -----------------------------------------------------------------------------------


def cached(key: str, source: str, read_arrays) -> Faces:
    """The data set stored under ``key``, or what ``read_arrays()`` returns, stored for next time."""
    path = home() / "cache" / f"{key}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ("images", "labels", "names", "splits")}
                report, stored = json.loads(str(file["report"])), str(file["fingerprint"])
            if fingerprint(arrays) == stored:  # a flipped bit would otherwise go unnoticed
                return Faces(**arrays, fingerprint=stored, source=source, report=report)
        except (*DAMAGED, KeyError, ValueError):
            pass
        print(f"The cache file {path.name} is damaged; reading the data again.")
    arrays, report = read_arrays()
    report = data_report(arrays) | report
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, report=json.dumps(report), fingerprint=fingerprint(arrays))
    write_atomic(path, buffer.getbuffer())
    return Faces(**arrays, fingerprint=fingerprint(arrays), source=source, report=report)


def fingerprint(arrays: dict) -> str:
    """sha256 (hex) of the images, labels and splits in ``arrays``."""
    digest = hashlib.sha256(np.ascontiguousarray(arrays["images"]))
    digest.update(np.ascontiguousarray(arrays["labels"]))
    digest.update("".join(name[0:2] for name in arrays["splits"]).encode())
    return digest.hexdigest()


def content_key(path: Path) -> str:
    """sha256 (hex) of a file, or of every relative path and file below a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for name, content in folder_members(path):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def draw_synthetic() -> tuple[dict, dict]:
    """The synthetic data set in the form that :func:`read` returns."""
    images, labels, splits = synthetic.faces(seed=0)
    names = np.array([f"drawn {i:05d}" for i in range(len(labels))])
    report = {"layout": "drawn by fer_utils.synthetic", "converted": 0, "refused": []}
    return dict(images=images, labels=labels, names=names, splits=splits), report


def data_report(arrays: dict) -> dict:
    """Counts by split and class, byte copies within and across splits, conflicting labels, black images."""
    images, labels, splits = arrays["images"], arrays["labels"], arrays["splits"]
    hashes = image_hashes(images)
    groups: dict[str, list[int]] = {}
    for index, value in enumerate(hashes):
        groups.setdefault(value, []).append(index)
    copies = [group for group in groups.values() if len(group) > 1]
    train = set(hashes[splits == "train"])
    return {
        "counts": {
            split: {name: int(((splits == split) & (labels == k)).sum()) for k, name in enumerate(CLASSES)}
            for split in SPLITS
        },
        "duplicates": {
            "surplus": sum(len(group) - 1 for group in copies),
            "groups": len(copies),
            "conflicting": sum(len(set(labels[group])) > 1 for group in copies),
            "validation_in_train": sum(value in train for value in hashes[splits == "validation"]),
            "test_in_train": sum(value in train for value in hashes[splits == "test"]),
        },
        "black": int((images.reshape(len(images), -1).max(1) == 0).sum()),
    }


# --- reading -------------------------------------------------------------------------------------


def read(path: Path) -> tuple[dict, dict]:
    """Read any layout at ``path``: arrays (images, labels, names, splits) and what was noticed."""
    try:
        files = dict(members(path))
    except DAMAGED as error:
        raise DataError(f"{path.name} is damaged or incomplete ({error}): copy or download it again.") from error
    refused = sorted(name for name in files if is_stray(name))
    files = {name: content for name, content in files.items() if not is_stray(name)}
    tables = [name for name in files if name.lower().endswith(".csv")]
    for name in tables:
        columns, rows = read_table(files[name])
        if {"emotion", "pixels", "Usage"} <= set(columns):
            others = sorted(set(files) - {name})
            return read_csv(name, columns, rows), {
                "layout": "csv with emotion, pixels, Usage",
                "converted": 0,
                "refused": refused + others,
            }
    if tables and len(tables) == len(files):
        raise DataError(
            f"{tables[0]} has no columns emotion, pixels and Usage: give the challenge's fer2013.csv"
            " or icml_face_data.csv."
        )
    return read_images(files, refused, path)


def members(path: Path):
    """Yield (relative name, bytes) of each file in a folder, zip or tar, or of a single csv."""
    if path.is_dir():
        yield from folder_members(path)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield member.filename, archive.read(member)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, archive.extractfile(member).read()
    elif path.suffix.lower() == ".csv":
        yield path.name, path.read_bytes()
    else:
        raise DataError(f"{path.name} is neither a folder nor a readable zip, tar or csv: check the path.")


def folder_members(path: Path):
    """Yield (relative posix path, bytes) of each file below ``path``, in sorted order."""
    for folder, folders, files in os.walk(path):
        folders.sort()
        relative = Path(folder).relative_to(path)
        for name in sorted(files):
            with open(os.path.join(folder, name), "rb", buffering=0) as file:
                yield (relative / name).as_posix(), file.read()


def is_stray(name: str) -> bool:
    """True for files that operating systems leave behind (.DS_Store, Thumbs.db, __MACOSX/…)."""
    parts = PurePosixPath(name).parts
    return parts[-1].lower() in ("thumbs.db", "desktop.ini") or any(
        part.startswith(".") and part != "." or part == "__MACOSX" for part in parts
    )


def read_table(content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header (spaces trimmed) and rows of a csv file."""
    csv.field_size_limit(1_000_000)
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig", errors="replace"))))
    return ([column.strip() for column in rows[0]] if rows else []), rows[1:]


def read_csv(name: str, columns: list[str], rows: list[list[str]]) -> dict:
    """Arrays from the challenge's csv; class numbers are mapped from its order to the alphabetical one."""
    emotion, pixels, usage = (columns.index(key) for key in ("emotion", "pixels", "Usage"))
    rows = [row for row in rows if row]

    def parse(item):
        number, row = item
        try:
            image = np.array(row[pixels].split(), dtype=np.int64)
            label, split = CLASSES.index(CSV_CLASSES[int(row[emotion])]), OFFICIAL_PREFIXES[row[usage].strip()]
            if image.size != 48 * 48 or image.min() < 0 or image.max() > 255 or int(row[emotion]) < 0:
                raise ValueError
        except (ValueError, IndexError, KeyError):
            raise DataError(
                f"{name}, line {number + 2}: expected emotion 0 to 6, 2,304 pixels from 0 to 255 and Usage"
                f" {', '.join(OFFICIAL_PREFIXES)}: correct or delete the line."
            ) from None
        return image.astype(np.uint8).reshape(48, 48), label, split

    parsed = [parse(item) for item in track(list(enumerate(rows)), f"Reading {name}")]
    check_classes({(split, CLASSES[label]) for _, label, split in parsed}, set(SPLITS), name)
    images, labels, splits = zip(*parsed)
    names = np.array([f"row {number:05d}" for number in range(len(rows))])
    return dict(images=np.stack(images), labels=np.array(labels, np.int64), names=names, splits=np.array(splits))


def read_images(files: dict[str, bytes], refused: list[str], path: Path) -> tuple[dict, dict]:
    """Arrays from class folders below train/ and test/ or validation/ folders."""
    places, roots = {}, set()
    for name in files:
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[-3].lower() in SPLIT_FOLDERS:
            if parts[-2].lower() not in CLASSES:
                raise DataError(
                    f"{path.name}: unknown class folder {'/'.join(parts[-3:-1])}: the classes are {', '.join(CLASSES)};"
                    " rename or remove the folder."
                )
            places[name] = (SPLIT_FOLDERS[parts[-3].lower()], parts[-2].lower())
            roots.add("/".join(parts[:-3]) or ".")
    if not places:
        raise DataError(
            f"{path.name} holds no images: expected train/<class>/ and test/<class>/ (or validation/<class>/)"
            " folders, or the challenge's csv."
        )
    if len(roots) > 1:
        raise DataError(f"{path.name} holds more than one copy of the data ({', '.join(sorted(roots))}): give one of them.")
    check_classes(set(places.values()), {split for split, _ in places.values()} | {"train"}, path.name)
    order = sorted(places, key=lambda name: (PurePosixPath(name).name, name))  # one order for every archive
    with ThreadPoolExecutor() as pool:
        decoded = list(track(pool.map(decode, [files[name] for name in order]), "Reading images", len(order)))
    broken = [name for name, (image, _) in zip(order, decoded) if image is None]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise DataError(f"{path.name}: {broken[0]}{more} is not a readable image: replace or delete it.")
    splits, layout = split_names(order, np.array([places[name][0] for name in order]), path)
    arrays = dict(
        images=np.stack([image for image, _ in decoded]),
        labels=np.array([CLASSES.index(places[name][1]) for name in order], np.int64),
        names=np.array(["/".join(PurePosixPath(name).parts[-3:]) for name in order]),
        splits=splits,
    )
    converted = sum(changed for _, changed in decoded)
    refused = refused + sorted(set(files) - set(places))
    return arrays, {"layout": layout, "converted": converted, "refused": refused}


def check_classes(present: set[tuple[str, str]], splits: set[str], where: str) -> None:
    """Raise DataError unless each of ``splits`` has images of all seven classes."""
    missing = [f"{split}/{name}" for split in SPLITS if split in splits for name in CLASSES if (split, name) not in present]
    if missing:
        raise DataError(
            f"{where}: no images of {', '.join(missing)}: each split needs all seven classes"
            f" ({', '.join(CLASSES)}); restore what is missing."
        )


def decode(content: bytes) -> tuple[np.ndarray | None, bool]:
    """A grey 48×48 uint8 image and whether colour or size were converted; (None, False) if unreadable."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            if image.mode == "L" and image.size == (48, 48):
                return np.asarray(image), False
            if image.mode.startswith("I"):  # 16 bits a pixel: PIL would clip, not scale
                image = Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
            grey = image.convert("RGB").convert("L")
            return np.asarray(grey.resize((48, 48), Image.Resampling.BILINEAR)), True
    except Exception:  # PIL raises many types for broken files; each means "not an image"
        return None, False


def split_names(order: list[str], folders: np.ndarray, path: Path) -> tuple[np.ndarray, str]:
    """The split of each file, and how it was found: by official file names, folders, or halving."""
    prefixes = [PurePosixPath(name).name.split("_")[0] for name in order]
    if all(prefix in OFFICIAL_PREFIXES for prefix in prefixes):
        return np.array([OFFICIAL_PREFIXES[prefix] for prefix in prefixes]), "class folders, official file names"
    held_out = sorted(set(folders) - {"train"})
    if not held_out:
        raise DataError(f"{path.name} has only training images: add a test/ or validation/ folder.")
    if len(held_out) == 2:
        return folders, "class folders, three split folders"
    indices = np.flatnonzero(folders == held_out[0])
    half = np.random.default_rng(0).permutation(indices)[: len(indices) // 2]
    splits = np.where(folders == "train", "train", "test").astype("<U10")
    splits[half] = "validation"
    return splits, f"class folders, {held_out[0]}/ halved at random into validation and test"


# --- fetching ------------------------------------------------------------------------------------


def fetch(path: str | Path | None = None, seminar_split: bool = False) -> Faces:
    """Put a data set into data/fer2013 (or data/fer2013-seminar-split) and count it.

    path: a folder, zip, tar or csv to copy; None downloads Kaggle's copy through kagglehub.
    Raises DataError if the download fails or if class counts are not the known ones.
    Introduced in notebook 01.
    """
    name = "fer2013-seminar-split" if seminar_split else "fer2013"
    origin = Path(path).expanduser() if path is not None else download(KAGGLE[name])
    faces = load(origin.resolve())
    expected = sum(map(sum, CLASS_COUNTS.values()))
    known = faces.official if name == "fer2013" else len(faces.labels) == expected
    if not known:
        found = Counter(faces.splits.tolist())
        raise DataError(
            f"{origin} is not the complete {name}: {len(faces.labels):,} of {expected:,} images"
            f" ({dict(found)}); delete it and download it again, or use it in place: --data {origin}."
        )
    target = home() / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        copy = Path(folder) / name
        if origin.is_dir():
            shutil.copytree(origin, copy)
        else:
            copy.mkdir()
            shutil.copy2(origin, copy)
        if target.exists():
            shutil.rmtree(target)
        copy.replace(target)
    return load(name)


def download(handle: str) -> Path:
    """Download a Kaggle data set of a pinned version with kagglehub; returns its folder."""
    import kagglehub  # only here: everything else works without it

    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # requests, kagglehub and OS errors alike
        page = "/".join(handle.split("/")[:2])
        raise DataError(
            f"Kaggle's {page} could not be downloaded ({error}): check the connection, or download it by hand from"
            f" https://www.kaggle.com/datasets/{page} and run `python -m fer_utils fetch --from FILE`."
        ) from error
