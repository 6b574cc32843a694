"""Drawn faces: the data of whoever has no FER2013 yet, offline and seeded.

A face starts from Ekman's prototype of its expression, written as action units of the
Facial Action Coding System (Ekman & Friesen 1978): a smile is units 6 (cheeks rise) and 12
(lip corners rise). Each unit gets a random intensity, down to nearly nothing, and moves brows,
lids, nose, cheeks or mouth. Then come the person (shape, hair, glasses, skin), the pose, the
light, the crop, blur and noise. Lengths are in half face heights: x runs from the middle of
the face to the right, y from the height of the nose's bridge downwards, the chin is near 1.

`faces` also plants FER2013's faults, so that a notebook that looks for them finds some.
"""

from types import SimpleNamespace

import numpy as np

from fer_utils import CLASSES, SPLITS, read_toml
from fer_utils.seminar import CLASS_COUNTS

VERSION = 2  # raised when the same seed would draw other faces: caches are keyed on it
SIZE = 48
BLOCK = 100  # faces drawn at once: keeps the arrays inside the processor's cache

DRAWING = read_toml("synthetic")
ACTION_UNITS, TRAITS, FAULTS = (DRAWING[name] for name in ("action_units", "traits", "faults"))
UNITS = sorted({unit for units in ACTION_UNITS.values() for unit in units})
SPLIT_SIZES, FLOOR = DRAWING["split_sizes"], DRAWING["floor"]


def faces(seed=0):
    """Draw the whole synthetic data set, faults included.

    The training split has the official Training set's class proportions, and so have
    validation and test, except that each class has at least 50 images there. As in FER2013,
    8 % of the validation and of the test images, and 4 % of the training images, are exact
    copies of another training image, 3 % of these copies under another label; three training
    images are black.

    Args:
        seed: whole number; the same seed draws the same bytes.

    Returns:
        images uint8 [N, 48, 48] in 0 (black) to 255, labels int64 [N] (alphabetical: angry 0
        to surprise 6), splits str [N] (train, validation or test).
    """
    rng = np.random.default_rng([seed, 1])
    shares = np.array(CLASS_COUNTS["train"]) / sum(CLASS_COUNTS["train"])
    counts = [np.maximum(np.rint(shares * SPLIT_SIZES[s]), FLOOR[s]).astype(int) for s in SPLITS]
    labels = np.concatenate([rng.permutation(np.repeat(np.arange(7), n)) for n in counts])
    splits = np.repeat(SPLITS, [count.sum() for count in counts])
    images = draw(labels, seed)
    plant_faults(images, labels, splits, rng)
    return images, labels, splits


def draw(labels, seed, intensity=None, people=None):
    """Draw one face for each label. Introduced in notebook 04.

    `draw(range(7), seed=0, intensity=1.0, people=[0] * 7)` shows one person, in one pose and
    light, with all seven expressions.

    Args:
        labels: whole numbers [n], 0 to 6 in the order of `ACTION_UNITS`.
        seed: whole number; the same seed draws the same bytes.
        intensity: of the action units, 0 (at rest) to 1 (as strong as it gets), for all faces
            or [n]; None draws it at random, for each face and each unit.
        people: whole numbers [n] from 0; faces with the same number show the same person in
            the same picture, expression aside. None gives each face a person of its own.

    Returns:
        Grey images, uint8 [n, 48, 48].

    Raises:
        ValueError: a label is not 0 to 6.
    """
    labels = np.asarray(labels, dtype=np.int64)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        raise ValueError("draw: labels must be 0 to 6, the positions in fer_utils.CLASSES.")
    people = np.arange(len(labels)) if people is None else np.asarray(people)
    rng = np.random.default_rng([seed, 0])
    shape = (people.max(initial=-1) + 1, 1, 1)
    # Each number of a face or a person has the shape [n, 1, 1], to meet 48 x 48 pixels.
    traits = {t: rng.uniform(*ends, shape).astype(np.float32) for t, ends in TRAITS.items()}
    noise = rng.standard_normal((shape[0], SIZE, SIZE), dtype=np.float32)
    units = intensities(labels, intensity, rng).astype(np.float32)[..., None, None]

    images = np.empty((len(labels), SIZE, SIZE), dtype=np.uint8)
    for start in range(0, len(labels), BLOCK):
        block = slice(start, start + BLOCK)
        who = people[block]
        t = SimpleNamespace(**{name: values[who] for name, values in traits.items()})
        au = {unit: units[block, i] for i, unit in enumerate(UNITS)}
        grey = photograph(face(t, au), t) + t.noise * noise[who]
        images[block] = np.rint(255 * grey.clip(0, 1))
    return images


