"""Ready batches, moved and mirrored, without a network: ours from memory against a DataLoader."""

import tempfile
from pathlib import Path

import torch

from fer_utils.evaluation import scaled
from fer_utils.machine import pick_device, prepare
from fer_utils.training import augment, tensors
from tests.benchmarks import drawn
from tests.benchmarks.measure import Worker, alternating, compared, seconds


def ours(images: int):
    """Batches of 128 from memory: images a second."""
    prepare()
    device = pick_device()
    pixels, _ = tensors(drawn.repeated(train=images), "train", device)

    def epoch():
        for batch in torch.randperm(images, device=device).split(128):
            scaled(augment(pixels[batch], True, 3), device)

    return lambda: {"images": images / seconds(epoch, device)}


def rows(images: int = drawn.TRAINING):
    """One epoch of FER2013's training images."""
    with tempfile.TemporaryDirectory() as folder:
        drawn.write_folder(drawn.files(drawn.repeated(train=3000)), Path(folder))
        theirs = dict(folder=f"{folder}/train", images=images)
        with Worker("batches:ours", images=images) as a, Worker("textbook:reading", **theirs) as b:
            found = alternating({"ours": a, "theirs": b})
    speeds = found["ours"]["images"], found["theirs"]["images"]
    yield compared("ready batches", *speeds, "images/s", at_least=28)
