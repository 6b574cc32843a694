"""Finds, reads, splits and caches the faces, whatever layout they come in.

Three layouts are recognised by their content, each as a folder, a zip, a tar or a bare csv:
class folders with official file names (Kaggle msambare/fer2013), class folders without them
(the seminar's Kaggle copy), and the challenge's csv. Introduced in notebook 01.
"""

import csv
import hashlib
import io
import json
import lzma
import os
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import normalize

import fer_utils
from fer_utils import CLASSES, SPLITS, UserError, files, home, known_or_refuse, read_toml, synthetic
from fer_utils.progress import track
from fer_utils.seminar import CLASS_COUNTS

READER_VERSION = 1  # raise it when the same files would be read differently: old caches are left
FORMATS = read_toml("data")
USAGES, SPLIT_FOLDERS, KAGGLE = (FORMATS[name] for name in ("usages", "split_folders", "kaggle"))
CSV_COLUMNS, CSV_CLASSES = map(FORMATS.get, ("csv_columns", "csv_classes"))
# What Python raises for files that are cut off, damaged, encrypted or not ours to read.
UNREADABLE = (OSError, EOFError, RuntimeError, KeyError, csv.Error, zlib.error, lzma.LZMAError)
UNREADABLE += (tarfile.TarError, zipfile.BadZipFile)
# FER2013's csv, its largest file, has 301 MB; a few bytes of an archive can claim far more.
LARGEST_FILE, LARGEST_DATA, WIDEST = 2**29, 2**31, 4096  # bytes, bytes in all, pixels a side
ATTACHED = Path("/kaggle/input")  # where Kaggle attaches data sets, and kagglehub on Colab
MAKE_ROOM = "free disk space, or set FER_HOME to a folder you may write to."


class DataError(UserError):
    """The data cannot be used as it is; the message says what, where and what to do."""