def intensities(labels, intensity, rng):
    """How strongly each face uses each of `UNITS`: [n, units], 0 to 1."""
    used = np.array([[unit in units for unit in UNITS] for units in ACTION_UNITS.values()])
    if intensity is not None:
        return used[labels] * np.broadcast_to(np.reshape(intensity, (-1, 1)), (len(labels), 1))
    whole_face = rng.beta(*DRAWING["intensity"], size=(len(labels), 1))
    return used[labels] * (whole_face * rng.uniform(0.6, 1.0, size=(len(labels), len(UNITS))))


def face(t, au):
    """Grey values [n, 48, 48] of the faces with traits `t` and action units `au`."""
    # From the pixel grid to the face: undo the picture's shift, tilt and scale.
    row, column = np.mgrid[:SIZE, :SIZE].astype(np.float32) - (SIZE - 1) / 2
    column, row = column - t.shift_x, row - t.shift_y
    x = (column * np.cos(t.tilt) + row * np.sin(t.tilt)) / t.scale
    y = (row * np.cos(t.tilt) - column * np.sin(t.tilt)) / t.scale
    canvas = np.broadcast_to(t.background + 0.1 * y * t.light_y, x.shape).copy()

    def paint(distance, grey, opacity=1.0):
        """Cover what lies inside (distance < 0), with an edge as wide as the blur."""
        cover = (0.5 - distance * (t.scale / t.blur)).clip(0, 1) * opacity
        np.add(canvas, cover * (grey - canvas), out=canvas)

    head(paint, x, y, t, au)
    # A turned head moves what lies in front, near the middle, more than its outline.
    x = x - t.yaw * (1 - (x / t.width) ** 2).clip(0, 1)
    y = y - t.pitch
    for part in (cheeks_and_nose, mouth, eyes, brows):
        part(paint, x, y, t, au)
    return canvas


def ellipse(x, y, width, height):
    """Roughly the distance to an ellipse's edge, negative inside."""
    return (np.sqrt((x / width) ** 2 + (y / height) ** 2) - 1) * np.minimum(width, height)


def band(y, top, bottom, ends):
    """Distance to the area below one curve, above another and within the distance `ends`."""
    return np.maximum(np.maximum(top - y, y - bottom), ends)


