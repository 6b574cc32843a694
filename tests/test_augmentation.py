"""Each picture is varied on its own, as torchvision would vary that one, and stays itself."""

from dataclasses import replace

import patterns
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as theirs

from fer_utils import augmentation
from fer_utils.augmentation import cut_out, relight, spread, turn, vary

NOTHING = replace(patterns.RECIPE, mirror=False, shift=0)
CHOICES = dict(rotation=12.0, zoom=0.15, light=0.2, cut_out=14)
each_choice = pytest.mark.parametrize("name", CHOICES)


def pictures(count=12):
    """Smooth pictures without a symmetry, float32 [count, 1, 48, 48] in 0 … 1."""
    drawn = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(drawn, 48, mode="bicubic").clamp(0, 1)


# ---------------------------------------------------------------- against torchvision


@pytest.mark.parametrize("degrees", [0.0, -12.0, 7.5, 90.0])
@pytest.mark.parametrize("zoom", [1.0, 0.85, 1.15])
def test_turned_and_zoomed_as_torchvisions_affine(degrees, zoom):
    """Theirs fills what was outside with a constant: padded with its edge, it sees the same."""
    x = pictures()
    ours = turn(x, torch.full((12, 1, 1, 1), degrees), torch.full((12, 1, 1, 1), zoom))
    for one, expected in zip(ours, x, strict=True):
        wide = theirs.pad(expected, [48] * 4, padding_mode="edge")
        moved = dict(angle=degrees, translate=[0, 0], scale=zoom, shear=[0.0, 0.0])
        made = theirs.affine(wide, interpolation=InterpolationMode.BILINEAR, **moved)
        assert torch.allclose(one, theirs.center_crop(made, [48, 48]), atol=1e-4)


def test_each_picture_takes_its_own_angle_and_zoom():
    x, degrees, zoom = pictures(3), [10.0, -5, 0], [1.1, 1, 0.9]
    degrees, zoom = (torch.tensor(each).view(3, 1, 1, 1) for each in (degrees, zoom))
    together = turn(x, degrees, zoom)
    for number in range(3):
        alone = turn(*(part[number : number + 1] for part in (x, degrees, zoom)))
        assert torch.allclose(together[number], alone[0], atol=1e-6)


def test_a_picture_that_is_not_turned_stays():
    x = pictures()
    assert torch.allclose(turn(x, torch.zeros(12, 1, 1, 1), torch.ones(12, 1, 1, 1)), x, atol=1e-5)


def test_light_as_torchvisions_contrast_then_brightness():
    x, contrast, brightness = pictures(), torch.linspace(0.5, 1.6, 12), torch.linspace(1.5, 0.5, 12)
    ours = relight(x, contrast.view(-1, 1, 1, 1), brightness.view(-1, 1, 1, 1))
    for one, expected, c, b in zip(ours, x, contrast.tolist(), brightness.tolist(), strict=True):
        made = theirs.adjust_brightness(theirs.adjust_contrast(expected, c), b)
        assert torch.allclose(one, made, atol=1e-6)
    assert (ours == 1).any(), "too bright is white"


def test_cut_out_as_torchvisions_erase():
    x, top, left = pictures(), torch.arange(12)[:, None] * 3, 34 - torch.arange(12)[:, None]
    ours = cut_out(x, torch.stack([top, left]), 14)
    for one, picture, i, j in zip(ours, x, top, left, strict=True):
        made = theirs.erase(picture, int(i), int(j), 14, 14, picture.mean().view(1, 1, 1))
        assert torch.equal(one, made)


# ---------------------------------------------------------------- by chance


def test_without_a_choice_nothing_changes_and_nothing_is_drawn():
    x, before = pictures(), torch.get_rng_state()
    assert vary(x, NOTHING) is x
    assert torch.equal(torch.get_rng_state(), before)


@each_choice
def test_each_picture_is_varied_on_its_own(name):
    same = pictures(1).expand(64, 1, 48, 48)
    torch.manual_seed(0)
    made = vary(same, replace(NOTHING, **{name: CHOICES[name]}))
    assert made.shape == same.shape and made.dtype == torch.float32
    assert 0 <= made.min() and made.max() <= 1
    assert len(made.flatten(1).unique(dim=0)) > 50


@each_choice
def test_equal_seeds_vary_equally_and_others_otherwise(name):
    recipe, made = replace(NOTHING, **{name: CHOICES[name]}), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        made.append(vary(pictures(), recipe))
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


@each_choice
def test_a_varied_picture_is_nearer_to_itself_than_to_any_other(name):
    """Order and content stay, so that the labels do."""
    x = pictures()
    torch.manual_seed(0)
    made = vary(x, replace(NOTHING, **{name: CHOICES[name]}))
    assert torch.equal(torch.cdist(made.flatten(1), x.flatten(1)).argmin(1), torch.arange(12))


def test_numbers_are_spread_evenly_between_both_limits():
    torch.manual_seed(0)
    drawn = spread(12.0, torch.empty(20_000))
    counts = torch.histc(drawn, 8, -12, 12)
    assert counts.sum() == 20_000 and counts.min() > 0.9 * 2500


def test_rotation_zoom_and_light_take_the_recipes_limits(monkeypatch):
    asked = []
    monkeypatch.setattr(
        augmentation, "spread", lambda limit, x: asked.append(limit) or torch.zeros(len(x), 1, 1, 1)
    )
    vary(pictures(), replace(NOTHING, rotation=3.0, zoom=0.1, light=0.4))
    assert asked == [3.0, 0.1, 0.4, 0.4]


def test_a_cut_square_lies_anywhere_in_the_picture():
    """Of known size, set to the mean; each corner as likely."""
    x = torch.zeros(4000, 1, 48, 48)
    x[:, :, :, 24:] = 1.0
    torch.manual_seed(0)
    squares = vary(x, replace(NOTHING, cut_out=40))[:, 0] == 0.5
    assert (squares.sum((1, 2)) == 40 * 40).all()
    for first in (squares.any(2).int().argmax(1), squares.any(1).int().argmax(1)):
        values, counts = first.unique(return_counts=True)
        assert values.tolist() == list(range(9)) and counts.min() > 0.8 * 4000 / 9
