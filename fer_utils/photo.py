"""From a picture on disk to the faces on it, and what a network says of each, with how sure it is.

Introduced in notebook 14.
"""

import warnings
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from fer_utils import CLASSES, known_or_refuse
from fer_utils.data import DataError, as_face, eight_bits, explained
from fer_utils.evaluation import predict
from fer_utils.runs import Run, published_runs

SMALL = 96  # pixels: a picture with no longer side is a face that somebody has cut out
LOOKED_AT = 640  # pixels: the longer side of what the detector sees; from a 16th of it on
MARGIN = 0.13  # of the box, added to it: FER2013's pictures are so much wider than their boxes
SURE = 0.5  # the likeliest class of a face below this probability is "not sure"


@dataclass(frozen=True)
class Face:
    """A face on a photo: its box in pixels (left, top, right, bottom), what the network saw (uint8
    [48, 48]) and calibrated probabilities, float32 [7], in the order of `CLASSES`.
    Introduced in notebook 14.
    """

    box: tuple[int, ...]
    pixels: np.ndarray
    probabilities: np.ndarray

    @property
    def shares(self) -> dict[str, float]:
        """The probability of each class, the likeliest first."""
        order = self.probabilities.argsort()[::-1]
        return {CLASSES[number]: float(self.probabilities[number]) for number in order}

    @property
    def sure(self) -> bool:
        """False where the likeliest class is less likely than `SURE`."""
        return bool(self.probabilities.max() >= SURE)

    def __str__(self):
        words = ", ".join(f"{name} {share:.0%}" for name, share in list(self.shares.items())[:3])
        return words if self.sure else f"not sure ({words})"


def shipped(model: str | None = None) -> Run:
    """The published run of a model whose weights ship; None: of the best model on validation.

    Raises UserError for a model without, naming those with. Introduced in notebook 14.
    """
    calibrated = [run for run in published_runs() if (run.folder / "calibration.json").exists()]
    found = {run.job.name.rpartition("-")[0]: run for run in calibrated}
    if model is None:
        model = max(
            found, key=lambda one: found[one].history[-1]["validation_accuracy"], default=""
        )
    known_or_refuse("model with weights", model, found)
    return found[model]


def opened(source, name: str) -> Image.Image:
    """A photo from a path or an open file: upright, without transparency, 8 bits a value.

    Raises DataError, one sentence with `name`; a huge one is refused before it is decoded.
    Introduced in notebook 14.
    """
    with suppress(ImportError):  # phones' format, if its plug-in is there
        from pillow_heif import register_heif_opener

        register_heif_opener()
    advice = "give an existing JPEG or PNG of a usual size; HEIC needs `pip install pillow-heif`."
    quiet = warnings.catch_warnings(action="ignore")  # of a damaged EXIF note, say
    huge = warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning)
    with quiet, huge, explained(Exception, f"{name} is no picture that can be read", advice):
        image = eight_bits(ImageOps.exif_transpose(Image.open(source)))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def find(photo: Image.Image) -> list[tuple[int, ...]]:
    """Boxes (left, top, right, bottom) of the frontal faces on a photo, the largest first.

    They are as wide as FER2013 is cut, and lie within the photo. A photo of at most `SMALL` pixels
    is one face. The detector is scikit-image's cascade of local binary patterns, which needs no
    download; notebook 14 measures what it misses. Introduced in notebook 14.
    """
    if max(photo.size) <= SMALL:
        return [(0, 0, *photo.size)]
    from skimage import data, feature  # only here: half a second

    seen = photo.convert("L")
    seen.thumbnail((LOOKED_AT, LOOKED_AT))
    least = max(24, max(seen.size) // 16)
    cascade = feature.Cascade(data.lbp_frontal_face_cascade_filename())
    sizes = dict(min_size=(least, least), max_size=seen.size[::-1])
    found = cascade.detect_multi_scale(np.asarray(seen), scale_factor=1.2, step_ratio=1, **sizes)
    boxes, scale = [], photo.width / seen.width
    for face in sorted(found, key=lambda face: -face["width"]):
        x, y = (scale * (face[corner] + face["width"] / 2) for corner in "cr")
        # A smaller one in a larger one is the same face.
        if not any(left < x < right and top < y < bottom for left, top, right, bottom in boxes):
            side = min(round(face["width"] * scale * (1 + MARGIN)), *photo.size)
            left = min(max(0, round(x - side / 2)), photo.width - side)
            top = min(max(0, round(y - side / 2)), photo.height - side)
            boxes.append((left, top, left + side, top + side))
    return boxes


def look(photo: Image.Image, boxes, model, temperature: float = 1.0) -> list[Face]:
    """What a network says of the faces in `boxes` of a photo; DataError for a box outside it.

    Introduced in notebook 14.
    """
    for left, top, right, bottom in boxes:
        if not (0 <= left < right <= photo.width and 0 <= top < bottom <= photo.height):
            wanted = "left < right and top < bottom within {} × {} pixels".format(*photo.size)
            raise DataError(f"The box {left} {top} {right} {bottom} is wrong: give {wanted}.")
    pixels = [as_face(photo.crop(box)) for box in boxes]
    shares = predict(model, np.stack(pixels), temperature=temperature) if boxes else []
    return [Face(*parts) for parts in zip(boxes, pixels, shares)]
