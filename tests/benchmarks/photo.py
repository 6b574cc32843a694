"""Seconds from a picture of 640 × 480 pixels with two faces to the answers, the model warm.

Theirs is `fer` with its own detector, where `pip install fer` has been done.
"""

from importlib.util import find_spec

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

from fer_utils import photo
from tests.benchmarks.measure import alternating, limited, seconds

LIMIT = 1.0  # seconds


def rows():
    """One row; theirs is None where `fer` is not installed."""
    picture, run = two_faces(), photo.shipped()
    model = run.model()
    measures = {"ours": lambda: photo.look(picture, photo.find(picture), model, run.temperature)}
    if find_spec("fer"):
        from fer import FER

        detector, pixels = FER(), np.asarray(picture)[:, :, ::-1]
        measures["theirs"] = lambda: detector.detect_emotions(pixels)
    timed = {name: timing(measure) for name, measure in measures.items()}
    found = {name: each["seconds"] for name, each in alternating(timed, rounds=5).items()}
    note = "beside fer" if "theirs" in found else "fer is not installed"
    yield limited("faces of a photo", found["ours"], "s", LIMIT, found.get("theirs"), note)


def timing(measure):
    """A function that gives the seconds of another."""
    return lambda: {"seconds": seconds(measure)}


def two_faces() -> Image.Image:
    """Grace Hopper's portrait twice, on grey."""
    with get_sample_data("grace_hopper.jpg") as file:
        portrait = Image.open(file).convert("RGB")
    picture = Image.new("RGB", (640, 480), "gray")
    picture.paste(portrait.resize((205, 240)), (40, 60))
    picture.paste(portrait.resize((307, 360)), (300, 80))
    return picture
