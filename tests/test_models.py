"""Networks have the sizes that a hand count gives, and blocks compute what the paper describes."""

from dataclasses import dataclass

import numpy as np
import patterns
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer_utils import activations, models, recipes, runs, training
from fer_utils.models import (
    ARCHITECTURES,
    Architecture,
    Compact,
    Dropout,
    Plain,
    ShufflePixels,
    build,
)
from fer_utils.recipes import Recipe, recipe
from fer_utils.runs import Job

# Counted by hand. A convolution has kernel² × channels in × filters weights and no bias, because
# batch normalisation brings one (and a factor): 2 × filters. It multiplies each weight once a
# position of its map: 48², 24², 12², 6², 3². The last layer has 7 biases.
C3, C5 = 9, 25
PARAMETERS = {
    "fully_connected": 2304 * 7 + 7,
    "hidden_layer": 2304 * 2064 + 2 * 2064 + 2064 * 7 + 7,
    "shallow": (C3 * 32 + 2 * 32)
    + (C5 * 32 * 64 + 2 * 64)
    + (64 * 12 * 12 * 512 + 2 * 512)
    + (512 * 7 + 7),
    "deep": (C3 * 64 + 2 * 64)
    + (C5 * 64 * 128 + 2 * 128)
    + (C3 * 128 * 512 + 2 * 512)
    + (C3 * 512 * 512 + 2 * 512)
    + (512 * 3 * 3 * 256 + 2 * 256)
    + (256 * 512 + 2 * 512)
    + (512 * 7 + 7),
    "deeper": (C3 * 64 + 2 * 64)
    + (C5 * 64 * 128 + 2 * 128)
    + (C3 * 128 * 256 + 2 * 256)
    + (C3 * 256 * 512 + 2 * 512)
    + (C3 * 512 * 512 + 2 * 512)
    + (512 * 256 + 2 * 256)
    + (256 * 512 + 2 * 512)
    + (512 * 7 + 7),
    "deeper_256_last": (C3 * 64 + 2 * 64)
    + (C5 * 64 * 128 + 2 * 128)
    + (C3 * 128 * 512 + 2 * 512)
    + (C3 * 512 * 512 + 2 * 512)
    + (C3 * 512 * 256 + 2 * 256)
    + (256 * 256 + 2 * 256)
    + (256 * 512 + 2 * 512)
    + (512 * 7 + 7),
    "compact": (16 * 32 + 2 * 32)
    + (C3 * 32 * 64 + C3 * 64 * 64 + 4 * 64)
    + (C3 * 64 * 192 + C3 * 192 * 192 + 4 * 192)
    + (C3 * 192 * 384 + C3 * 384 * 384 + 4 * 384)
    + (384 * 7 + 7),
}
MULTIPLY_ADDS = {
    "fully_connected": 2304 * 7,
    "hidden_layer": 2304 * 2064 + 2064 * 7,
    "shallow": C3 * 32 * 48**2 + C5 * 32 * 64 * 24**2 + 64 * 12 * 12 * 512 + 512 * 7,
    "deep": C3 * 64 * 48**2
    + C5 * 64 * 128 * 24**2
    + C3 * 128 * 512 * 12**2
    + C3 * 512 * 512 * 6**2
    + 512 * 3 * 3 * 256
    + 256 * 512
    + 512 * 7,
    "deeper": C3 * 64 * 48**2
    + C5 * 64 * 128 * 24**2
    + C3 * 128 * 256 * 12**2
    + C3 * 256 * 512 * 6**2
    + C3 * 512 * 512 * 3**2
    + 512 * 256
    + 256 * 512
    + 512 * 7,
    "deeper_256_last": C3 * 64 * 48**2
    + C5 * 64 * 128 * 24**2
    + C3 * 128 * 512 * 12**2
    + C3 * 512 * 512 * 6**2
    + C3 * 512 * 256 * 3**2
    + 256 * 256
    + 256 * 512
    + 512 * 7,
    "compact": 16 * 32 * 24**2
    + (C3 * 32 * 64 * 24**2 + C3 * 64 * 64 * 12**2)
    + (C3 * 64 * 192 * 12**2 + C3 * 192 * 192 * 6**2)
    + (C3 * 192 * 384 * 6**2 + C3 * 384 * 384 * 3**2)
    + 384 * 7,
}
# A convolution of side k adds (k - 1) steps of its map, a pooling one step; a step is 1 pixel and
# doubles with each pooling.
FIELDS = {
    "fully_connected": 1,
    "hidden_layer": 1,
    "shallow": 1 + (2 + 1) + 2 * (4 + 1),
    "deep": 1 + (2 + 1) + 2 * (4 + 1) + 4 * (2 + 1) + 8 * (2 + 1),
    "deeper": 1 + (2 + 1) + 2 * (4 + 1) + 4 * (2 + 1) + 8 * (2 + 1) + 16 * (2 + 1),
    "deeper_256_last": 1 + (2 + 1) + 2 * (4 + 1) + 4 * (2 + 1) + 8 * (2 + 1) + 16 * (2 + 1),
    "compact": 1 + 3 + (2 * 2 + 2 + 4 * 2) + (4 * 2 + 4 + 8 * 2) + (8 * 2 + 8 + 16 * 2),
    # Two blocks of two convolutions a stage; the first convolution of a stage still has the step
    # of the stage before. Shortcuts see less.
}


