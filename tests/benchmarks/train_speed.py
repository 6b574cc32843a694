"""Images trained a second, by model and precision: python tests/benchmarks/train_speed.py [THREADS]

Side by side on the drawn faces, so that what else the machine does slows both precisions. Two
rounds of eight steps; the first, which fetches the memory, is not counted.
"""

import sys
import time
from dataclasses import replace

import torch

from fer_utils import data, training
from fer_utils.recipes import recipe

if len(sys.argv) > 1:
    torch.set_num_threads(int(sys.argv[1]))
faces = data.load("synthetic")
device = training.pick_device()
images, labels = training.tensors(faces, "train", device)
images, labels = images[:1024], labels[:1024]
training.keep_memory()

print(f"{device}, {torch.get_num_threads()} threads    float32  bfloat16  ratio")
for model in ("shallow", "deep", "deeper"):
    speeds = []
    for precision in training.HALF:
        one = replace(recipe(model), precision=precision)
        state = training.start(one, 0, 30_000, device)
        for _ in range(2):
            start = time.perf_counter()
            training.train_epoch(state, one, images, labels)
            seconds = time.perf_counter() - start
        speeds.append(len(labels) / seconds)
    print(f"{model:>22} {speeds[0]:9.0f} {speeds[1]:9.0f} {speeds[1] / speeds[0]:6.2f}")
