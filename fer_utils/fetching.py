"""Gets FER2013 from Kaggle, or from a file, into the folder where `data.load` finds it."""

import csv
import io
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from fer_utils import CLASSES, data, files, home
from fer_utils.data import ATTACHED, KAGGLE, UNREADABLE, DataError, Faces, explained, load
from fer_utils.seminar import CLASS_COUNTS, SEMINAR_CLASS_COUNTS

FERPLUS = data.FORMATS["ferplus"]


def fetch(path: str | Path | None = None, seminar_split: bool = False) -> Faces:
    """Put a data set into data/fer2013 (or data/fer2013-seminar-split) and count it.

    path: a folder, zip, tar or csv to copy; None takes Kaggle's copy through kagglehub, which
    downloads it or, on Colab and Kaggle, attaches it: then it is used where it is.
    Raises DataError if the download fails or class counts are not the known ones; what was fetched
    before then stays.
    """
    name = "fer2013-seminar-split" if seminar_split else "fer2013"
    origin = download(KAGGLE[name]) if path is None else Path(path).expanduser().resolve()
    counts = load(origin).counts()
    print(f"Found {origin}")
    found = [counts[0], counts[1] + counts[2]] if seminar_split else counts
    known = list((SEMINAR_CLASS_COUNTS if seminar_split else CLASS_COUNTS).values())
    if not np.array_equal(found, known):
        advice = "get it again, use it in place with --data, or fetch it with or without"
        wanted = f"not, class by class, the {np.sum(known):,} of {name}: {advice} --seminar-split."
        raise DataError(f"{origin} has {np.sum(found):,} images, which are {wanted}")
    if origin.is_relative_to(ATTACHED):
        return load(name)
    target = home() / name
    writing = explained(OSError, f"{target} cannot be written", data.MAKE_ROOM)
    with writing, tempfile.TemporaryDirectory(dir=home()) as folder:
        new = Path(folder, "new")
        if origin.is_dir():
            shutil.copytree(origin, new)
        else:
            new.mkdir()
            shutil.copy2(origin, new)
        if target.exists():
            target.replace(Path(folder, "old"))
        new.replace(target)
    return load(name)


def fetch_votes(path: str | Path) -> Faces:
    """Put FER+ votes where `data.load` finds them, if the FER2013 at hand is what they are on."""
    faces, buffer = with_votes(load(), Path(path).expanduser()), io.BytesIO()
    np.save(buffer, faces.votes)
    with explained(OSError, f"{home()} cannot be written", data.MAKE_ROOM):
        files.write_sealed(data.votes_path(faces), buffer.getvalue())
    return faces


def with_votes(faces: Faces, path: Path) -> Faces:
    """The faces with the FER+ votes that a csv has on them: files by class and name, or rows."""
    advice, rows = f"give a csv of FER2013 with {', '.join(FERPLUS)}, or remove it.", {}
    with explained((*UNREADABLE, ValueError, TypeError), f"{path} has not their votes", advice):
        for row in csv.DictReader(path.read_text("utf-8").splitlines()):
            label, name = row["file"].split("/")[-2:]
            rows[label, name] = rows[label, f"row {int(row['fer2013_row']):05d}"] = row
        wanted = zip([CLASSES[label] for label in faces.labels], faces.names)
        found = [rows[label, name.split("/")[-1]] for label, name in wanted]
        votes = [[int(row[who]) * int(row["row_certain"]) for who in FERPLUS] for row in found]
    return replace(faces, votes=np.array(votes))


def download(page: str) -> Path:
    """The first version of a Kaggle data set, downloaded or attached by kagglehub: its folder."""
    import kagglehub  # only here: everything else works without it

    advice = f"check the connection, or get it by hand at https://www.kaggle.com/datasets/{page}"
    advice += " and run `python -m fer_utils fetch --from FILE`."
    # requests, kagglehub and OS errors alike
    with explained(Exception, f"Kaggle's {page} could not be downloaded", advice):
        # by force: kagglehub trusts its marker even where files have gone since
        return Path(kagglehub.dataset_download(f"{page}/versions/1", force_download=True))
