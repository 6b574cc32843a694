"""The one loop: it learns, equals the loop by hand, resumes exactly, and its numbers stay."""

import io
import math
from dataclasses import replace

import numpy as np
import patterns
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fer_utils import data, evaluation, runs, training
from fer_utils.evaluation import device_of
from fer_utils.models import Compact, Plain, build
from fer_utils.recipes import Recipe
from fer_utils.training import State, TrainingError, augment

CPU = torch.device("cpu")
PLAIN = replace(
    patterns.RECIPE,
    dropout_convolution=0.0,
    dropout_hidden=0.0,
    mirror=False,
    shift=0,
    label_smoothing=0.0,
    schedule="constant",
    optimizer="adam",
    weight_decay=0.0,
)


@pytest.fixture(autouse=True)
def one_thread():
    with patterns.one_thread():
        yield


@pytest.fixture(scope="module")
def faces():
    return patterns.faces()


def begin(recipe, faces, seed=1):
    return training.start(recipe, faces, seed, CPU)


def trained(recipe, faces, seed=1):
    state = begin(recipe, faces, seed)
    for _ in training.train(state, faces):
        pass
    return state


def without_seconds(history):
    return [{name: row[name] for name in row if name != "seconds"} for row in history]


def assert_same_weights(one, other):
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name


# ---------------------------------------------------------------- augmentation


def columns_and_rows(count):
    """Two batches whose pixels tell which column, and which row, they come from."""
    column = torch.arange(48, dtype=torch.uint8).expand(count, 48, 48)
    return column, column.transpose(1, 2)


@pytest.mark.parametrize("axis", [0, 1])
def test_shift_moves_each_image_by_its_own_number_of_pixels(axis):
    torch.manual_seed(0)
    out = augment(columns_and_rows(2000)[axis], mirror=False, shift=3)
    assert out.dtype == torch.uint8 and out.shape == (2000, 48, 48)
    moved = out[:, 24, 24].int() - 24
    values, counts = moved.unique(return_counts=True)
    assert values.tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert counts.min() > 2000 / 7 * 0.75, "each as often as the others"
    # The whole image moves as one, and the edge pixel fills what is uncovered.
    expected = (torch.arange(48) + moved[:, None]).clamp(0, 47)
    along = out[:, 24, :] if axis == 0 else out[:, :, 24]
    assert torch.equal(along.int(), expected.int())


def test_rows_and_columns_shift_independently():
    numbered = (torch.arange(16)[:, None] * 16 + torch.arange(16)).to(torch.uint8)
    torch.manual_seed(0)
    out = augment(numbered.expand(1000, 16, 16), mirror=False, shift=2)
    assert len(out[:, 8, 8].unique()) == 25


def test_mirror_flips_each_image_or_not():
    column, row = columns_and_rows(1000)
    torch.manual_seed(0)
    out = augment(column, mirror=True, shift=0)
    flipped = (out == column.flip(2)).all(2).all(1)
    assert torch.equal(out[~flipped], column[~flipped])
    assert flipped.float().mean() == pytest.approx(0.5, abs=0.07)
    assert torch.equal(augment(row, mirror=True, shift=0), row), "never upside down"


def test_one_draw_does_not_serve_the_whole_batch():
    """torchvision's transforms flip a batched tensor all at once."""
    same = torch.randint(0, 256, (48, 48), dtype=torch.uint8).expand(64, 48, 48)
    assert len(augment(same, mirror=True, shift=3).flatten(1).unique(dim=0)) > 20


def test_without_augmentation_images_stay_and_no_number_is_drawn():
    images = torch.randint(0, 256, (9, 48, 48), dtype=torch.uint8)
    before = torch.get_rng_state()
    assert torch.equal(augment(images, mirror=False, shift=0), images)
    assert torch.equal(torch.get_rng_state(), before)


# ---------------------------------------------------------------- the loop


def test_the_loop_overfits_32_images():
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 48)).astype(np.uint8)
    few = patterns.arrays({"train": 32, "validation": 7, "test": 7})
    few["images"][:32] = noise  # nothing to understand, all to remember
    recipe = replace(PLAIN, epochs=40, batch_size=16, learning_rate=1e-2)
    rows = trained(
        recipe, patterns.faces({"train": 32, "validation": 7, "test": 7}, images=few["images"])
    ).history
    assert rows[0]["train_loss"] > 1 > 0.05 > rows[-1]["train_loss"]
    assert rows[-1]["train_accuracy"] == 1.0
    assert rows[-1]["validation_accuracy"] < 0.6


