"""The seminar's networks and a modern one as data, and the one function that builds them.

Introduced in notebooks 03 (fully connected), 04 (the blocks), 05 (shallow), 07 (deep), 08 (deeper),
11 (compact).
"""

from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from fer_utils import known_or_refuse, read_toml

SIZE = 48  # pixels along one side of a face


@dataclass(frozen=True)
class Architecture:
    """A network as data: a builder (the class below that has its name) and the builder's arguments
    (its fields). Each has a method `layers`, which makes the network's layers in order.
    """

    def identity(self) -> dict:
        """The builder's name and the arguments that differ from their defaults, as JSON values."""
        return {"builder": type(self).__name__.lower()} | changed_fields(self)


def changed_fields(instance) -> dict:
    """The fields of a dataclass instance that differ from their defaults, name to value."""
    found = {field: getattr(instance, field.name) for field in fields(instance)}
    return {field.name: value for field, value in found.items() if value != field.default}


@dataclass(frozen=True)
class Plain(Architecture):
    """Blocks one after the other, then hidden layers, then seven scores (seminar §3, §4).

    A block is convolution, batch normalisation, dropout, 2×2 max-pooling, ReLU. The ReLU belongs
    after batch normalisation; standing after pooling it gives the same outputs and gradients (it
    commutes with a maximum and with a dropout mask) on a quarter of the values. A block whose map
    cannot be halved once more for those after it keeps its size: after five poolings the map is
    1×1, so a sixth convolution goes before the last pool. Introduced in notebook 04.
    """

    convolutions: tuple[tuple[int, int], ...] = ()  # (filters, kernel side) of each block, in order
    hidden: tuple[int, ...] = ()  # units of each hidden layer
    batch_norm: bool = True  # normalise after every convolution and hidden layer
    shuffle_pixels: bool = False  # put all pixels into one fixed random order first
    pool_window: int = 2  # side of the window a maximum is taken of; 1 keeps every second value

    def layers(self, dropout_convolution: float, dropout_hidden: float) -> list[nn.Module]:
        """All layers, for images float32 [B, 1, 48, 48]."""
        layers: list[nn.Module] = [ShufflePixels()] if self.shuffle_pixels else []
        channels, side, blocks = 1, SIZE, len(self.convolutions)
        bias = not self.batch_norm  # batch normalisation has a shift of its own
        for number, (filters, kernel) in enumerate(self.convolutions, 1):
            # [B, channels, side, side] to [B, filters, side, side], or half the side where it pools
            convolution = nn.Conv2d(channels, filters, kernel, padding="same", bias=bias)
            norm = [nn.BatchNorm2d(filters)] if self.batch_norm else []
            drop = [Dropout(dropout_convolution)] if dropout_convolution else []
            pool = [nn.MaxPool2d(self.pool_window, stride=2)] if pools(number, blocks) else []
            layers += [convolution, *norm, *drop, *pool, nn.ReLU()]
            channels, side = filters, side // 2 if pool else side
        layers.append(nn.Flatten())
        width = channels * side * side
        for units in self.hidden:  # [B, width] to [B, units]
            norm = [nn.BatchNorm1d(units)] if self.batch_norm else []
            drop = [Dropout(dropout_hidden)] if dropout_hidden else []
            layers += [nn.Linear(width, units, bias=bias), *norm, nn.ReLU(), *drop]
            width = units
        return [*layers, nn.Linear(width, 7)]  # to [B, 7]


@dataclass(frozen=True)
class Compact(Architecture):
    """A stem that halves the image, groups that halve it again, the mean of each map, seven scores.

    A group: convolution, 2×2 max-pooling, batch normalisation, ReLU; then what another convolution
    and normalisation make of it is added to it. Much for little: no convolution sees all 48 × 48
    positions, and no hidden layer of weights has to be learnt. After networks that learn small
    pictures in seconds (Page 2018, Jordan 2024).
    """

    widths: tuple[int, ...] = (64, 192, 384)  # maps of each group, after the stem's 32

    def layers(self, dropout_convolution: float, dropout_hidden: float) -> list[nn.Module]:
        """All layers, for images float32 [B, 1, 48, 48]; none of them drops anything."""
        stem = nn.Conv2d(1, 32, 4, stride=2, padding=1, bias=False)  # to [B, 32, 24, 24]
        layers = [stem, nn.BatchNorm2d(32), nn.ReLU()]
        for channels, width in pairwise((32, *self.widths)):  # to [B, width, half the side, half]
            wider, same = (nn.Conv2d(n, width, 3, padding=1, bias=False) for n in (channels, width))
            layers += [wider, nn.MaxPool2d(2), nn.BatchNorm2d(width), nn.ReLU()]
            layers.append(Added(same, nn.BatchNorm2d(width)))
        return [*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 7)]