def stroke(x, y, start, end, thickness, bend=0.0):
    """Distance to a line between two points, bent by `bend` in the middle, thin at its ends."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    length = np.sqrt(dx**2 + dy**2)
    along = ((x - x0) * dx + (y - y0) * dy) / length**2
    across = ((y - y0) * dx - (x - x0) * dy) / length
    inside = along.clip(0, 1)
    arch = 4 * inside * (1 - inside)
    away = np.hypot(across - bend * arch, (along - inside) * length)
    return away - thickness * (0.4 + 0.6 * arch)


def head(paint, x, y, t, au):
    """Hair, neck, ears and face; unit 26 (jaw drops) lengthens the chin."""
    side, chin = np.abs(x), 1 + 0.10 * au[26]
    paint(ellipse(x, y - 0.15, t.width + 0.22, 1.25), t.hair, t.long_hair < 0.35)
    paint(np.maximum(side - 0.42, 0.6 - y), t.skin * 0.72)  # neck
    paint(ellipse(side - t.width, y - 0.05, 0.09, 0.2), t.skin * 0.85)  # ears
    narrow = side * (1 + t.jaw * (y / chin).clip(0, 1) ** 2)
    outline = ellipse(narrow, np.where(y > 0, y / chin, y), t.width, 1.0)
    paint(outline, t.skin * (1.1 - 0.22 * (x**2 + y**2)))  # rounder towards the rim, so darker
    paint(np.maximum(outline, 0.74 - y - 0.6 * side**2), t.hair, 0.5 * (t.beard < 0.15))
    fringe = y - t.hairline - 1.2 * np.abs(x - t.parting * (0.5 - y)) ** 3
    hair = np.maximum(ellipse(x, y + 0.02, t.width + 0.07, 1.08), fringe)
    strands = np.sin(40 * x * (1 + t.parting) + 6 * y)
    paint(hair, t.hair * (1 + 0.1 * strands), t.bald > 0.12)


def cheeks_and_nose(paint, x, y, t, au):
    """Unit 9 wrinkles and widens the nose, 6 lifts the cheeks; 9 and 12 deepen the folds."""
    side, shade = np.abs(x), t.skin * 0.6
    nose_y, wing = t.nose_y - 0.06 * au[9], t.nose_width * (1 + 0.25 * au[9])
    paint(ellipse(x, y - nose_y + 0.1, 0.05, 0.3), t.skin * 1.12, 0.5)  # bridge
    paint(stroke(side, y, (wing, nose_y - 0.1), (wing, nose_y + 0.01), 0.02, 0.03), shade, 0.6)
    paint(ellipse(side - 0.55 * wing, y - nose_y - 0.01, 0.04, 0.025), t.skin * 0.35, 0.9)
    for level in (0.0, 0.08):
        paint(stroke(side, y, (0.02, level), (0.13, level - 0.07), 0.018), shade, 0.9 * au[9])
    paint(ellipse(side - 0.42, y - 0.22 + 0.06 * au[6], 0.2, 0.1), t.skin * 1.2, 0.7 * au[6])
    paint(stroke(side, y, (0.25, 0.12), (0.55, 0.10), 0.018, 0.06), shade, 0.7 * au[6])
    top = (wing + 0.04, nose_y - 0.03)
    bottom = (t.mouth_width + 0.08 + 0.12 * au[12], t.mouth_y - 0.03 - 0.1 * au[12])
    fold = (0.2 * t.age + 0.3 * au[12] + 0.7 * au[9]).clip(0, 0.8)
    paint(stroke(side, y, top, bottom, 0.02, -0.03), shade, fold)


def mouth(paint, x, y, t, au):
    """Corners rise (12), fall (15) or part (20), the chin rises (17), lips thin (23), jaw drops."""
    wider = 0.4 * au[12] + 0.35 * au[20] - 0.15 * au[23] - 0.25 * au[26] * (1 - au[20])
    width = t.mouth_width * (1 + wider)
    ends, arch = np.abs(x) - width, 1 - (x / width) ** 2
    round_arch = np.sqrt(arch.clip(0, 1))
    lift = t.mouth_rest + 0.17 * au[12] - 0.13 * au[15] - 0.05 * au[20]
    drop = t.speaking.clip(0, 1) + 0.30 * au[26] * (1 - 0.3 * au[20])
    drop = drop + 0.15 * au[12] * t.teeth.clip(0, 1)
    middle = t.mouth_y + 0.02 - 0.07 * au[17] + lift * (arch - 0.4)
    upper, lower = middle - 0.3 * drop * round_arch, middle + 0.7 * drop * round_arch
    lip = t.lips * (1 - 0.75 * au[23] - 0.3 * au[12] - 0.4 * au[20]) * round_arch
    paint(band(y, upper - lip, lower + (1.2 + 0.8 * au[17]) * lip, ends), t.skin * 0.6, 0.85)
    paint(band(y, upper, lower, ends), 0.08)  # the open mouth
    bared = (drop > 0.02) * (0.9 * au[12] + 0.6 * au[20]).clip(0, 1)
    teeth = upper + np.minimum(0.6 * drop * round_arch, 0.09)
    paint(band(y, upper, teeth, ends), 0.92, bared)
    paint(band(y, middle - 0.016, middle + 0.016, ends), t.skin * 0.3, 0.9 * (drop < 0.04))
    corner = t.mouth_y + 0.02 - 0.07 * au[17] - 0.4 * lift
    paint(ellipse(ends, y - corner, 0.03, 0.03), t.skin * 0.4, 0.7)
    chin = t.mouth_y + 0.2 + 0.2 * au[26]
    paint(stroke(x, y, (-0.12, chin), (0.12, chin), 0.02, -0.05), t.skin * 0.6, 0.15 + 0.7 * au[17])


def eyes(paint, x, y, t, au):
    """Unit 5 raises the upper lids; 6, 7 and 9 narrow the eyes."""
    side = np.abs(x) - t.eye_x
    arch, ends = 1 - (side / t.eye_width) ** 2, np.abs(side) - t.eye_width
    squeeze = (0.5 * au[7] + 0.4 * au[6] + 0.45 * au[9]).clip(0, 0.75)
    upper = -t.lid * (1 + 0.9 * au[5] - 0.5 * squeeze) * arch
    lower = 0.75 * t.lid * (1 + 0.2 * au[5] - 1.1 * squeeze) * arch
    opening = band(y, upper, lower, ends)
    paint(ellipse(side, y + 0.03, t.eye_width * 1.25, 0.15), t.skin * 0.82, 0.6)  # socket
    paint(opening, 0.92)
    paint(np.maximum(ellipse(side - np.sign(x) * t.gaze, y, 0.07, 0.07), opening), t.iris)
    paint(band(y, upper - 0.018, upper + 0.018, ends - 0.01), t.skin * 0.2, 0.9)  # lashes
    paint(band(y, lower - 0.01, lower + 0.01, ends), t.skin * 0.5, 0.6)
    rim, bridge = np.abs(ellipse(side, y - 0.02, 0.23, 0.18)), np.maximum(np.abs(y), side + 0.24)
    paint(np.minimum(rim, bridge) - 0.02, 0.12, 0.9 * (t.glasses < 0.15))


def brows(paint, x, y, t, au):
    """Unit 1 pulls the inner end up, 2 the outer; 4 lowers and knits what is not held up."""
    side, shade = np.abs(x), t.skin * 0.6
    inner = t.brow_y + t.brow_slope - 0.20 * au[1] + 0.15 * au[4] * (1 - 0.75 * au[1])
    outer = t.brow_y - t.brow_slope - 0.17 * au[2] + 0.05 * au[4] * (1 - au[2])
    start, end = (0.16 - 0.07 * au[4], inner + 0.02), (0.56, outer + 0.04)
    bend = -0.06 - 0.05 * au[2] + 0.05 * au[4]
    brow = stroke(side, y, start, end, t.brow_thickness, bend)
    paint(brow, np.minimum(0.8 * t.hair, 0.55 * t.skin), 0.9)
    paint(stroke(side, y, (0.05, inner), (0.04, inner + 0.13), 0.016), shade, 0.8 * au[4])  # frown
    height = t.brow_y - 0.18 * au[2] - 0.17
    wrinkle = stroke(side, y, (0.0, height), (0.42, height + 0.03), 0.016)
    paint(wrinkle, shade, 0.6 * np.sqrt(au[1] * au[2]))


def photograph(grey, t):
    """Light from one side, exposure and the camera's tone curve."""
    row, column = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    light = (1 + t.light_x * column + t.light_y * row) * t.exposure
    return (grey * light).clip(0, 1) ** t.gamma


def plant_faults(images, labels, splits, rng):
    """Overwrite images with black and with copies of training images, in place."""
    train = rng.permutation(np.flatnonzero(splits == "train"))
    black, originals = np.split(train, [FAULTS["black"]])
    images[black] = 0
    for split in SPLITS:  # train first: what is overwritten there is nobody's original
        members = originals if split == "train" else np.flatnonzero(splits == split)
        copies = rng.choice(members, round(FAULTS["copies"][split] * len(members)), replace=False)
        originals = np.setdiff1d(originals, copies)
        conflicts = max(1, round(FAULTS["conflicting"] * len(copies)))
        for rank, copy in enumerate(copies):
            agrees = labels[originals] == labels[copy]
            images[copy] = images[rng.choice(originals[agrees == (rank >= conflicts)])]
