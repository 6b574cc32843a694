"""The one training loop: every notebook, fold and machine uses it; it touches no disk.

Written out by hand in notebook 03.
"""

import ctypes
import math
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F

from fer_utils.data import Faces
from fer_utils.evaluation import logits
from fer_utils.models import build
from fer_utils.recipes import Recipe

TRAINING_VERSION = 1  # raise when the same recipe, data and seed would give other numbers
HALF = {"float32": False, "bfloat16": True}  # precision: are values 16 bits wide?
WATCHED = 3589  # training images whose loss is followed: as many as validation has


class TrainingError(RuntimeError):
    """The training cannot go on; the message says at which step and what to change."""


@dataclass
class State:
    """A training between two epochs: network, optimiser, schedule, and one history row an epoch.

    filters: the first convolution's weights, float32 [F, k, k], at the start and after each epoch
    (empty for networks without convolutions).
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    history: list[dict] = field(default_factory=list)
    filters: list[torch.Tensor] = field(default_factory=list)

    def state_dict(self) -> dict:
        """Everything needed to go on, as tensors and plain values."""
        parts = {
            name: getattr(self, name).state_dict() for name in ("model", "optimizer", "scheduler")
        }
        return parts | {"history": self.history, "filters": self.filters}

    def load_state_dict(self, saved: dict) -> None:
        """Put back what :meth:`state_dict` returned."""
        for name in ("model", "optimizer", "scheduler"):
            getattr(self, name).load_state_dict(saved[name])
        self.history, self.filters = saved["history"], saved["filters"]


def pick_device() -> torch.device:
    """The fastest device at hand: CUDA, Apple's MPS, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def start(recipe: Recipe, seed: int, images: int, device: torch.device | None = None) -> State:
    """A fresh network with its optimiser and schedule. images: number of training images at
    hand, of which the recipe may take fewer.

    Weights depend on the seed and the architecture alone. Introduced in notebook 03.
    """
    torch.manual_seed(seed)
    model = build(recipe.architecture, recipe.dropout_convolution, recipe.dropout_hidden)
    model = model.to(device or pick_device())
    options = dict(lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[recipe.optimizer](model.parameters(), **options, fused=True)
    used = min(images, recipe.train_images or images)
    steps = recipe.epochs * batches(used, recipe.batch_size)
    if recipe.schedule == "one-cycle":
        scheduler = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            recipe.learning_rate,
            max(steps, 5),  # with four it divides by zero
            pct_start=0.25,
            cycle_momentum=False,
        )
    else:
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    state = State(model, optimizer, scheduler)
    keep_filters(state)
    return state


