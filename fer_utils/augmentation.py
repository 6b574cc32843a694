"""Pictures varied by chance while training, each on its own, on the network's device.

Torchvision's transforms draw one number for a whole batch; picture by picture they take many times
as long. The tests compare each of these with torchvision's, picture by picture.
Introduced in notebook 11.
"""

import torch
from torch.nn import functional as F

from fer_utils.recipes import Recipe


def vary(x: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Turn, zoom, light and cut float32 [B, 1, 48, 48] in 0 … 1 as a recipe says, to the same.

    Without any of it x is returned and no random number is drawn.
    """
    if not (recipe.rotation or recipe.zoom or recipe.light or recipe.cut_out):
        return x
    x = turn(x, spread(recipe.rotation, x), 1 + spread(recipe.zoom, x))
    x = relight(x, 1 + spread(recipe.light, x), 1 + spread(recipe.light, x))
    room = x.shape[-1] - recipe.cut_out + 1  # places for a corner
    return cut_out(x, torch.randint(room, (2, len(x), 1), device=x.device), recipe.cut_out)


def spread(limit: float, x: torch.Tensor) -> torch.Tensor:
    """A number a picture, each as likely from -limit to limit, [B, 1, 1, 1]."""
    return limit * (2 * torch.rand(len(x), 1, 1, 1, device=x.device) - 1)


def turn(x: torch.Tensor, degrees: torch.Tensor, zoom: torch.Tensor) -> torch.Tensor:
    """Turn each picture clockwise and enlarge it by a factor, about its centre; both [B, 1, 1, 1].

    Values between pixels are interpolated; what was outside takes the nearest edge pixel.
    """
    # Where a pixel of the result comes from, so the inverse of what is done to the picture.
    cosine, sine = degrees.deg2rad().cos() / zoom, degrees.deg2rad().sin() / zoom
    source = F.pad(torch.stack([cosine, sine, -sine, cosine], 1).view(-1, 2, 2), (0, 1))
    grid = F.affine_grid(source, x.shape, align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def relight(x: torch.Tensor, contrast: torch.Tensor, brightness: torch.Tensor) -> torch.Tensor:
    """Each picture's contrast (about its mean), then its brightness, times a factor; both
    [B, 1, 1, 1].
    """
    x = torch.lerp(x.mean((1, 2, 3), keepdim=True), x, contrast).clamp(0, 1)
    return (x * brightness).clamp(0, 1)


def cut_out(x: torch.Tensor, corners: torch.Tensor, side: int) -> torch.Tensor:
    """Each picture with its mean in a square of it (DeVries and Taylor 2017), whose first row and
    first column are in corners, int64 [2, B, 1].
    """
    into = torch.arange(x.shape[-1], device=x.device) - corners  # [2, B, 48]
    rows, columns = (into >= 0) & (into < side)
    square = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.where(square, x.mean((1, 2, 3), keepdim=True), x)