# ---------------------------------------------------------------- sizes


def test_every_architecture_is_counted_by_hand():
    assert set(PARAMETERS) == set(MULTIPLY_ADDS) == set(FIELDS) == set(ARCHITECTURES)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_and_multiply_adds_equal_the_hand_count(name):
    rows = models.layer_table(ARCHITECTURES[name])
    assert models.parameters(build(ARCHITECTURES[name])) == PARAMETERS[name]
    assert sum(row["parameters"] for row in rows) == PARAMETERS[name]
    assert models.multiply_adds(ARCHITECTURES[name]) == MULTIPLY_ADDS[name]


def test_the_counts_that_the_series_quotes():
    millions = [PARAMETERS[name] / 1e6 for name in ("shallow", "deep", "deeper", "deeper_256_last")]
    assert millions == pytest.approx([4.77, 4.47, 4.30, 4.53], abs=0.01)
    assert [round(MULTIPLY_ADDS[name] / 1e6) for name in ("shallow", "deep", "deeper")] == [
        35,
        290,
        226,
    ]
    # "Is it convolution, or just more weights?" needs two networks of one size.
    compact = PARAMETERS["compact"] / 1e6, MULTIPLY_ADDS["compact"] / 1e6
    assert (round(compact[0], 1), round(compact[1], -1)) == (2.5, 80)
    assert PARAMETERS["hidden_layer"] == pytest.approx(PARAMETERS["shallow"], rel=0.001)


def test_the_layer_table_of_shallow():
    rows = models.layer_table(ARCHITECTURES["shallow"])
    assert [(row["layer"], row["output"]) for row in rows] == [
        ("convolution 3×3", (32, 48, 48)),
        ("convolution 5×5", (64, 24, 24)),
        ("fully connected", (512,)),
        ("fully connected", (7,)),
    ]
    assert rows[0]["multiply_adds"] == 288 * 2304


@pytest.mark.parametrize("name", FIELDS)
def test_the_receptive_field_equals_the_hand_count(name):
    assert models.receptive_field(ARCHITECTURES[name]) == FIELDS[name]


@pytest.mark.parametrize(("blocks", "side"), [(1, 4), (2, 10), (3, 22)])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_receptive_field_of_small_kernels(blocks, side, batch_norm):
    assert models.receptive_field(Plain(((4, 3),) * blocks, batch_norm=batch_norm)) == side


def test_the_receptive_field_does_not_depend_on_chance():
    """A bias that a network starts with could close every ReLU."""
    narrow = Plain(((1, 1), (1, 1), (1, 1)), batch_norm=False)
    for seed in range(20):
        torch.manual_seed(seed)
        assert models.receptive_field(narrow) == 8


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_become_seven_finite_logits(name):
    model = build(ARCHITECTURES[name], 0.1, 0.5)
    x = torch.rand(3, 1, 48, 48)
    for mode in (model.train(), model.eval()):
        scores = mode(x)
        assert scores.shape == (3, 7) and scores.dtype == torch.float32
        assert torch.isfinite(scores).all()


