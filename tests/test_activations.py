"""What is recorded is what a forward pass by hand gives; a probe's features have their size."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_utils import activations
from fer_utils.models import Plain, build

TINY = Plain(((4, 3), (6, 3)), (8,))


@pytest.fixture
def tiny():
    """Two blocks and a hidden layer whose batch normalisation has seen something, in eval mode."""
    torch.manual_seed(0)
    network = build(TINY, dropout_convolution=0.5, dropout_hidden=0.5)
    with torch.no_grad():
        network(torch.rand(16, 1, 48, 48))
    return network.eval()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)


# ---------------------------------------------------------------- outputs


def test_recorded_outputs_equal_a_forward_pass_by_hand(tiny, images):
    x, by_hand = torch.from_numpy(images)[:, None] / 255, []
    with torch.no_grad():
        for layer in tiny:
            x = layer(x)
            if isinstance(layer, nn.ReLU):
                by_hand.append(x)
    recorded = activations.record(tiny, images)
    assert list(recorded) == ["block 1", "block 2", "hidden 1"]
    for ours, theirs in zip(recorded.values(), by_hand, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_first_value_equals_convolution_norm_pooling_and_relu(tiny, images):
    convolution, norm = tiny[0], tiny[1]
    pixels = torch.from_numpy(images[0, 9:13, 9:13]) / 255  # what map value [5, 5] sees
    sums = torch.stack(
        [
            (pixels[i : i + 3, j : j + 3] * convolution.weight[2, 0]).sum()
            for i in (0, 1)
            for j in (0, 1)
        ]
    )
    deviation = (norm.running_var[2] + norm.eps).sqrt()
    value = (norm.weight[2] * (sums - norm.running_mean[2]) / deviation + norm.bias[2]).max()
    recorded = activations.record(tiny, images)["block 1"][0, 2, 5, 5]
    assert torch.isclose(value.relu(), recorded, atol=1e-5)


def test_parts_of_a_network_without_hidden_layers_and_of_one_without_blocks():
    assert list(activations.blocks(build(Plain(((4, 3),))))) == ["block 1"]
    assert list(activations.blocks(build(Plain(hidden=(8, 9))))) == ["hidden 1", "hidden 2"]
    assert activations.blocks(build(Plain())) == {}


def test_a_layer_that_holds_layers_ends_a_part():
    """As a residual block does; what stands in it is not a part of its own."""
    inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU())
    head = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    first = [nn.Conv2d(1, 4, 3), nn.ReLU()]
    rest = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), head, nn.Linear(8, 7)]
    ends = activations.blocks(nn.Sequential(*first, inner, *rest))
    assert ends == {"block 1": first[1], "block 2": inner, "hidden 1": head}


def test_recording_turns_dropout_off(tiny, images):
    tiny.train()
    once, again = (activations.record(tiny, images)["hidden 1"] for _ in range(2))
    assert torch.equal(once, again)
    assert not tiny.training


def test_outputs_carry_no_gradient(tiny, images):
    recorded = activations.record(tiny, images)
    assert not any(output.requires_grad for output in recorded.values())


# ---------------------------------------------------------------- a probe's features


def test_pooling_averages_the_cells_of_a_grid():
    output = torch.arange(16.0).view(1, 1, 4, 4)
    assert activations.pooled(output, numbers=4).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert activations.pooled(output, numbers=8).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    assert torch.equal(activations.pooled(output, numbers=100), output.flatten(1))


@pytest.mark.parametrize(
    "maps, side, values",
    [
        (64, 24, 64 * 6**2),
        (32, 24, 32 * 8**2),
        (512, 3, 512 * 2**2),
        (512, 1, 512),
        (3000, 3, 3000),
    ],
)
def test_pooled_size(maps, side, values):
    assert activations.pooled(torch.rand(2, maps, side, side)).shape == (2, values)


def test_hidden_units_stay():
    units = torch.rand(2, 4000)
    assert torch.equal(activations.pooled(units), units)


def test_features_have_one_row_an_image_and_do_not_depend_on_batches(tiny, images):
    features = activations.features(tiny, images)
    shapes = {name: rows.shape for name, rows in features.items()}
    assert shapes == {"block 1": (5, 4 * 24**2), "block 2": (5, 6 * 12**2), "hidden 1": (5, 8)}
    by_two = activations.features(tiny, images, batch_size=2)
    for name, rows in features.items():
        assert rows.dtype == np.float32
        assert np.allclose(rows, by_two[name], atol=1e-5)