def test_the_tiny_recipe_learns_what_it_was_not_shown(faces):
    rows = trained(replace(PLAIN, epochs=8), faces).history
    assert rows[-1]["validation_accuracy"] > 0.9


def test_the_loop_by_hand_equals_the_shared_one(faces):
    """What notebook 03 writes out, with torch's own layers and optimiser and nothing of ours."""
    recipe = replace(PLAIN, architecture=Plain(), learning_rate=1e-3, epochs=3)
    shared = trained(recipe, faces, seed=7)

    pixels, labels = (torch.from_numpy(array) for array in faces.split("train"))
    torch.manual_seed(7)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48 * 48, 7))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for epoch in (1, 2, 3):
        torch.manual_seed(7 * 100_003 + epoch)
        order = torch.randperm(168)
        for first in range(0, 160, 32):  # the last 8 do not fill a batch
            batch = order[first : first + 32]
            loss = F.cross_entropy(model(pixels[batch][:, None] / 255), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(F.cross_entropy(model(pixels[:, None] / 255), labels).item())

    assert [row["train_loss"] for row in shared.history] == pytest.approx(losses, rel=1e-5)
    for mine, theirs in zip(model.parameters(), shared.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_row_an_epoch_with_plain_losses(faces):
    state = trained(patterns.RECIPE, faces)
    assert [row["epoch"] for row in state.history] == [1, 2, 3, 4]
    last = state.history[-1]
    assert list(last) == [
        "epoch",
        "learning_rate",
        "seconds",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "validation_recall",
    ]
    for split, prefix in (("train", "train"), ("validation", "validation")):
        images, labels = faces.split(split)  # fewer than 3,589: all are watched
        probabilities = evaluation.predict(state.model, images)
        loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        accuracy = (probabilities.argmax(1) == labels).mean()
        assert last[f"{prefix}_loss"] == pytest.approx(loss, rel=1e-4)
        assert last[f"{prefix}_accuracy"] == pytest.approx(accuracy)
    recall = evaluation.metrics(labels, probabilities.argmax(1))["recall"]
    assert last["validation_recall"] == pytest.approx(recall)  # the last split above


def test_filters_are_kept_from_before_the_first_epoch_on(faces):
    state = trained(patterns.RECIPE, faces)
    assert [tuple(kept.shape) for kept in state.filters] == [(4, 3, 3)] * 5
    assert torch.equal(state.filters[0], begin(patterns.RECIPE, faces).model[0].weight[:, 0])
    assert torch.equal(state.filters[-1], state.model[0].weight[:, 0])
    assert not torch.equal(state.filters[0], state.filters[1])
    assert begin(replace(PLAIN, architecture=Plain()), faces).filters == []


def test_one_cycle_rises_for_a_quarter_and_ends_near_zero(faces):
    history = trained(replace(patterns.RECIPE, epochs=8), faces).history
    rates = [row["learning_rate"] for row in history]
    peak = patterns.RECIPE.learning_rate
    assert max(rates) == pytest.approx(peak, rel=0.05) and rates.index(max(rates)) == 1
    assert rates[0] < 0.8 * peak and rates[-1] < 0.01 * peak
    constant = trained(replace(PLAIN, epochs=2), faces).history
    assert {row["learning_rate"] for row in constant} == {peak}


def test_seed_decides_weights_and_order(faces):
    assert_same_weights(trained(patterns.RECIPE, faces), trained(patterns.RECIPE, faces))
    one, other = begin(patterns.RECIPE, faces, 1), begin(patterns.RECIPE, faces, 2)
    assert not torch.equal(one.model[0].weight, other.model[0].weight)


def test_train_images_takes_so_many_with_the_classes_in_proportion(faces, monkeypatch):
    """Seen by the loss, which is made for the images that are trained on."""
    seen, made = [], training.loss_function
    monkeypatch.setattr(
        training, "loss_function", lambda r, counts: seen.append(counts) or made(r, counts)
    )
    trained(replace(PLAIN, epochs=1, train_images=70), faces)
    trained(replace(PLAIN, epochs=1, train_images=9999), faces)
    assert [counts.tolist() for counts in seen] == [[10] * 7, [24] * 7]


def test_fewer_images_than_a_batch_make_one_step_an_epoch():
    small = patterns.faces({"train": 14, "validation": 7, "test": 7})
    assert len(trained(replace(patterns.RECIPE, epochs=2), small).history) == 2


# ---------------------------------------------------------------- which images

UNEQUAL = np.repeat(np.arange(7), [80, 4, 30, 90, 20, 10, 6])  # the classes of 240 images


def seen_labels(monkeypatch, recipe, labels=UNEQUAL, epochs=1):
    """The labels that the loss saw, [steps, batch], one epoch after the other."""
    counts = {"train": len(labels), "validation": 7, "test": 7}
    faces = patterns.faces(counts, labels=np.r_[labels, np.arange(14) % 7])
    seen, made = [], training.loss_function

    def watched(recipe, counts):
        loss = made(recipe, counts)
        return lambda scores, labels: seen.append(labels) or loss(scores, labels)

    monkeypatch.setattr(training, "loss_function", watched)
    trained(replace(PLAIN, epochs=epochs, **recipe), faces)
    return torch.stack(seen)


def test_balanced_sampling_shows_each_class_as_often(monkeypatch):
    seen = seen_labels(monkeypatch, dict(sampling="balanced", batch_size=240), epochs=20)
    assert seen.shape == (20, 240), "as many images an epoch as without"
    counts = torch.bincount(seen.flatten(), minlength=7)
    expected = 20 * 240 / 7
    assert counts.tolist() == pytest.approx([expected] * 7, abs=4.5 * expected**0.5)
    assert not torch.equal(seen[0], seen[1])


def test_under_sampling_takes_as_many_of_each_class_as_of_the_smallest_and_as_many_steps():
    labels, recipe = torch.from_numpy(UNEQUAL), replace(PLAIN, sampling="under")
    epochs = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        epochs.append(training.drawn(labels, recipe))
    assert [len(order) for order in epochs] == [240, 240]
    assert not torch.equal(*epochs)
    taken = [order.unique() for order in epochs]
    assert torch.equal(*taken), "always the same images"
    first = [(labels == label).nonzero()[:4, 0] for label in range(7)]
    assert torch.equal(taken[0], torch.cat(first).sort().values)
    counts = torch.bincount(labels[epochs[0]], minlength=7)
    assert counts.tolist() == pytest.approx([240 / 7] * 7, abs=4.5 * (240 / 7) ** 0.5)


@pytest.mark.parametrize("sampling", ["balanced", "under"])
def test_a_class_without_images_is_never_drawn(sampling):
    labels = torch.tensor([0, 0, 0, 3, 3, 6])
    order = training.drawn(labels, replace(PLAIN, sampling=sampling))
    assert len(order) == 6 and set(labels[order].tolist()) <= {0, 3, 6}


@pytest.mark.parametrize("choice", [dict(rotation=12.0), dict(sampling="balanced")])
def test_what_a_recipe_varies_changes_the_training(faces, choice):
    one, other = trained(PLAIN, faces), trained(replace(PLAIN, **choice), faces)
    assert not torch.equal(one.model[0].weight, other.model[0].weight)
    assert other.history[-1]["train_loss"] < math.log(7)


# ---------------------------------------------------------------- bfloat16

HALF = replace(patterns.RECIPE, precision="bfloat16")


def test_bfloat16_learns_much_the_same_with_weights_and_losses_in_float32(faces):
    whole = replace(PLAIN, epochs=8)
    state, full = trained(replace(whole, precision="bfloat16"), faces), trained(whole, faces)
    assert {value.dtype for value in state.model.state_dict().values()} == {
        torch.float32,
        torch.int64,
    }  # int64: batch normalisation's number of batches
    assert not torch.equal(state.model[0].weight, full.model[0].weight)
    assert state.history[-1]["validation_accuracy"] > 0.9
    first, expected = (made.history[0]["train_loss"] for made in (state, full))
    assert first == pytest.approx(expected, rel=0.02)


def test_bfloat16_is_for_the_training_alone(faces):
    state = trained(HALF, faces)
    images, labels = faces.split("validation")
    chances = evaluation.predict(state.model, images)[np.arange(len(labels)), labels]
    loss = -np.log(chances.astype(float)).mean()
    assert state.history[-1]["validation_loss"] == pytest.approx(loss, rel=1e-5)


def test_the_scores_of_a_bfloat16_step_have_eight_bits(faces):
    seen = []
    state = begin(HALF, faces)
    state.model.register_forward_hook(lambda *call: seen.append(call[-1]))
    next(training.train(state, faces))
    assert {scores.dtype for scores in seen} == {torch.bfloat16, torch.float32}
    assert seen[0].dtype == torch.bfloat16 and seen[-1].dtype == torch.float32


# ---------------------------------------------------------------- resuming


VARIED = replace(
    patterns.RECIPE,
    architecture=Compact((4, 8)),
    sampling="balanced",
    rotation=12.0,
    zoom=0.15,
    light=0.2,
    cut_out=14,
)


@pytest.mark.parametrize(
    ("epochs_before", "recipe"),
    [(1, patterns.RECIPE), (2, patterns.RECIPE), (3, patterns.RECIPE), (2, HALF), (2, VARIED)],
)
def test_resuming_is_bit_identical_to_not_stopping(faces, epochs_before, recipe):
    """With dropout, augmentation, batch norm, AdamW and one-cycle; through torch's own format."""
    whole = trained(recipe, faces)
    state = begin(recipe, faces)
    for _ in zip(range(epochs_before), training.train(state, faces)):
        pass
    torch.save(state.state_dict(), buffer := io.BytesIO())
    torch.rand(77)  # a new process stands elsewhere in the random stream
    resumed = begin(recipe, faces)
    buffer.seek(0)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert len(list(training.train(resumed, faces))) == 4 - epochs_before
    assert_same_weights(resumed, whole)
    assert without_seconds(resumed.history) == without_seconds(whole.history)
    assert all(map(torch.equal, resumed.filters, whole.filters))


def test_a_finished_state_trains_no_further(faces):
    state = trained(patterns.RECIPE, faces)
    assert list(training.train(state, faces)) == []


def test_a_state_knows_its_recipe_its_seed_and_where_it_is(faces):
    state = begin(patterns.RECIPE, faces, seed=5)
    assert (state.recipe, state.seed, device_of(state.model)) == (patterns.RECIPE, 5, CPU)


def test_what_is_kept_lies_on_the_cpu_wherever_the_network_is(faces, tmp_path):
    """A training that was stopped and resumed on a GPU died when it put its filters together."""
    state = begin(patterns.RECIPE, faces)
    for _ in zip(range(2), training.train(state, faces)):
        pass
    runs.save_checkpoint(state, tmp_path)
    model = build(patterns.RECIPE.architecture, 0.1, 0.5).to("meta")
    optimizer = torch.optim.AdamW(model.parameters())
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    elsewhere = State(patterns.RECIPE, 1, model, optimizer, scheduler)
    with pytest.warns(UserWarning, match="meta"):  # that it takes no numbers
        runs.resume(elsewhere, tmp_path)
    assert device_of(elsewhere.model).type == "meta"
    assert {kept.device for kept in elsewhere.filters} == {CPU}
    put_together = torch.stack([*elsewhere.filters, state.filters[-1]])
    assert torch.equal(put_together[:3], torch.stack(state.filters))
    assert elsewhere.history == state.history


# ---------------------------------------------------------------- the protocol


class Sealed(data.Faces):
    """Faces whose test split must not be looked at."""

    def split(self, name):
        assert name != "test", "training looked at the test split"
        return super().split(name)


def test_training_never_asks_for_the_test_split():
    assert len(trained(patterns.RECIPE, patterns.faces(kind=Sealed)).history) == 4


def test_what_test_holds_changes_nothing(faces):
    test = faces.splits == "test"
    other = patterns.faces(
        images=np.where(test[:, None, None], np.uint8(0), faces.images),
        labels=np.where(test, 3, faces.labels),
    )
    one, two = trained(patterns.RECIPE, faces), trained(patterns.RECIPE, other)
    assert without_seconds(one.history) == without_seconds(two.history)


# ---------------------------------------------------------------- no number


def test_a_loss_that_is_no_number_stops_at_its_step(faces):
    state = begin(replace(PLAIN, learning_rate=1e30), faces)
    said = r"epoch 1, step [2-5] .* rate 1e\+30: choose a smaller"
    with pytest.raises(TrainingError, match=said):
        list(training.train(state, faces))
    assert state.history == []


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_the_first_loss_that_is_no_number_is_named_though_few_are_looked_at(
    faces, step, monkeypatch
):
    """Five steps an epoch, a look after the third and the fifth; the second epoch breaks."""
    called, made = [], training.loss_function

    def broken(recipe, counts):
        loss_of = made(recipe, counts)

        def loss(scores, labels):
            called.append(labels)
            return loss_of(scores, labels) * (math.nan if len(called) == 5 + step else 1)

        return loss

    monkeypatch.setattr(training, "LOOK", 3)
    monkeypatch.setattr(training, "loss_function", broken)
    state = begin(PLAIN, faces)
    with pytest.raises(TrainingError, match=f"nan at epoch 2, step {step} "):
        list(training.train(state, faces))
    assert [row["epoch"] for row in state.history] == [1] and len(state.filters) == 2
    assert all(kept.isfinite().all() for kept in state.filters)
    assert len(called) == 5 + (3 if step <= 3 else 5), "it stopped at the first look"


def test_how_often_the_loss_is_looked_at_changes_no_number(faces, monkeypatch):
    seldom = trained(patterns.RECIPE, faces)
    monkeypatch.setattr(training, "LOOK", 1)
    often = trained(patterns.RECIPE, faces)
    assert_same_weights(seldom, often)
    assert without_seconds(seldom.history) == without_seconds(often.history)


def test_a_network_that_breaks_in_the_last_step_is_not_kept(faces):
    recipe = replace(PLAIN, learning_rate=float("1e38"), epochs=1, batch_size=168, optimizer="sgd")
    state = begin(recipe, faces)
    with pytest.raises(TrainingError, match="the end of epoch 1 .*choose a smaller"):
        list(training.train(state, faces))
    assert state.history == []


# ---------------------------------------------------------------- the loss

COUNTS = np.array([40, 5, 50, 90, 60, 55, 30])  # training images of each class, for example


def a_batch():
    drawn = np.random.default_rng(0)
    return drawn.normal(size=(20, 7)) * 3, np.r_[np.arange(7), drawn.integers(0, 7, 13)]


def loss_of(scores, labels, counts=COUNTS, **choices):
    function = training.loss_function(replace(PLAIN, **choices), torch.from_numpy(counts))
    return function(torch.from_numpy(scores).float(), torch.from_numpy(labels)).item()


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_plain_loss_by_hand(smoothing):
    """The label is the class, and `smoothing` of it is spread evenly over all seven."""
    scores, labels = a_batch()
    target = (1 - smoothing) * np.eye(7)[labels] + smoothing / 7
    by_hand = -(target * log_softmax(scores)).sum(1).mean()
    assert loss_of(scores, labels, label_smoothing=smoothing) == pytest.approx(by_hand, rel=1e-5)
    other = loss_of(scores, labels, np.ones(7, int), label_smoothing=smoothing)
    assert other == pytest.approx(by_hand, rel=1e-5), "whatever the classes' sizes"


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_weighted_loss_by_hand(smoothing):
    """Each class's term weighs N / (7 n); the mean is over the weights of the images' classes."""
    scores, labels = a_batch()
    weight = COUNTS.sum() / (7 * COUNTS)
    target = (1 - smoothing) * np.eye(7)[labels] + smoothing / 7
    by_hand = -(target * weight * log_softmax(scores)).sum() / weight[labels].sum()
    measured = loss_of(scores, labels, loss="weighted", label_smoothing=smoothing)
    assert measured == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_logit_adjusted_loss_by_hand(smoothing):
    scores, labels = a_batch()
    target = (1 - smoothing) * np.eye(7)[labels] + smoothing / 7
    shifted = scores + np.log(COUNTS / COUNTS.sum())
    by_hand = -(target * log_softmax(shifted)).sum(1).mean()
    measured = loss_of(scores, labels, loss="logit-adjusted", label_smoothing=smoothing)
    assert measured == pytest.approx(by_hand, rel=1e-5)


def test_seven_classes_of_one_size_make_all_losses_equal():
    scores, labels = a_batch()
    same = {loss_of(scores, labels, np.full(7, 9), loss=name) for name in ("plain", "weighted")}
    adjusted = loss_of(scores, labels, np.full(7, 9), loss="logit-adjusted")
    assert list(same) == pytest.approx([adjusted] * len(same), rel=1e-5)


@pytest.mark.parametrize("name", ["weighted", "logit-adjusted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_without_images_leaves_the_loss_a_number(name, smoothing):
    scores, labels = a_batch()
    empty = np.array([40, 0, 50, 90, 60, 55, 30])
    kept = labels != 1
    assert math.isfinite(
        loss_of(scores[kept], labels[kept], empty, loss=name, label_smoothing=smoothing)
    )


@pytest.mark.parametrize("name", ["weighted", "logit-adjusted"])
def test_other_losses_train(faces, name):
    state = trained(replace(PLAIN, epochs=8, loss=name), faces)
    assert state.history[-1]["validation_accuracy"] > 0.9


# ---------------------------------------------------------------- the golden run

# Five steps on fixed data, by TRAINING_VERSION: training loss, validation loss, mean |weight|.
GOLDEN_RECIPES = {
    "one layer, adam": Recipe(Plain(), "adam", 3e-4, 0.0, 1, batch_size=32),
    "convolutions, adamw, one-cycle, augmented, smoothed": replace(
        patterns.RECIPE, epochs=1, dropout_convolution=0.0, dropout_hidden=0.0
    ),
    "hidden layer, shuffled pixels, subset, weight decay": Recipe(
        Plain((), (16,), shuffle_pixels=True),
        "adam",
        1e-3,
        1e-2,
        5,
        batch_size=100,
        train_images=100,
    ),
    "sgd, no batch norm": Recipe(
        Plain(((4, 5),), (8,), batch_norm=False), "sgd", 0.05, 0.0, 1, batch_size=32
    ),
    "residual groups, momentum, balanced, varied, mixed": replace(
        VARIED, epochs=1, optimizer="sgd", learning_rate=0.05, momentum=0.9
    ),
}
GOLDEN = {
    1: {
        "one layer, adam": [1.809331, 1.829483, 0.010438],
        "convolutions, adamw, one-cycle, augmented, smoothed": [1.890795, 1.8923, 0.022122],
        "hidden layer, shuffled pixels, subset, weight decay": [1.613456, 1.661615, 0.011423],
        "sgd, no batch norm": [1.940097, 1.939661, 0.011509],
        "residual groups, momentum, balanced, varied, mixed": [1.955821, 1.955797, 0.081992],
    }
}


@pytest.mark.parametrize("name", GOLDEN_RECIPES)
def test_the_golden_run_keeps_its_numbers(faces, name):
    state = trained(GOLDEN_RECIPES[name], faces, seed=42)
    last = state.history[-1]
    weights = torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()])
    measured = [last["train_loss"], last["validation_loss"], weights.abs().mean().item()]
    assert all(map(math.isfinite, measured))
    expected = GOLDEN.get(training.TRAINING_VERSION, {}).get(name, [math.nan] * 3)
    assert measured == pytest.approx(expected, rel=1e-3), (
        f"{name}: the same recipe now gives other numbers. If that is not intended, undo the"
        " change. If it is, raise training.TRAINING_VERSION, so that no old run is mixed with a"
        " new one,"
        f" and write into GOLDEN under the new version: {[round(x, 6) for x in measured]}"
    )


def test_one_cycle_takes_any_number_of_steps():
    for images in range(1, 9):
        few = patterns.faces({"train": images, "validation": 7, "test": 7})
        recipe = replace(patterns.RECIPE, epochs=1, batch_size=1)
        state = training.start(recipe, few, 0, CPU)
        for _ in range(images):
            state.optimizer.step()
            state.scheduler.step()
        assert 0 <= state.scheduler.get_last_lr()[0] <= recipe.learning_rate
