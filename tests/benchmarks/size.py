"""Time and memory of training one layer on 10,000 to 300,000 drawn faces, and of mapped ones."""

import tempfile
from dataclasses import replace
from functools import partial

import numpy as np

from fer_utils import machine, training
from fer_utils.recipes import recipe
from tests.benchmarks import drawn
from tests.benchmarks.measure import STATUS, Row, alternating, limited, memory, once

SIZES = (10_000, 30_000, 100_000, 300_000)
PIXELS = 48 * 48  # bytes an image
STEEPEST = 1.1  # exponent that passes for linear


def epoch(images: int):
    """An epoch of one layer through `training.train`: µs an image, peak MB (less those of 1,000
    images). Batches cost more than this network.
    """
    device = machine.pick_device()
    one = replace(recipe("fully_connected", "short", small=False), mirror=True, shift=3, epochs=1)

    def train(faces) -> float:
        (row,) = training.train(training.start(one, faces, 0, device), faces)
        return row["seconds"]

    train(drawn.repeated(train=1000, validation=500))
    base, faces = memory("VmHWM"), drawn.repeated(train=images, validation=500)

    def measure() -> dict:
        took, peak = train(faces), memory("VmHWM")
        return {"each": 1e6 * took / images, "peak": peak and peak - base}

    return measure


def mapped(images: int):
    """Training images in a memory-mapped file: how many copies of them `training.tensors` makes in
    the CPU's memory.
    """
    faces = drawn.repeated(train=images)

    def measure() -> dict:
        with tempfile.NamedTemporaryFile() as file:
            faces.images.tofile(file.name)
            pixels = np.memmap(file.name, np.uint8, "r", shape=faces.images.shape)
            before = memory("RssAnon")
            kept = training.tensors(replace(faces, images=pixels), "train", machine.pick_device())
            grown = memory("RssAnon") - before - kept[1].nbytes / 1e6
        return {"copies": 1e6 * grown / pixels.nbytes}

    return measure


def rows(sizes: tuple[int, ...] = SIZES):
    """Costs by number of images, their exponents, and what mapping saves."""
    found = measured(sizes)
    first = found[sizes[0]]["each"]
    for size, costs in found.items():
        each, name = costs["each"], f"an epoch's batches, {size:,} images"
        yield Row(name, each, first, "µs/image", each / first)
    total = [size * found[size]["each"] for size in sizes]
    yield limited("time's exponent", exponent(sizes, total), "log / log", STEEPEST)
    if not STATUS.exists():
        yield Row("memory", None, None, "MB", note="measured on Linux only")
        return
    peaks = [found[size]["peak"] for size in sizes]
    for size, peak in zip(sizes, peaks):
        array = size * PIXELS / 1e6
        yield Row(f"peak memory, {size:,} images", peak, array, "MB", peak / array)
    yield limited("memory's exponent", exponent(sizes, peaks), "log / log", STEEPEST)
    copies = once("size:mapped", images=sizes[-1] // 3)["copies"]
    yield limited("copies of memory-mapped images", copies, "copies", 0.1)


def measured(sizes: tuple[int, ...]) -> dict[int, dict]:
    """Medians by number of images; each epoch in a fresh process, one at a time."""
    measures = {size: partial(once, "size:epoch", images=size) for size in sizes}
    return alternating(measures, warm=False)


def exponent(sizes, costs) -> float:
    """How costs grow: 1 is in proportion to the images."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])