def batches(images: int, batch_size: int) -> int:
    """Steps an epoch: the rest that does not fill a batch waits for the next epoch's shuffle."""
    return max(1, images // batch_size)


def choose(labels: np.ndarray, count: int | None, seed: int = 0) -> np.ndarray:
    """Indices of ``count`` images with the classes in proportion (all for None), int64, sorted."""
    if count is None or count >= len(labels):
        return np.arange(len(labels))
    everything = np.arange(len(labels))
    chosen, _ = train_test_split(everything, train_size=count, stratify=labels, random_state=seed)
    return np.sort(chosen)


def augment(images: torch.Tensor, mirror: bool, shift: int) -> torch.Tensor:
    """Mirror and shift each image of a batch on its own: uint8 [B, 48, 48] to the same.

    What a shift uncovers is filled with the nearest edge pixel. Introduced in notebook 07.
    """
    count, side = images.shape[0], images.shape[-1]
    device = images.device
    rows = columns = torch.arange(side, device=device).expand(count, side)
    if shift:
        rows, columns = (
            (axis + torch.randint(-shift, shift + 1, (count, 1), device=device)).clamp(0, side - 1)
            for axis in (rows, columns)
        )
    if mirror:
        same = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(same, columns, side - 1 - columns)
    number = torch.arange(count, device=device)[:, None, None]
    return images[number, rows[:, :, None], columns[:, None, :]]


def train(state: State, recipe: Recipe, faces: Faces, seed: int):
    """Train from where ``state`` stands to ``recipe.epochs``, yielding a history row an epoch.

    A row: epoch (from 1), learning_rate, seconds, and, in evaluation mode without augmentation,
    train_loss and train_accuracy (on up to 3,589 fixed training images), validation_loss and
    validation_accuracy (all of it). Losses are cross-entropies in nats, accuracies 0 … 1.
    Each epoch draws from its own random stream, so a resumed training equals an uninterrupted one.
    The test split is not looked at. Raises TrainingError when the loss is no longer a number.
    Introduced in notebook 03.
    """
    device = next(state.model.parameters()).device
    keep_memory()
    images, labels = tensors(faces, "train", device)
    chosen = torch.from_numpy(choose(labels.cpu().numpy(), recipe.train_images)).to(device)
    images, labels = images[chosen], labels[chosen]
    watched = np.random.default_rng(0).permutation(len(labels))[:WATCHED]
    watched = images[watched], labels[watched]
    validation = tensors(faces, "validation", device)
    torch.set_float32_matmul_precision("high")  # TF32 on a GPU; nothing changes on a CPU
    for epoch in range(len(state.history) + 1, recipe.epochs + 1):
        torch.manual_seed(seed * 100_003 + epoch)
        began = time.perf_counter()
        rate = train_epoch(state, recipe, images, labels)
        row = dict(epoch=epoch, learning_rate=rate, seconds=time.perf_counter() - began)
        for name, part in (("train", watched), ("validation", validation)):
            row[f"{name}_loss"], row[f"{name}_accuracy"] = loss_and_accuracy(state.model, *part)
        check(row["train_loss"], recipe, f"the end of epoch {epoch}", rate)
        state.history.append(row)
        keep_filters(state)
        yield row


def keep_memory() -> None:
    """Let Linux's C library keep freed memory for the next step; elsewhere nothing happens.

    A step on a CPU frees and allocates the same hundreds of megabytes again and again. Mapped and
    zeroed anew each time they cost a fifth to a third of the whole training.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):  # glibc has it, musl has not
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            library.mallopt(option, value)


def train_epoch(state: State, recipe: Recipe, images: torch.Tensor, labels: torch.Tensor) -> float:
    """One pass over the images in random order; returns the last learning rate."""
    state.model.train()
    order = torch.randperm(len(labels)).to(labels.device)
    for step in range(batches(len(labels), recipe.batch_size)):
        batch = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        x = augment(images[batch], recipe.mirror, recipe.shift)[:, None].float() / 255
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, HALF[recipe.precision]):
            scores = state.model(x)
        smoothing = recipe.label_smoothing
        loss = F.cross_entropy(scores.float(), labels[batch], label_smoothing=smoothing)
        rate = state.scheduler.get_last_lr()[0]
        check(loss.item(), recipe, f"epoch {len(state.history) + 1}, step {step + 1}", rate)
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.scheduler.step()
    return rate


def check(loss: float, recipe: Recipe, where: str, rate: float) -> None:
    """Raise TrainingError unless the loss is a number."""
    if not math.isfinite(loss):
        raise TrainingError(
            f"The loss of {recipe.model} is {loss} at {where} with learning rate"
            f" {rate:g}: choose a smaller one."
        )


def tensors(faces: Faces, split: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Images uint8 [n, 48, 48] and labels int64 [n] of a split, on the device."""
    images, labels = faces.split(split)
    return torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device)


@torch.no_grad()
def loss_and_accuracy(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy (0 … 1) in evaluation mode.

    Introduced in notebook 03.
    """
    model.eval()
    scores = torch.cat(list(logits(model, images)))
    right = scores.argmax(1) == labels
    return F.cross_entropy(scores, labels).item(), right.float().mean().item()


def keep_filters(state: State) -> None:
    """Add the first convolution's filters, [F, k, k], as they are now."""
    first = next((layer for layer in state.model if isinstance(layer, nn.Conv2d)), None)
    if first is not None:
        state.filters.append(first.weight.detach()[:, 0].cpu().clone())