def test_a_sixth_convolution_has_no_pool_of_its_own():
    six = Plain(((8, 3),) * 6, (16,))
    layers = [type(layer).__name__ for layer in build(six)]
    blocks = " ".join(layers).split("Conv2d ")[1:]
    assert ["MaxPool2d" in block for block in blocks] == [True] * 4 + [False, True]
    shapes = [row["output"] for row in models.layer_table(six)]
    assert shapes == [(8, side, side) for side in (48, 24, 12, 6, 3, 3)] + [(16,), (7,)]
    five = build(Plain(((8, 3),) * 5))
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in five) == 5


def test_without_batch_norm_layers_have_a_bias_instead():
    plain = build(Plain(((4, 3),), (5,), batch_norm=False))
    assert not any(isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) for layer in plain)
    assert models.parameters(plain) == (9 * 4 + 4) + (4 * 24 * 24 * 5 + 5) + (5 * 7 + 7)


def test_dropout_stands_where_the_recipe_asks_for_it():
    both = build(Plain(((4, 3),), (5,)), 0.1, 0.5)
    assert [layer.p for layer in both if isinstance(layer, Dropout)] == [0.1, 0.5]
    none = build(Plain(((4, 3),), (5,)))
    assert not any(isinstance(layer, Dropout) for layer in none)


# ---------------------------------------------------------------- the modern networks


def test_layers_whose_result_is_added_by_hand():
    torch.manual_seed(0)
    added, x = (
        models.Added(nn.Conv2d(5, 5, 3, padding=1), nn.BatchNorm2d(5)).eval(),
        torch.randn(2, 5, 8, 8),
    )
    with torch.no_grad():
        added[1].running_mean.normal_()  # statistics that norm by other than 1
        added[1].running_var.uniform_(0.5, 2)
        by_hand = (x + added[1](F.conv2d(x, added[0].weight, added[0].bias, padding=1))).relu()
        assert torch.allclose(added(x), by_hand, atol=1e-6)
        assert not torch.allclose(by_hand, x.relu(), atol=0.1)


def test_a_group_of_compact():
    layers = [type(layer).__name__ for layer in Compact((8,)).layers(0, 0)]
    group = ["Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU", "Added"]
    end = ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert layers == ["Conv2d", "BatchNorm2d", "ReLU", *group, *end]


SIDES = {"compact": [24, 12, 12, 6, 6, 3, 3]}


@pytest.mark.parametrize("name, sides", SIDES.items())
def test_the_modern_networks_record_their_blocks(name, sides):
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48), dtype=np.uint8)
    recorded = activations.record(build(ARCHITECTURES[name]), images)
    assert list(recorded) == [f"block {number}" for number in range(1, 1 + len(sides))]
    assert [output.shape[-1] for output in recorded.values()] == sides
    # Layers that work in place must not change what was recorded before.
    network = build(ARCHITECTURES[name]).eval()
    again, ends = activations.record(network, images), activations.blocks(network)
    x = torch.from_numpy(images)[:, None] / 255
    with torch.no_grad():
        for layer in network:
            x = layer(x)
            for found in [key for key, end in ends.items() if end is layer]:
                assert torch.allclose(again[found], x, atol=1e-5)


# ---------------------------------------------------------------- the block


