"""The seminar's networks as data, and the one function that builds them.

Introduced in notebooks 03 (fully connected), 04 (the blocks), 05 (shallow), 07 (deep), 08 (deeper).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

SIZE = 48  # pixels along one side of a face


@dataclass(frozen=True)
class Architecture:
    """A network as data (seminar §4).

    convolutions: (filters, kernel side) of each block, in order. hidden: units of each hidden
    layer. batch_norm: normalise after every convolution and hidden layer. shuffle_pixels: put all
    pixels into one fixed random order first, so that neighbourhood means nothing.
    """

    convolutions: tuple[tuple[int, int], ...] = ()
    hidden: tuple[int, ...] = ()
    batch_norm: bool = True
    shuffle_pixels: bool = False


DEEP = ((64, 3), (128, 5), (512, 3), (512, 3))
ARCHITECTURES = {
    "fully_connected": Architecture(),
    "hidden_layer": Architecture(hidden=(2064,)),  # as many parameters as shallow
    "shallow": Architecture(((32, 3), (64, 5)), (512,)),
    "deep": Architecture(DEEP, (256, 512)),
    "deeper": Architecture((*DEEP[:2], (256, 3), *DEEP[2:]), (256, 512)),
    "deeper_256_last": Architecture((*DEEP, (256, 3)), (256, 512)),
}


class ShufflePixels(nn.Module):
    """Puts the pixels of each image [B, 1, 48, 48] into one fixed random order.

    Introduced in notebook 03.
    """

    def __init__(self):
        super().__init__()
        order = np.random.default_rng(0).permutation(SIZE * SIZE)
        self.register_buffer("order", torch.from_numpy(order), persistent=False)

    def forward(self, x):
        return x.flatten(1)[:, self.order].view_as(x)


class Dropout(nn.Dropout):
    """nn.Dropout, with a mask that costs a CPU a tenth of the time.

    In training each value is zeroed with probability p, rounded to 1/256, and the others are scaled
    so that the expectation stays; torch draws one float a value, this one random byte.
    Introduced in notebook 04.
    """

    def forward(self, x):
        if not self.training or x.device.type != "cpu":
            return super().forward(x)
        threshold = round(self.p * 256)
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = (draws.view(torch.uint8)[: x.numel()] >= threshold).as_strided(x.shape, x.stride())
        return x * (kept * (256 / (256 - threshold)))


def build(
    architecture: Architecture, dropout_convolution: float = 0.0, dropout_hidden: float = 0.0
) -> nn.Sequential:
    """Build a network: float32 [B, 1, 48, 48] in 0 … 1 to logits float32 [B, 7].

    Each block is convolution, batch normalisation, dropout, 2×2 max-pooling (seminar §3), ReLU.
    The ReLU belongs after batch normalisation; standing after pooling it gives the same outputs and
    gradients (it commutes with a maximum and with a dropout mask) on a quarter of the values.
    A block whose map cannot be halved once more for those after it keeps its size: after five
    poolings the map is 1×1, so a sixth convolution goes before the last pool.
    Introduced in notebook 04.
    """
    layers: list[nn.Module] = [ShufflePixels()] if architecture.shuffle_pixels else []
    channels, side = 1, SIZE
    blocks = len(architecture.convolutions)
    for number, (filters, kernel) in enumerate(architecture.convolutions, 1):
        bias = not architecture.batch_norm
        layers.append(nn.Conv2d(channels, filters, kernel, padding="same", bias=bias))
        if architecture.batch_norm:
            layers.append(nn.BatchNorm2d(filters))
        if dropout_convolution:
            layers.append(Dropout(dropout_convolution))
        if pools(number, blocks):
            layers.append(nn.MaxPool2d(2))
            side //= 2
        layers.append(nn.ReLU())
        channels = filters
    layers.append(nn.Flatten())
    width = channels * side * side
    for units in architecture.hidden:
        layers.append(nn.Linear(width, units, bias=not architecture.batch_norm))
        if architecture.batch_norm:
            layers.append(nn.BatchNorm1d(units))
        layers.append(nn.ReLU())
        if dropout_hidden:
            layers.append(Dropout(dropout_hidden))
        width = units
    layers.append(nn.Linear(width, 7))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def pools(number: int, blocks: int) -> bool:
    """True if block ``number`` (from 1) of ``blocks`` ends in a pooling: 48 allows five halvings.

    With more than five blocks those that go without are the ones just before the last.
    """
    return number <= 4 or number == blocks


def parameters(model: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def layer_table(architecture: Architecture) -> list[dict]:
    """One row a layer with weights: name, output (shape), parameters, multiply_adds for one image.

    Batch normalisation is counted with its layer; its multiply-adds are not (it folds into the
    weights once trained). Introduced in notebook 04.
    """
    model = build(architecture).eval()
    rows, x = [], torch.zeros(1, 1, SIZE, SIZE)
    for layer in model:
        x = layer(x)
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            positions, name = 1, "fully connected"
            if x.ndim == 4:
                positions, name = x[0, 0].numel(), "convolution {}×{}".format(*layer.kernel_size)
            work = layer.weight.numel() * positions
            row = dict(layer=name, output=tuple(x.shape[1:]), parameters=0, multiply_adds=work)
            rows.append(row)
        if rows:
            rows[-1]["parameters"] += parameters(layer)
    return rows


def multiply_adds(architecture: Architecture) -> int:
    """Multiplications (each with its addition) that one image takes in all layers.

    Introduced in notebook 05.
    """
    return sum(row["multiply_adds"] for row in layer_table(architecture))
