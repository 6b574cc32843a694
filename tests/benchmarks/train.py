"""Images trained a second against the textbook loop, and against this machine's matrix product."""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from fer_utils import machine, training
from fer_utils.models import ARCHITECTURES, multiply_adds
from fer_utils.recipes import recipe
from tests.benchmarks import drawn
from tests.benchmarks.measure import Row, Worker, alternating, compared, information, seconds

IMAGES = {"shallow": 1024, "deep": 512, "deeper": 512}  # an epoch on a CPU
TIMES = {"cpu": 1, "cuda": 32, "mps": 8}  # that is so many times as long elsewhere
# Against the loop in float32 and in bfloat16, against the matrix product.
TARGETS = {"shallow": (1.7, 2.6, 0.78), "deep": (1.4, 2.4, 1.15), "deeper": (1.4, 2.2, 1.09)}
SIDE = 2048  # of the matrices


def ours(model: str, precision: str, images: int):
    """A training; an epoch of it gives images a second, a matrix product then GFLOP a second."""
    machine.prepare()
    device, faces = machine.pick_device(), drawn.repeated(train=images)
    one = replace(recipe(model, "short", small=False), precision=precision, epochs=100)
    state = training.start(one, faces, seed=0, device=device)
    split = training.tensors(faces, "train", device)
    matrix, times = torch.randn(SIDE, SIDE, device=device), 8 * TIMES[device.type]

    def products():
        for _ in range(times):
            matrix @ matrix

    def measure() -> dict:
        speed = images / seconds(lambda: training.train_epoch(state, *split), device)
        product = times * 2 * SIDE**3 / seconds(products, device) / 1e9
        return {"images": speed, "product": product}

    return measure


def has_bfloat16(device: torch.device) -> bool:
    """Whether the processor or GPU multiplies in bfloat16 itself."""
    if device.type != "cpu":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    flags = f"{information('flags')} {information('Features')}".split()  # x86, ARM
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def rows(models=tuple(IMAGES)):
    """Three rows a model."""
    with tempfile.TemporaryDirectory() as folder:
        drawn.write_folder(drawn.files(drawn.repeated(train=3000)), Path(folder))
        for model in models:
            yield from rows_of(model, f"{folder}/train")


def rows_of(model: str, folder: str):
    """Float32 and bfloat16 against the loop, float32 against the matrix product."""
    device = machine.pick_device()
    images = IMAGES[model] * TIMES[device.type]
    found = measured(model, folder, images, has_bfloat16(device))
    float32, bfloat16, product = TARGETS[model]
    theirs, name = found["theirs"]["images"], f"training {model}"
    speed = found["float32"]["images"]
    yield compared(f"{name}, float32", speed, theirs, "images/s", float32)
    if half := found.get("bfloat16"):
        yield compared(f"{name}, bfloat16", half["images"], theirs, "images/s", bfloat16)
    else:
        wanted, note = f"ratio ≥ {bfloat16}", "no bfloat16 in hardware"
        yield Row(f"{name}, bfloat16", None, theirs, "images/s", target=wanted, note=note)
    # Forwards once, backwards twice; a multiplication and an addition each.
    done = 6 * multiply_adds(ARCHITECTURES[model]) * speed / 1e9
    share = found["float32"]["product"]
    yield compared(f"{name}, of a matrix product", done, share, "GFLOP/s", product)


def measured(model: str, folder: str, images: int, half: bool) -> dict:
    """Medians of ours (in bfloat16 if `half`) and theirs, each in a process of its own."""
    with ExitStack() as stack:
        workers = {"theirs": Worker("textbook:training", model=model, folder=folder, images=images)}
        for precision in ("float32", "bfloat16")[: 1 + half]:
            workers[precision] = Worker(
                "train:ours", model=model, precision=precision, images=images
            )
        for worker in workers.values():
            stack.enter_context(worker)
        return alternating(workers)
