"""What the layers of a network make of an image, and pooled features for a probe.

Introduced in notebook 10 (seminar §5–6, Figure 11).
"""

import numpy as np
import torch
from torch import nn

from fer_utils.evaluation import device_of, scaled
from fer_utils.models import SIZE


def blocks(model: nn.Sequential) -> dict[str, nn.Module]:
    """The layer that ends each part of a network of `models.build`.

    It is a ReLU, or holds layers of its own, as a residual block does. Keys in order: `block 1` …
    before the maps are flattened, `hidden 1` … after.
    Introduced in notebook 10.
    """
    ends, count, kind = {}, {"block": 0, "hidden": 0}, "block"
    for layer in model:
        if isinstance(layer, nn.Flatten):
            kind = "hidden"
        elif isinstance(layer, nn.ReLU) or list(layer.children()):
            count[kind] += 1
            ends[f"{kind} {count[kind]}"] = layer
    return ends


@torch.no_grad()
def record(model: nn.Sequential, images) -> dict[str, torch.Tensor]:
    """Outputs of all `blocks`, float32 [n, maps, side, side] or [n, units], on the CPU.

    images: uint8 [n, 48, 48]. Runs in evaluation mode and leaves the model in it.
    Introduced in notebook 10.
    """
    names = {layer: name for name, layer in blocks(model.eval()).items()}
    x, outputs = scaled(images, device_of(model)), {}
    for layer in model:
        x = layer(x)
        if layer in names:
            outputs[names[layer]] = x.cpu()
    return outputs


def pooled(output: torch.Tensor, numbers: int = SIZE * SIZE) -> torch.Tensor:
    """Maps [n, maps, side, side] to at most `numbers` values an image, [n, values].

    Each map is averaged over the cells of the finest square grid that fits (cells overlap where
    they do not divide the side), never finer than the map; with more maps than `numbers` one
    mean a map is left. Units [n, u] stay.
    """
    if output.ndim == 4:
        grid = max(1, int((numbers / output.shape[1]) ** 0.5))
        output = nn.functional.adaptive_avg_pool2d(output, min(grid, output.shape[-1]))
    return output.flatten(1)


def features(model: nn.Sequential, images, batch_size: int = 250) -> dict[str, np.ndarray]:
    """`pooled` outputs of all `blocks`, name to float32 [n, at most 2,304].

    images: uint8 [n, 48, 48]; as many as fit in memory pooled, for they pass in batches.
    Introduced in notebook 10.
    """
    batches = torch.as_tensor(images).split(batch_size)
    parts = [{name: pooled(out) for name, out in record(model, b).items()} for b in batches]
    return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
