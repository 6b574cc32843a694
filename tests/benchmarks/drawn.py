"""The drawn faces, repeated to any number, in memory and as the files of FER2013's layouts."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from fer_utils import CLASSES, data
from fer_utils.data import CSV_CLASSES, CSV_COLUMNS, USAGES, Faces
from fer_utils.seminar import CLASS_COUNTS

SIZES = {split: sum(counts) for split, counts in CLASS_COUNTS.items()}  # FER2013's
TRAINING = SIZES["train"]


def repeated(**sizes: int) -> Faces:
    """So many drawn faces a split: all of them in turn, over and over."""
    faces = data.load("synthetic")
    each = [np.resize(np.flatnonzero(faces.splits == name), size) for name, size in sizes.items()]
    chosen = np.concatenate(each)
    columns = (faces.images, faces.labels, faces.names, faces.splits)
    return Faces(*(column[chosen] for column in columns), f"drawn {sizes}", "drawn", {})


def files(faces: Faces) -> dict[str, bytes]:
    """Class folders of PNG files with official names: relative name to content."""
    official = {split: usage for usage, split in USAGES.items()}
    known, found = {}, {}
    for number, (image, label, split) in enumerate(zip(faces.images, faces.labels, faces.splits)):
        pixels, usage = image.tobytes(), official[split]
        if pixels not in known:
            known[pixels] = png(image)
        folder = "train" if split == "train" else "test"
        found[f"{folder}/{CLASSES[label]}/{usage}_{number:08d}.png"] = known[pixels]
    return found


def png(image: np.ndarray) -> bytes:
    """An image uint8 [48, 48] as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(contents: dict[str, bytes], path: Path) -> Path:
    """Files below a folder."""
    for folder in {(path / name).parent for name in contents}:
        folder.mkdir(parents=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    return path


def write_zip(contents: dict[str, bytes], path: Path) -> Path:
    """Files in a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def write_csv(faces: Faces, path: Path) -> Path:
    """The challenge's csv."""
    official = {split: usage for usage, split in USAGES.items()}
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(CSV_COLUMNS)
        for image, label, split in zip(faces.images, faces.labels, faces.splits):
            pixels = " ".join(map(str, image.ravel().tolist()))
            lines.writerow([CSV_CLASSES.index(CLASSES[label]), pixels, official[split]])
    return path