def run_block(layers, x):
    """Output, gradient of the input and of all weights of one training step, same dropout mask."""
    x = x.clone(memory_format=torch.channels_last).requires_grad_()
    torch.manual_seed(5)
    out = nn.Sequential(*layers)(x)
    weights = [parameter for layer in layers for parameter in layer.parameters()]
    towards = torch.linspace(-1, 1, out.numel()).view(out.shape)
    return out, torch.autograd.grad((out * towards).sum(), [x, *weights])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_relu_after_pooling_equals_relu_after_batch_norm(training, batch_norm):
    """Ours computes it where a quarter of the values are left (§3: conv, BN, dropout, pool)."""
    torch.manual_seed(1)
    ours = build(Plain(((6, 3),), batch_norm=batch_norm), dropout_convolution=0.3)[:-2]
    ours = list(ours.train(training))
    names = ["Conv2d", *["BatchNorm2d"] * batch_norm, "Dropout", "MaxPool2d", "ReLU"]
    assert [type(layer).__name__ for layer in ours] == names
    *before, dropout, pool, relu = ours
    x = torch.randn(4, 1, 48, 48)
    out, gradients = run_block(ours, x)
    reference, reference_gradients = run_block([*before, relu, dropout, pool], x)
    assert torch.equal(out, reference)
    assert (out > 0).any() and (out == 0).any()
    for mine, theirs in zip(gradients, reference_gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    if training:  # the mask mattered
        assert not torch.equal(out, run_block([*before, pool, relu], x)[0])


def test_dropout_and_pooling_do_not_commute():
    x = torch.randn(4, 6, 48, 48)
    dropout, pool = Dropout(0.3).train(), nn.MaxPool2d(2)
    share = [(out == 0).float().mean() for out in (pool(dropout(x.abs())), dropout(pool(x.abs())))]
    assert share[0] < 0.05 < 0.25 < share[1]


# ---------------------------------------------------------------- dropout, shuffled pixels


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_dropout_keeps_the_expectation_and_drops_its_share(p):
    torch.manual_seed(0)
    out = Dropout(p).train()(torch.ones(64, 16, 24, 24))
    share = round(p * 256) / 256
    n = out.numel()
    deviation = (share * (1 - share) / n) ** 0.5
    assert (out == 0).float().mean().item() == pytest.approx(share, abs=4 * deviation)
    assert out.mean().item() == pytest.approx(1, abs=4 * deviation / (1 - share))
    assert out.unique().tolist() == pytest.approx([0, 1 / (1 - share)])


def test_dropout_does_nothing_in_evaluation():
    x = torch.randn(5, 7)
    assert torch.equal(Dropout(0.5).eval()(x), x)


@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5, 7), (1, 1, 1, 1)])  # 15, 210 and 1 values
def test_dropout_equals_masking_by_hand(shape):
    x = torch.randn(shape, requires_grad=True)
    torch.manual_seed(3)
    out = Dropout(0.25).train()(x)
    torch.manual_seed(3)  # eight masks of a byte come out of each 64-bit draw
    draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None).numpy()
    kept = (draws.view(np.uint8)[: x.numel()] >= 64).reshape(shape)  # 64 of 256 are dropped
    by_hand = x * torch.from_numpy(kept) / 0.75
    torch.testing.assert_close(out, by_hand)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(gradient, torch.from_numpy(kept).float() / 0.75)


def test_dropout_keeps_channels_last():
    x = torch.randn(2, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    out = Dropout(0.5).train()(x)
    assert out.stride() == x.stride()
    assert torch.equal(out, torch.where(out == 0, 0, x * 2))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_masks_on_any_device(layout):
    """`meta` stands for a GPU: no numbers, but the same path through shapes, types and strides."""
    x = torch.empty(2, 3, 8, 8, device="meta").contiguous(memory_format=layout)
    out = Dropout(0.5).train()(x)
    assert (out.shape, out.stride(), out.dtype) == (x.shape, x.stride(), x.dtype)
    assert out.device.type == "meta"


def test_dropout_draws_anew_each_time():
    x = torch.ones(1000)
    dropout = Dropout(0.5).train()
    assert not torch.equal(dropout(x), dropout(x))


def test_shuffled_pixels_are_one_fixed_permutation():
    numbered = torch.arange(2304.0).view(1, 1, 48, 48)
    shuffled = ShufflePixels()(numbered)
    assert shuffled.shape == numbered.shape
    assert torch.equal(shuffled.flatten().sort().values, numbered.flatten())
    assert (shuffled == numbered).float().mean() < 0.01
    torch.manual_seed(123)
    assert torch.equal(ShufflePixels()(numbered), shuffled), "another network, the same order"
    two = ShufflePixels()(torch.cat([numbered, 2 * numbered]))
    assert torch.equal(two[0], shuffled[0]) and torch.equal(two[1], 2 * shuffled[0])


def test_shuffling_adds_nothing_to_the_weights():
    shuffled = build(Plain(((4, 3),), shuffle_pixels=True))
    assert isinstance(shuffled[0], ShufflePixels)
    assert models.parameters(shuffled) == models.parameters(build(Plain(((4, 3),))))
    assert not any("order" in name for name in shuffled.state_dict())


# ---------------------------------------------------------------- a network of another kind


class Skip(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels):
        super().__init__()
        sizes = dict(padding="same", bias=False)
        self.path = nn.Sequential(
            nn.Conv2d(channels, channels, 3, **sizes),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, **sizes),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        return (x + self.path(x)).relu()


@dataclass(frozen=True)
class Residual(Architecture):
    """A convolution, blocks with a skip connection, the mean of each map."""

    filters: int
    blocks: int = 1

    def layers(self, dropout_convolution, dropout_hidden):
        first = nn.Conv2d(1, self.filters, 3, padding="same", bias=False)
        start = [first, nn.BatchNorm2d(self.filters), nn.MaxPool2d(2), nn.ReLU()]
        skips = [Skip(self.filters) for _ in range(self.blocks)]
        return [*start, *skips, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.filters, 7)]


