"""Recipes are the paper's where they say so, and their identity is what decides a result."""

import json
from dataclasses import FrozenInstanceError, fields, replace

import patterns
import pytest

from fer_utils import recipes, seminar
from fer_utils.models import ARCHITECTURES, Architecture
from fer_utils.recipes import PROFILES, recipe

CHANGES = dict(
    architecture=Architecture(((8, 3),)),
    optimizer="sgd",
    learning_rate=0.5,
    weight_decay=0.5,
    epochs=99,
    batch_size=99,
    schedule="constant",
    dropout_convolution=0.9,
    dropout_hidden=0.9,
    mirror=False,
    shift=9,
    label_smoothing=0.9,
    train_images=99,
    precision="bfloat16",
)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_every_model_has_every_profile(model, profile):
    made = recipe(model, profile)
    assert (made.model, made.profile) == (model, profile)
    assert made.architecture == ARCHITECTURES[model]


@pytest.mark.parametrize("model", seminar.HYPERPARAMETERS)
def test_the_seminar_profile_is_the_papers(model):
    made = recipe(model, "seminar")
    for name, value in seminar.HYPERPARAMETERS[model].items():
        if value is not None:
            assert getattr(made, name) == value
    assert (made.optimizer, made.schedule, made.batch_size) == ("adam", "constant", 128)
    assert not made.mirror and made.shift == 0 and made.label_smoothing == 0
    assert made.train_images is None


def test_one_layer_is_the_same_at_short_and_at_seminar():
    assert recipe("fully_connected").epochs == 30
    assert recipe("fully_connected").identity() == recipe("fully_connected", "seminar").identity()


def test_smoke_is_short_on_few_images():
    smoke = recipe("deeper", "smoke")
    assert smoke.epochs <= 2 and smoke.train_images <= 256
    assert smoke.schedule == recipe("deeper").schedule


@pytest.mark.parametrize(("images", "batch"), [(9_996, 32), (10_003, 128)])
def test_short_gives_a_small_data_set_small_batches_and_deep_networks_more_epochs(images, batch):
    faces = patterns.faces({"train": images, "validation": 7, "test": 7})
    assert recipe("deeper", "short", faces).batch_size == batch
    more = 2 if batch == 32 else 1
    assert recipe("deeper", "short", faces).epochs == more * recipe("deeper").epochs
    assert recipe("shallow", "short", faces).epochs == recipe("shallow").epochs
    assert type(recipe("deeper", "short", faces).epochs) is int  # a run's identity is JSON
    assert recipe("deeper", "seminar", faces) == recipe("deeper", "seminar"), "the paper's"


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'deepest'.*fully_connected.*deeper"):
        recipe("deepest")
    with pytest.raises(ValueError, match="'fast'.*smoke.*short.*seminar"):
        recipe("deep", "fast")


def test_a_recipe_cannot_be_changed_only_replaced():
    with pytest.raises(FrozenInstanceError):
        recipe("deep").epochs = 1


def test_every_field_but_the_labels_is_in_the_identity():
    assert set(CHANGES) == {field.name for field in fields(recipes.Recipe)} - {"model", "profile"}
    assert set(CHANGES) == set(replace(recipe("deep"), precision="bfloat16").identity())


def test_float32_leaves_the_identity_as_it_was_when_there_was_no_choice():
    assert set(recipe("deep").identity()) == set(CHANGES) - {"precision"}


@pytest.mark.parametrize("name", CHANGES)
def test_another_value_is_another_identity(name):
    made = recipe("deep")
    assert replace(made, **{name: CHANGES[name]}).identity() != made.identity()


def test_labels_leave_the_identity_alone():
    made = recipe("deep")
    assert replace(made, model="mine", profile="smoke").identity() == made.identity()


def test_the_identity_is_plain_json():
    assert json.loads(json.dumps(recipe("deeper").identity()))["epochs"] == 8
