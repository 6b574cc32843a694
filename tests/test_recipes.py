"""Recipes are the paper's where they say so, and their identity is what decides a result."""

import json
from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest

from fer_utils import recipes, seminar
from fer_utils.models import ARCHITECTURES, Plain
from fer_utils.recipes import PROFILES, Recipe, from_identity, recipe

CHANGES = dict(
    architecture=Plain(((8, 3),)),
    optimizer="sgd",
    learning_rate=0.5,
    weight_decay=0.5,
    epochs=99,
    batch_size=99,
    momentum=0.9,
    schedule="constant",
    dropout_convolution=0.9,
    dropout_hidden=0.9,
    mirror=False,
    shift=9,
    label_smoothing=0.9,
    train_images=99,
    precision="bfloat16",
    loss="weighted",
    sampling="balanced",
    rotation=9.0,
    zoom=0.9,
    light=0.9,
    cut_out=9,
)


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_every_model_has_every_profile_and_comes_back_from_its_identity(model, profile, small):
    made = recipe(model, profile, small)
    assert made.architecture == ARCHITECTURES[model]
    assert from_identity(json.loads(json.dumps(made.identity()))) == made


@pytest.mark.parametrize("model", seminar.HYPERPARAMETERS)
def test_the_seminar_profile_is_the_papers(model):
    made = recipe(model, "seminar", small=False)
    for name, value in seminar.HYPERPARAMETERS[model].items():
        if value is not None:
            assert getattr(made, name) == value
    assert (made.optimizer, made.schedule, made.batch_size) == ("adam", "constant", 128)
    assert not made.mirror and made.shift == 0 and made.label_smoothing == 0
    assert made.train_images is None and made.loss == "plain"
    assert recipe(model, "seminar", small=True) == made


@pytest.mark.parametrize("small", [False, True])
def test_one_layer_is_the_same_at_short_and_at_seminar(small):
    short, paper = (recipe("fully_connected", name, small) for name in ("short", "seminar"))
    assert short == paper and short.epochs == 30


@pytest.mark.parametrize("small", [False, True])
def test_smoke_is_short_on_few_images(small):
    smoke = recipe("deeper", "smoke", small)
    assert smoke.epochs <= 2 and smoke.train_images <= 128
    assert smoke.schedule == recipe("deeper", "short", small).schedule


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_short_gives_a_small_data_set_small_batches_and_deep_networks_more_epochs(model):
    usual, small = (recipe(model, "short", small) for small in (False, True))
    if model == "fully_connected":
        assert small == usual
        return
    assert (usual.batch_size, small.batch_size) == (128, 32)
    if model == "compact":
        assert (usual.epochs, small.epochs) == (100, 40)
    else:
        deep = len(ARCHITECTURES[model].convolutions) > 2
        assert small.epochs == usual.epochs * (2 if deep else 1)
    assert replace(small, batch_size=128, epochs=usual.epochs) == usual
    assert type(small.epochs) is int  # a run's identity is JSON


def test_the_recipe_of_compact_at_short():
    one = recipe("compact", "short", small=False)
    assert (one.optimizer, one.learning_rate, one.weight_decay) == ("adamw", 3e-3, 0.05)
    assert (one.schedule, one.mirror, one.shift, one.cut_out) == ("one-cycle", True, 5, 14)
    assert (one.rotation, one.zoom, one.light) == (12, 0.15, 0.2)
    assert (one.label_smoothing, one.dropout_convolution, one.dropout_hidden) == (0.1, 0, 0)


def test_forgetting_the_size_of_the_data_is_an_error_and_no_other_recipe():
    with pytest.raises(TypeError, match="small"):
        recipe("deep", "short")


# ---------------------------------------------------------------- unknown names


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'deepest'.*fully_connected.*deeper"):
        recipe("deepest", "short", small=False)
    with pytest.raises(ValueError, match="'fast'.*smoke.*short.*seminar"):
        recipe("deep", "fast", small=False)


def test_a_model_without_settings_is_no_known_one(monkeypatch):
    others = {name: values for name, values in recipes.SETTINGS.items() if name != "deep"}
    monkeypatch.setattr(recipes, "SETTINGS", others)
    for profile in PROFILES:
        with pytest.raises(ValueError, match=f"'deep': choose one of {', '.join(others)}$"):
            recipe("deep", profile, small=False)


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("schedule", "one_cycle", "constant, one-cycle"),
        ("optimizer", "adamax", "sgd, adam, adamw"),
        ("loss", "focal", "plain, weighted, logit-adjusted"),
        ("sampling", "over", "plain, balanced, under"),
        ("precision", "float16", "float32, bfloat16"),
    ],
)
def test_an_unknown_choice_is_one_sentence(name, value, known):
    with pytest.raises(ValueError, match=f"unknown {name} '{value}'") as caught:
        replace(recipe("deep", "short", small=False), **{name: value})
    assert str(caught.value).endswith(f"choose one of {known}")


def test_an_unknown_builder_is_one_sentence():
    values = recipe("deep", "short", small=False).identity()
    values["architecture"] = values["architecture"] | {"builder": "residual"}
    with pytest.raises(ValueError, match="'residual'.*plain"):
        from_identity(values)


def test_a_recipe_cannot_be_changed_only_replaced():
    with pytest.raises(FrozenInstanceError):
        recipe("deep", "short", small=False).epochs = 1


# ---------------------------------------------------------------- the identity


def test_every_field_has_a_change_here():
    assert set(CHANGES) == {field.name for field in fields(Recipe)}


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_is_another_identity(name):
    made = recipe("deep", "short", small=False)
    changed = replace(made, **{name: CHANGES[name]})
    assert changed.identity() != made.identity()
    assert from_identity(json.loads(json.dumps(changed.identity()))) == changed


@pytest.mark.parametrize(
    "change",
    [
        dict(convolutions=((8, 3), (8, 5))),
        dict(hidden=(5,)),
        dict(batch_norm=False),
        dict(shuffle_pixels=True),
    ],
)
def test_another_architecture_is_another_identity(change):
    made = recipe("shallow", "short", small=False)
    changed = replace(made, architecture=replace(made.architecture, **change))
    assert changed.identity() != made.identity()
    assert from_identity(json.loads(json.dumps(changed.identity()))) == changed


def test_only_what_differs_from_a_default_is_in_the_identity():
    bare = Recipe(Plain(), "sgd", 0.1, 0.0, 1)
    expected = dict(optimizer="sgd", learning_rate=0.1, weight_decay=0.0, epochs=1)
    assert bare.identity() == expected | {"architecture": {"builder": "plain"}}


def test_a_new_field_orphans_no_run():
    """The same values in a Recipe and an architecture that know one thing more."""

    @dataclass(frozen=True)
    class Longer(Recipe):
        clipping: float | None = None

    for model in ARCHITECTURES:
        made = recipe(model, "short", small=False)
        kind = type(made.architecture)

        @dataclass(frozen=True)
        class Wider(kind):
            groups: int = 1

        Wider.__name__ = kind.__name__
        values = {field.name: getattr(made, field.name) for field in fields(made)}
        parts = {
            field.name: getattr(made.architecture, field.name)
            for field in fields(made.architecture)
        }
        longer = Longer(**values | {"architecture": Wider(**parts)})
        assert longer.identity() == made.identity()
        assert replace(longer, clipping=1.0).identity() == made.identity() | {"clipping": 1.0}