@dataclass(frozen=True)
class Faces:
    """A data set in memory.

    images: uint8 [N, 48, 48], 0 black to 255 white. labels: int64 [N], alphabetical, 0 angry to
    6 surprise. names: str [N], `split folder/class/file` or `row 00000` of a csv. splits:
    str [N], one of `train`, `validation`, `test`. fingerprint: sha256 (hex) of images, labels
    and splits; of drawn faces `synthetic-VERSION`. source: what `load` takes to give these
    faces again: `synthetic`, `fer2013`, `fer2013-seminar-split` or an absolute path (for a fold,
    the source of the whole). report: what was found while reading: `layout`, `converted` (images
    that were not grey 48×48), `refused` (files that are no part of the data).
    votes: FER+ votes of ten taggers, int64 [N, 10] (seven classes, contempt, unknown, no face),
    where they were fetched; zeros for an image whose votes are not certain. Introduced in
    notebook 01.
    """

    images: np.ndarray
    labels: np.ndarray
    names: np.ndarray
    splits: np.ndarray
    fingerprint: str
    source: str
    report: dict
    votes: np.ndarray | None = None

    @property
    def synthetic(self) -> bool:
        """True for drawn faces."""
        return self.source == "synthetic"

    @property
    def official(self) -> bool:
        """True if the class counts of every split are those of FER2013's official split."""
        return np.array_equal(self.counts(), list(CLASS_COUNTS.values()))

    @property
    def small(self) -> bool:
        """True with fewer than 10,000 training images, as the drawn faces: `short` then differs."""
        return bool((self.splits == "train").sum() < 10_000)

    @property
    def title(self) -> str:
        """The data's name for people: the source without the folders above it."""
        return Path(self.source).name

    def split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 [n, 48, 48] and labels int64 [n] of one split."""
        known_or_refuse("split", name, SPLITS)
        chosen = self.splits == name
        return self.images[chosen], self.labels[chosen]

    def copies(self, split: str) -> np.ndarray:
        """Whether each image of a split is a byte or a near copy of a training image, bool [n].

        Introduced in notebook 01.
        """
        images, known = self.split(split)[0], self.split("train")[0]
        return np.isin(image_hashes(images), image_hashes(known)) | near_copies(images, known)

    def counts(self) -> np.ndarray:
        """Images by split (rows: train, validation, test) and class (columns), int64 [3, 7]."""
        return np.stack([np.bincount(self.labels[self.splits == s], minlength=7) for s in SPLITS])

    def describe(self) -> str:
        """One line: which data this is and how many images each split has; without a clone, where
        own results go, too.
        """
        kind = "synthetic faces (drawn, no photographs)" if self.synthetic else self.title
        kind += " (FER2013, official split)" * self.official
        sizes = ", ".join(f"{n:,} {name}" for n, name in zip(self.counts().sum(1), SPLITS))
        return f"Data: {kind}: {sizes}" + f" (own results: {home()})" * fer_utils.INSTALLED


def load(source: str | Path = "auto") -> Faces:
    """Load a data set, from the cache where it was read before.

    source: `auto` (`FER_DATA` if set, else FER2013 if fetched or attached, else synthetic),
    `synthetic`, `fer2013`, `fer2013-seminar-split`, or the path of a folder, zip, tar or csv.
    Raises DataError with one sentence on what is wrong with the data and what to do.
    Introduced in notebook 01.
    """
    name = str(source)
    if name == "auto":
        found = entries(folder_of("fer2013"))
        name = os.environ.get("FER_DATA") or ("fer2013" if found else "synthetic")
    if name == "synthetic":
        return cached(f"synthetic-{synthetic.VERSION}", name, draw_synthetic)
    path = folder_of(name) if name in KAGGLE else place(name)
    if name in KAGGLE and not entries(path):
        flag = " --seminar-split" * (name != "fer2013")
        raise DataError(f"{path} is not there: run `python -m fer_utils fetch{flag}` first.")
    if len(entries(path)) == 1 and entries(path)[0].is_file():
        path = entries(path)[0]  # the one archive or csv that `fetch --from FILE` puts there
    with explained(UNREADABLE, f"{path} cannot be read", "copy or download it again."):
        key, shown = f"{READER_VERSION}-{content_key(path)}", name if name in KAGGLE else str(path)
        faces = cached(key, shown, lambda: read(path))
    votes = votes_path(faces)
    kept = np.load(io.BytesIO(files.read_sealed(votes))) if votes.exists() else None
    return replace(faces, votes=kept)


def votes_path(faces: Faces) -> Path:
    """Where `fetch --ferplus` keeps the FER+ votes on these faces."""
    return home() / f"ferplus-{faces.fingerprint[:12]}"


def folder_of(name: str) -> Path:
    """Where a data set of Kaggle lies: as fetched into `home()`, or as Kaggle attaches it."""
    attached = (ATTACHED / "datasets" / KAGGLE[name], ATTACHED / KAGGLE[name].split("/")[1])
    return next(filter(entries, (home() / name, *attached)), home() / name)


def place(name: str) -> Path:
    """The file or folder of this name. Raises DataError if there is none."""
    advice = "give a folder, zip, tar or csv with FER2013."
    # What is raised for a name too long, a zero byte, nobody's ~name.
    with explained((OSError, ValueError, RuntimeError), f"{name[:100]!r} is no path", advice):
        path = Path(name).expanduser().resolve()
        if path.is_dir() or path.is_file():  # a pipe or a device would be read for ever
            return path
        what = "is no file or folder" if path.exists() else "does not exist"
    raise DataError(f"{path} {what}: {advice}")


@contextmanager
def explained(kinds, what: str, advice: str):
    """Turn errors of these `kinds` into a DataError of one line that ends with `advice`."""
    try:
        yield
    except kinds as error:
        words = f"{type(error).__name__}: {error}"[:200]
        reason = " ".join("".join(c if c.isprintable() else " " for c in words).split())
        raise DataError(f"{what} ({reason}): {advice}") from error


def entries(folder: Path) -> list[Path]:
    """What a folder holds, without what operating systems leave there; [] if it is not there."""
    return [entry for entry in folder.glob("*") if not is_stray(entry.name)]


def choose(labels: np.ndarray, count: int | None, seed: int = 0) -> np.ndarray:
    """Indices of `count` images with the classes in proportion (all for None), int64, sorted."""
    chosen = np.arange(len(labels))
    if count is not None and count < len(labels):
        chosen, _ = train_test_split(chosen, train_size=count, stratify=labels, random_state=seed)
    return np.sort(chosen)


def image_hashes(images: np.ndarray) -> np.ndarray:
    """Hash of each image's pixels, str [N]: equal for byte copies. images: uint8 [N, 48, 48]."""
    return np.array([hashlib.sha1(image.tobytes()).hexdigest() for image in images])


