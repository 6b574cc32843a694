"""Images trained a second, by model and precision: python tests/benchmarks/train_speed.py [THREADS]

Side by side on the drawn faces, so that what else the machine does slows both precisions. Two
rounds of eight steps; the first, which fetches the memory, is not counted.
"""

import sys
import time
from dataclasses import replace

import torch

from fer_utils import data, machine, training
from fer_utils.recipes import recipe

if len(sys.argv) > 1:
    torch.set_num_threads(int(sys.argv[1]))
faces, device = data.load("synthetic"), machine.pick_device()
images, labels = training.tensors(faces, "train", device)
images, labels = images[:1024], labels[:1024]
machine.prepare()


def speed(one) -> float:
    """Images trained a second with a recipe."""
    state = training.start(one, faces, seed=0, device=device)
    for _ in range(2):
        start = time.perf_counter()
        training.train_epoch(state, images, labels)
        seconds = time.perf_counter() - start
    return len(labels) / seconds


print(f"{device}, {torch.get_num_threads()} threads    float32  bfloat16  ratio")
for model in ("shallow", "deep", "deeper"):
    usual = recipe(model, "short", small=False)
    whole, half = (speed(replace(usual, precision=name)) for name in ("float32", "bfloat16"))
    print(f"{model:>22} {whole:9.0f} {half:9.0f} {half / whole:6.2f}")