class Added(nn.Sequential):
    """What its layers make of their input is added to it, then ReLU (He et al. 2016)."""

    def forward(self, x):
        return (x + super().forward(x)).relu()


BUILDERS = {"plain": Plain, "compact": Compact}  # by the name in a run's recipe


def from_values(builder: str, **arguments) -> Architecture:
    """The architecture that `identity` made plain values of, from JSON or TOML, which have lists
    for tuples. Raises UserError for an unknown builder.
    """
    known_or_refuse("builder", builder, BUILDERS)
    return BUILDERS[builder](**{name: as_tuple(value) for name, value in arguments.items()})


def as_tuple(value):
    """Lists, and lists in them, as tuples."""
    return tuple(map(as_tuple, value)) if isinstance(value, list) else value


MODELS = read_toml("models")
ARCHITECTURES = {name: from_values(**model["architecture"]) for name, model in MODELS.items()}


def pools(number: int, blocks: int) -> bool:
    """True if block `number` (from 1) of `blocks` ends in a pooling: 48 allows five halvings.

    With more than five blocks those that go without are the ones just before the last.
    """
    return number <= 4 or number == blocks


class ShufflePixels(nn.Module):
    """Puts the pixels of each image [B, 1, 48, 48] into one fixed random order."""

    order = torch.from_numpy(np.random.default_rng(0).permutation(SIZE * SIZE))

    def forward(self, x):
        return x.flatten(1)[:, self.order].view_as(x)


class Dropout(nn.Dropout):
    """nn.Dropout with one random byte a value: a tenth of the time of torch's mask on a CPU.

    In training each value is zeroed with probability p, rounded to 1/256 on every device, and the
    others are scaled so that the expectation stays.
    """

    def forward(self, x):
        if not self.training:
            return x
        threshold = round(self.p * 256)
        # Eight bytes at a time: torch draws a 64-bit number as fast as a byte.
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        draws = draws.random_(-(2**63), None).view(torch.uint8)[: x.numel()]
        # Any order of the bytes is as random as another, so the mask takes x's own order in
        # memory (channels last): a product of two orders would cost a copy.
        kept = (draws >= threshold).as_strided(x.shape, x.stride())
        return x * (kept * (256 / (256 - threshold)))


def build(architecture: Architecture, dropout_convolution=0.0, dropout_hidden=0.0):
    """Build a network: float32 [B, 1, 48, 48] in 0 … 1 to logits float32 [B, 7].

    Introduced in notebook 04.
    """
    layers = architecture.layers(dropout_convolution, dropout_hidden)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def parameters(model: nn.Module) -> int:
    """Number of trained parameters. Introduced in notebook 03."""
    return sum(parameter.numel() for parameter in model.parameters())


def layer_table(architecture: Architecture) -> list[dict]:
    """One row a layer with weights: name, output (shape), parameters, multiply_adds for one image.

    Batch normalisation is counted with its layer; its multiply-adds are not (it folds into the
    weights once trained). Introduced in notebook 05.
    """
    rows: list[dict] = []

    def count(layer, inputs, output):
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            name, work = "fully connected", layer.weight.numel() * output[0, 0].numel()  # positions
            if isinstance(layer, nn.Conv2d):
                name = "convolution {}×{}".format(*layer.kernel_size)
            shape = tuple(output.shape[1:])
            rows.append(dict(layer=name, output=shape, parameters=0, multiply_adds=work))
        if rows:
            rows[-1]["parameters"] += parameters(layer)

    model = build(architecture).eval()
    for layer in model.modules():
        if not list(layer.children()):  # a layer, not what holds layers
            layer.register_forward_hook(count)
    model(torch.zeros(1, 1, SIZE, SIZE))
    return rows


def multiply_adds(architecture: Architecture) -> int:
    """Multiplications (each with its addition) that one image takes in all layers.

    Introduced in notebook 05.
    """
    return sum(row["multiply_adds"] for row in layer_table(architecture))


def receptive_field(architecture: Architecture) -> int:
    """Side, in pixels, of the square that one value of the last map sees; 1 without a map.

    Each layer widens it by its kernel, less one, times the distance between neighbours on its
    input. A shortcut of stride 1 widens nothing. Introduced in notebook 05.
    """
    side, step = 1, 1
    for layer in build(architecture).modules():
        if isinstance(layer, (nn.Conv2d, nn.MaxPool2d)):
            kernel, stride = np.max(layer.kernel_size), np.max(layer.stride)
            side, step = side + (kernel - 1) * step, step * stride
    return int(side)