def near_copies(images: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Whether each image has a copy in `among` that may have been saved again, made lighter, moved
    by about a pixel or mirrored: uint8 [n, 48, 48] twice to bool [n].

    It has if the grids of their 8 × 8 mean values correlate above 0.97: notebook 01 says why.
    """
    known = np.concatenate([grid(among), grid(among[:, :, ::-1])]).T
    parts = np.array_split(grid(images), 1 + len(images) // 256)
    return np.concatenate([(part @ known).max(1) for part in parts]) > 0.97


def grid(images: np.ndarray) -> np.ndarray:
    """Means of 6 × 6 pixels, less their mean and scaled to length 1: float32 [n, 64]."""
    means = images.reshape(len(images), 8, 6, 8, 6).mean((2, 4)).reshape(len(images), 64)
    # One grey all over stays 0.
    return normalize(means - means.mean(1, keepdims=True)).astype(np.float32)


# --- the cache -----------------------------------------------------------------------------------


def cached(key: str, source: str, read_arrays) -> Faces:
    """The data set stored as `key`, or what `read_arrays()` returns, stored for next time."""
    path = home() / "cache" / f"{key}.npz"
    if path.exists():
        try:
            stored = dict(np.load(io.BytesIO(files.read_sealed(path))))
            report, mark = json.loads(str(stored.pop("report"))), str(stored.pop("fingerprint"))
            return Faces(**stored, fingerprint=mark, source=source, report=report)
        except UserError:
            print(f"The cache file {path.name} is damaged or of another version: read again.")
    arrays, report = read_arrays()
    # Another processor may round a drawn pixel otherwise; the version says which faces they are.
    mark = key if source == "synthetic" else fingerprint(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, report=json.dumps(report), fingerprint=mark)
    with explained(OSError, f"{path} cannot be written", MAKE_ROOM):
        files.write_sealed(path, buffer.getvalue())
    return Faces(**arrays, fingerprint=mark, source=source, report=report)


def fingerprint(arrays: dict) -> str:
    """sha256 (hex) of the images, labels and splits in `arrays`."""
    digest = hashlib.sha256(np.ascontiguousarray(arrays["images"]))
    digest.update(np.ascontiguousarray(arrays["labels"]))
    digest.update("".join(name[0:2] for name in arrays["splits"]).encode())
    return digest.hexdigest()


def content_key(path: Path) -> str:
    """sha256 (hex) of a file, or of every relative path and file below a folder."""
    if path.is_file():
        return files.sha256(path)
    digest = hashlib.sha256()
    for name, content in members(path):
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def draw_synthetic() -> tuple[dict, dict]:
    """The synthetic data set in the form that `read` returns."""
    images, labels, splits = synthetic.faces(seed=0)
    names = np.array([f"drawn {i:05d}" for i in range(len(labels))])
    report = {"layout": "drawn by fer_utils.synthetic", "converted": 0, "refused": []}
    return dict(images=images, labels=labels, names=names, splits=splits), report


# --- reading -------------------------------------------------------------------------------------


def read(path: Path) -> tuple[dict, dict]:
    """Read any layout at `path`: arrays (images, labels, names, splits) and what was noticed."""
    contents = dict(members(path))
    kept = [name for name in contents if not is_stray(name)]
    tables = [name for name in kept if set(CSV_COLUMNS) <= set(first_line(contents[name]))]
    places = {name: place for name in kept if (place := split_and_class(name, path))}
    copies = tables + sorted({folder for folder, _, _ in places.values()})
    spelt = sorted({name.rsplit("/", 2)[0] for name in places})  # folders of splits
    splits = {place[:2] for place in places.values()}
    twice = copies if len(copies) > 1 else spelt if len(spelt) > len(splits) else []
    if twice:
        raise DataError(f"{path} holds the data twice ({', '.join(twice)}): give one of them.")
    if not copies:
        found = ", ".join(f"{name}{begin(contents[name])}" for name in kept[:3]) or "nothing"
        raise DataError(f"{path} holds no images: {FORMATS['layouts']} (found: {found}).")
    if tables:
        arrays, report = read_csv(f"{path}: {tables[0]}", contents[tables[0]])
    else:
        arrays, report = read_images(contents, places, path)
    return arrays, report | {"refused": sorted(set(contents) - set(tables or places))}


def members(path: Path):
    """Yield (relative name, content) of each file in a folder, tar or zip, or of a single file.

    Archives are read in place; a link that leads out of one is an error. Raises DataError before
    it reads what is larger than FER2013 can be.
    """
    total = 0
    for name, size, content in listed(path):
        total += size
        if size > LARGEST_FILE or total > LARGEST_DATA:
            told = f"{name} of {size:,} bytes makes it {total:,}: FER2013 is far smaller"
            raise DataError(f"{path}: {told}; give it alone.")
        yield name, content()


def listed(path: Path):
    """Yield (relative name, size in bytes, function that reads it) of each file: see `members`."""
    if path.is_dir():
        yield from folder_members(path)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            for member in archive:
                if file := archive.extractfile(member):  # None for a folder
                    size = file.seek(0, os.SEEK_END)  # of what a link leads to, too
                    file.seek(0)
                    yield member.name, size, file.read
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(2**20)[:512] != bytes(512):  # tarfile takes damage for the
                raise EOFError("its end is missing")  # end and does not read to gzip's checksum
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    name, size = member.filename.replace("\\", "/"), member.file_size
                    yield name, size, lambda: archive.read(member)
    else:
        yield path.name, path.stat().st_size, path.read_bytes


def folder_members(path: Path):
    """Yield `listed`'s three for each file below `path`, by relative posix path, sorted."""
    for folder, folders, names in os.walk(path, followlinks=True):
        here = Path(folder).resolve()
        folders[:] = sorted(f for f in folders if not here.is_relative_to((here / f).resolve()))
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.stat().st_size, file.read_bytes
            elif not is_stray(name):
                raise DataError(f"{file} is no file that can be read: remove it.")


def is_stray(name: str) -> bool:
    """True for files that operating systems leave behind (.DS_Store, Thumbs.db, __MACOSX/…)."""
    parts = name.lower().removeprefix("./").split("/")
    hidden = any(part.startswith((".", "__macosx")) for part in parts)
    return hidden or parts[-1] in ("thumbs.db", "desktop.ini")


def first_line(content: bytes) -> list[str]:
    """The comma-separated words of a file's first line: the column names if it is a csv."""
    line = content[:1000].decode("utf-8-sig", errors="replace").partition("\n")[0]
    return [word.strip(' "\r') for word in line.split(",")]


def begin(content: bytes) -> str:
    """How a text file begins, in brackets; nothing of another file."""
    line = content[:60].partition(b"\n")[0].decode("latin-1").strip()
    return f" ({line})" if line.isascii() and line.isprintable() else ""


def split_and_class(name: str, path: Path) -> tuple[str, str, str] | None:
    """The folder of the data set, the split and the class of a file; None if it is in none."""
    *above, split, label, _ = ("", "", *name.split("/"))
    known = split.lower() in SPLIT_FOLDERS, label.lower() in CLASSES
    if split and any(known) and not all(known):
        advice = f"rename or remove it; splits are {', '.join(SPLIT_FOLDERS)}"
        wrong = f"the folder {split}/{label} is no {'class' if known[0] else 'split'}: {advice}"
        raise DataError(f"{path}: {wrong}, classes are {', '.join(CLASSES)}.")
    folder = "/".join(above).strip("/") or "."
    return (folder, SPLIT_FOLDERS[split.lower()], label.lower()) if all(known) else None


def read_csv(where: str, content: bytes) -> tuple[dict, dict]:
    """Arrays and report from the challenge's csv; its class numbers are mapped to ours."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", "replace", newline="")
    lines = csv.DictReader(text, skipinitialspace=True)
    images, labels, splits = [], [], []
    for row in track(lines, "Reading csv", content.count(b"\n") - 1):
        try:
            # NumPy before 2.3 would read as far as it can, and 1.5 as 1.
            pixels = row["pixels"] if "".join(row["pixels"].split()).isdigit() else "none"
            values = np.fromstring(pixels, dtype=np.int64, sep=" ").tolist()
            images.append(np.frombuffer(bytes(values), np.uint8).reshape(48, 48))
            labels.append(CLASSES.index(dict(zip("0123456", CSV_CLASSES))[row["emotion"]]))
            splits.append(USAGES[row["Usage"]])
        except (ValueError, TypeError, KeyError, AttributeError):
            wanted = f"emotion 0 to 6, 2,304 pixels from 0 to 255 and Usage {', '.join(USAGES)}"
            line = f"{where}, line {lines.line_num}"
            raise DataError(f"{line}: expected {wanted}: correct or delete the line.") from None
    check_classes(zip(splits, labels), SPLITS, where)
    names = [f"row {number:05d}" for number in range(len(images))]
    columns = dict(images=images, labels=labels, names=names, splits=splits)
    report = {"layout": "csv with emotion, pixels, Usage", "converted": 0}
    return {name: np.array(column) for name, column in columns.items()}, report


def read_images(contents: dict, places: dict, path: Path) -> tuple[dict, dict]:
    """Arrays and report from files in class folders.

    contents: name to content. places: name to folder of the data set, split folder and class.
    """
    order = sorted(places, key=lambda name: (name.split("/")[-1], name))  # in every archive
    folders = np.array([places[name][1] for name in order])
    labels = np.array([CLASSES.index(places[name][2]) for name in order])
    check_classes(zip(folders, labels), {"train", *folders}, path)
    splits, layout = split_names(order, folders, labels, path)
    decoded = (decode(f"{path}: {name}", contents[name]) for name in order)
    images, converted = zip(*track(decoded, "Reading images", len(order)))
    names = np.array(["/".join(name.split("/")[-3:]) for name in order])
    arrays = dict(images=np.stack(images), labels=labels, names=names, splits=splits)
    return arrays, {"layout": layout, "converted": sum(converted)}


def check_classes(found, splits, where) -> None:
    """Raise DataError unless `found`, pairs (split, label), has all classes of all `splits`."""
    wanted = {(split, label) for split in splits for label in range(len(CLASSES))}
    missing = [f"{split}/{CLASSES[label]}" for split, label in sorted(wanted - set(found))]
    if missing:
        raise DataError(f"{where}: no images of {', '.join(missing)}: restore all seven classes.")


def decode(where: str, content: bytes) -> tuple[np.ndarray, bool]:
    """A grey 48×48 uint8 image, and True if it was converted to that. Raises DataError."""
    try:
        image = Image.open(io.BytesIO(content))
        if max(image.size) > WIDEST:
            raise ValueError("too large to decode")
        return as_face(image), image.mode != "L" or image.size != (48, 48)
    except Exception as error:  # PIL raises many types for broken files
        kind = f"no readable image of at most {WIDEST} pixels a side"
        raise DataError(f"{where} is {kind}: replace or delete it.") from error


def as_face(image: Image.Image) -> np.ndarray:
    """Any picture of a face as all networks take it, for training and after: grey, uint8 [48, 48].

    Introduced in notebook 14.
    """
    return np.array(eight_bits(image).convert("L").resize((48, 48), Image.Resampling.BILINEAR))


def eight_bits(image: Image.Image) -> Image.Image:
    """A picture of 16 bits a pixel as one of 8, which PIL would clip, not scale; others as is.

    Raises ValueError for more bits: nothing says which value is white.
    """
    if image.mode == "F" or (image.mode == "I" and np.max(image) > 65535):
        raise ValueError("more than 16 bits a pixel")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) / 257).astype(np.uint8))
    return image


def split_names(order, folders, labels, path: Path) -> tuple[np.ndarray, str]:
    """The split of each file, and how it was found: by official file names, folders, or halving."""
    official = [USAGES.get(name.split("/")[-1].split("_")[0]) for name in order]
    if all(official):
        check_classes(zip(official, labels), SPLITS, path)
        return np.array(official), "class folders, official file names"
    if any(official):
        stranger, wanted = order[official.index(None)], "_…, ".join(USAGES) + "_…"
        raise DataError(f"{path}: {stranger} is not named {wanted} as others: rename or remove it.")
    held_out = sorted(set(folders) - {"train"})
    if not held_out:
        raise DataError(f"{path} has only training images: add a test/ or validation/ folder.")
    if len(held_out) == 2:
        return folders, "class folders, three split folders"
    splits = np.where(folders == "train", "train", "test").astype("<U10")
    held_out_images = np.random.default_rng(0).permutation(np.flatnonzero(splits == "test"))
    splits[held_out_images[: len(held_out_images) // 2]] = "validation"
    return splits, f"class folders, {held_out[0]}/ halved at random into validation and test"
