"""The one training loop: every notebook, fold and machine uses it; it touches no disk.

Written out by hand in notebook 03.
"""

import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim import lr_scheduler

from fer_utils import UserError, augmentation, machine
from fer_utils.data import Faces, choose
from fer_utils.evaluation import device_of, logits, scaled
from fer_utils.recipes import Recipe

TRAINING_VERSION = 1  # raise when the same recipe, data and seed would give other numbers
WATCHED = 3589  # training images whose loss is followed: as many as validation has
LOOK = 100  # steps between two looks at the loss: each look makes a GPU wait for Python


class TrainingError(UserError):
    """The training cannot go on; the message says at which step and what to change."""


@dataclass
class State:
    """A training between two epochs: recipe, seed, network, optimiser, schedule, and what is kept.

    history: one row an epoch. filters: the first convolution's weights, float32 [F, k, k], at the
    start and after each epoch (empty for networks without convolutions). What is kept lies on the
    CPU, whatever the device of the network.
    """

    recipe: Recipe
    seed: int
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: lr_scheduler.LRScheduler
    history: list[dict] = field(default_factory=list)
    filters: list[torch.Tensor] = field(default_factory=list)

    def state_dict(self) -> dict:
        """Everything needed to go on, as tensors and plain values."""
        parts = {name: getattr(self, name).state_dict() for name in PARTS}
        return parts | {"history": self.history, "filters": self.filters}

    def load_state_dict(self, saved: dict) -> None:
        """Put back what `state_dict` returned, read from anywhere into the CPU's memory."""
        for name in PARTS:
            getattr(self, name).load_state_dict(saved[name])
        self.history, self.filters = saved["history"], saved["filters"]


PARTS = ("model", "optimizer", "scheduler")