@pytest.fixture
def residual(monkeypatch):
    """A residual network, known by its builder's name as any other."""
    monkeypatch.setitem(models.BUILDERS, "residual", Residual)
    return Residual(4)


def test_a_residual_network_is_counted_like_any(residual):
    assert models.layer_table(residual) == [
        dict(
            layer="convolution 3×3",
            output=(4, 48, 48),
            parameters=9 * 4 + 2 * 4,
            multiply_adds=9 * 4 * 48**2,
        ),
        *[
            dict(
                layer="convolution 3×3",
                output=(4, 24, 24),
                parameters=9 * 4 * 4 + 2 * 4,
                multiply_adds=9 * 4 * 4 * 24**2,
            )
        ]
        * 2,
        dict(layer="fully connected", output=(7,), parameters=4 * 7 + 7, multiply_adds=4 * 7),
    ]
    assert models.parameters(build(residual)) == 44 + 152 + 152 + 35
    assert models.multiply_adds(residual) == 9 * 4 * 48**2 + 2 * 9 * 4 * 4 * 24**2 + 4 * 7


@pytest.mark.parametrize(("blocks", "side"), [(1, 12), (2, 20)])
def test_the_receptive_field_of_a_residual_network(blocks, side):
    """4 after the first pooling; each block's two convolutions add 2 steps of 2 pixels each."""
    assert models.receptive_field(Residual(4, blocks)) == side


def test_a_residual_networks_parts_are_recorded(residual):
    network = build(residual).eval()
    assert list(activations.blocks(network)) == ["block 1", "block 2"]
    images = patterns.arrays()["images"][:5]
    recorded = activations.record(network, images)
    assert {tuple(output.shape) for output in recorded.values()} == {(5, 4, 24, 24)}
    skip = next(layer for layer in network if isinstance(layer, Skip))
    with torch.no_grad():
        by_hand = (recorded["block 1"] + skip.path(recorded["block 1"])).relu()
    torch.testing.assert_close(recorded["block 2"], by_hand)
    features = activations.features(network, images)
    assert {rows.shape for rows in features.values()} == {(5, 4 * 24 * 24)}


def test_a_residual_network_is_trained_kept_and_found_again(residual, home):
    faces = patterns.faces()
    made = Recipe(residual, "adam", 1e-2, 0.0, epochs=2, batch_size=32)
    assert recipes.from_identity(made.identity()) == made
    state = training.start(made, faces, seed=3)
    assert len(list(training.train(state, faces))) == 2
    assert [tuple(kept.shape) for kept in state.filters] == [(4, 3, 3)] * 3

    job = Job("residual-short", made, seed=3)
    first, again = (runs.train_all([job], faces)[0] for _ in range(2))
    assert (first.origin, again.origin) == ("trained now", "own run")
    assert again.job == job and again.filters.shape == (3, 4, 3, 3)
    for name, value in state.model.state_dict().items():
        assert torch.equal(value.cpu(), again.model().state_dict()[name].cpu()), name
    right = again.correct("validation", faces)
    assert right.mean() == pytest.approx(first.history[-1]["validation_accuracy"])


def test_a_model_is_added_in_two_places(residual, monkeypatch):
    monkeypatch.setitem(models.ARCHITECTURES, "residual", residual)
    with pytest.raises(ValueError, match="'residual'.*fully_connected.*deeper"):
        recipe("residual", "short", small=True)  # without its settings
    monkeypatch.setitem(recipes.SETTINGS, "residual", (1e-3, 0.0, 20, (4, 8)))
    assert recipe("residual", "seminar", small=True).learning_rate == 1e-3
    assert recipe("residual", "short", small=True).epochs == 8
    assert recipe("residual", "smoke", small=True).architecture == residual