def start(recipe: Recipe, faces: Faces, seed: int, device: torch.device | None = None) -> State:
    """A fresh network with its optimiser and schedule, for the training images of `faces`.

    Weights depend on the seed and the architecture alone. Introduced in notebook 03.
    """
    machine.seed_everything(seed)
    model = recipe.network().to(device or machine.pick_device())
    options = dict(lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    sgd = partial(torch.optim.SGD, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    kinds = {"sgd": sgd, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[recipe.optimizer](model.parameters(), **options, fused=True)
    images = int((faces.splits == "train").sum())
    steps = recipe.epochs * batches(min(recipe.train_images or images, images), recipe.batch_size)
    if recipe.schedule == "one-cycle":
        shape = dict(max_lr=recipe.learning_rate, pct_start=0.25, cycle_momentum=False)
        # five: with four torch divides by zero
        scheduler = lr_scheduler.OneCycleLR(optimizer, total_steps=max(steps, 5), **shape)
    else:
        scheduler = lr_scheduler.ConstantLR(optimizer, factor=1.0)
    state = State(recipe, seed, model, optimizer, scheduler)
    keep_filters(state)
    return state


def batches(images: int, batch_size: int) -> int:
    """Steps an epoch: the rest that does not fill a batch waits for the next epoch's shuffle.

    Introduced in notebook 05.
    """
    return max(1, images // batch_size)


def augment(images: torch.Tensor, mirror: bool, shift: int) -> torch.Tensor:
    """Mirror and shift each image of a batch on its own: uint8 [B, 48, 48] to the same.

    What a shift uncovers is filled with the nearest edge pixel. Introduced in notebook 11.
    """
    (count, side), device = images.shape[:2], images.device
    rows = columns = torch.arange(side, device=device).expand(count, side)
    if shift:
        moves = torch.randint(-shift, shift + 1, (2, count, 1), device=device)
        rows, columns = (rows + moves).clamp(0, side - 1)
    if mirror:
        same = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(same, columns, side - 1 - columns)
    number = torch.arange(count, device=device)[:, None, None]
    return images[number, rows[:, :, None], columns[:, None, :]]


def loss_function(recipe: Recipe, counts: torch.Tensor):
    """The training loss as a function of scores [B, 7] and classes [B], in nats.

    counts: training images of each class, [7]. `plain`: cross-entropy, smoothed as the recipe says.
    `weighted`: each class counts alike, N / (7 n) times an image of a class with n of N images.
    `logit-adjusted`: the scores carry the classes' log shares while training, so that without them
    all classes are equally likely (Menon et al. 2021).
    """
    share = counts.clamp(min=1) / counts.sum()
    weight = 1 / (len(counts) * share) if recipe.loss == "weighted" else None
    shift = share.log() if recipe.loss == "logit-adjusted" else None

    def loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        scores = scores if shift is None else scores + shift
        return F.cross_entropy(scores, labels, weight, label_smoothing=recipe.label_smoothing)

    return loss


def train(state: State, faces: Faces):
    """Train from where `state` stands to its recipe's last epoch, yielding a history row an epoch.

    A row: epoch (from 1), learning_rate, seconds, and, in evaluation mode without augmentation,
    train_loss and train_accuracy (on up to 3,589 fixed training images), validation_loss,
    validation_accuracy and validation_recall ([7]; all of it). Losses are cross-entropies in nats,
    accuracies and recalls 0 … 1.
    Each epoch draws from its own random stream, so a resumed training equals an uninterrupted one.
    The test split is not looked at. Raises TrainingError when the loss is no longer a number.
    Introduced in notebook 03.
    """
    recipe = state.recipe
    machine.prepare()
    device = device_of(state.model)
    images, labels = tensors(faces, "train", device, recipe.train_images)
    watched = np.random.default_rng(0).permutation(len(labels))[:WATCHED]
    watched = images[watched], labels[watched]
    validation = tensors(faces, "validation", device)
    for epoch in range(len(state.history) + 1, recipe.epochs + 1):
        machine.seed_everything(state.seed, epoch)
        began = time.perf_counter()
        rate = train_epoch(state, images, labels)
        row = dict(epoch=epoch, learning_rate=rate, seconds=time.perf_counter() - began)
        row["train_loss"], row["train_accuracy"], _ = look(state.model, *watched)
        names = ("validation_loss", "validation_accuracy", "validation_recall")
        row |= zip(names, look(state.model, *validation))
        check(torch.tensor([row["train_loss"]]), f"the end of epoch {epoch}", rate)
        state.history.append(row)
        keep_filters(state)
        yield row


def train_epoch(state: State, images: torch.Tensor, labels: torch.Tensor) -> float:
    """One pass over images uint8 [n, 48, 48] and labels int64 [n], both on the network's device,
    as `drawn`; returns the last learning rate. Introduced in notebook 05.
    """
    recipe, device = state.recipe, labels.device
    state.model.train()
    loss_of = loss_function(recipe, torch.bincount(labels, minlength=7))
    steps = batches(len(labels), recipe.batch_size)
    losses, half = torch.zeros(steps, device=device), recipe.precision == "bfloat16"
    for step, batch in enumerate(drawn(labels, recipe).split(recipe.batch_size)[:steps], 1):
        x = scaled(augment(images[batch], recipe.mirror, recipe.shift), device)  # [B, 1, 48, 48]
        x = augmentation.vary(x, recipe)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            scores = state.model(x)  # [B, 7]
        loss = loss_of(scores.float(), labels[batch])
        rate = state.scheduler.get_last_lr()[0]
        state.optimizer.zero_grad()
        loss.backward()
        state.optimizer.step()
        state.scheduler.step()
        losses[step - 1] = loss.detach()
        if step % LOOK == 0 or step == steps:
            check(losses[:step], f"epoch {len(state.history) + 1}, step {{}}", rate)
    return rate


def drawn(labels: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """The images of an epoch in their order, int64 [n], by their labels, int64 [n].

    `plain`: each once. `balanced`: n times any image of any class, each class as likely. `under`:
    n times any of the first images of each class, of each as many as the smallest has, so that a
    training takes as many steps.
    """
    if recipe.sampling == "plain":
        return torch.randperm(len(labels), device=labels.device)
    counts = torch.bincount(labels)
    chances = 1 / counts[labels]
    if recipe.sampling == "under":
        place = F.one_hot(labels).cumsum(0).gather(1, labels[:, None])[:, 0]  # in its class, from 1
        chances = (place <= counts[counts > 0].min()).float()
    return chances.multinomial(len(labels), replacement=True)


def check(losses: torch.Tensor, where: str, rate: float) -> None:
    """Raise TrainingError at the first loss that is no number; `where` has a place for its step."""
    for step in (~losses.isfinite()).nonzero()[:1]:
        place = f"{where.format(step.item() + 1)} with learning rate {rate:g}"
        raise TrainingError(f"The loss is {losses[step].item()} at {place}: choose a smaller one.")


def tensors(faces: Faces, split: str, device: torch.device, count=None) -> list[torch.Tensor]:
    """Images uint8 [n, 48, 48] and labels int64 [n] of a split, on the device: all, or `count`
    with the classes in proportion.
    """
    images, labels = faces.split(split)
    chosen = choose(labels, count)
    return [torch.from_numpy(part[chosen]).to(device) for part in (images, labels)]


@torch.no_grad()
def look(model: torch.nn.Module, images, labels) -> tuple[float, float, list[float]]:
    """Mean cross-entropy (nats), accuracy and the recall of each class (0 … 1; 0 for a class
    without images), in evaluation mode.
    """
    model.eval()
    scores = torch.cat(list(logits(model, images)))
    right = scores.argmax(1) == labels
    hits, counts = (torch.bincount(each, minlength=7) for each in (labels[right], labels))
    recall = hits / counts.clamp(min=1)
    return F.cross_entropy(scores, labels).item(), right.float().mean().item(), recall.tolist()


def keep_filters(state: State) -> None:
    """Add the first convolution's filters, [F, k, k], as they are now."""
    convolutions = (layer for layer in state.model.modules() if isinstance(layer, torch.nn.Conv2d))
    if (first := next(convolutions, None)) is not None:
        state.filters.append(first.weight.detach()[:, 0].cpu().clone())
