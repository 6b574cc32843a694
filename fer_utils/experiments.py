"""Every list of trainings that a notebook shows, by name, in the order of the notebooks.

An experiment is recipes (by label), seeds and, for a search, folds. `train` gives its runs, from
disk where they are; `python -m fer_utils train NAME` is the same. Introduced in notebook 03.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from fer_utils import known_or_refuse, runs
from fer_utils.cross_validation import Fold
from fer_utils.data import Faces
from fer_utils.models import ARCHITECTURES, Plain
from fer_utils.recipes import OPTIMISER, PROFILES, SETTINGS, Recipe, cut, recipe
from fer_utils.seminar import CLASS_COUNTS

FOUR = ("fully_connected", "shallow", "deep", "deeper")
ALL_IMAGES = sum(CLASS_COUNTS["train"])  # of FER2013
REAL, BOTH = ("fer2013",), ("fer2013", "synthetic")  # what an experiment is published on


@dataclass(frozen=True)
class Experiment:
    """recipes: by label, which names the runs. more: number of seeds beside the reader's own (1, 2,
    …). folds: each recipe is trained on each (none: on all training images).
    """

    recipes: dict[str, Recipe]
    more: int = 0
    folds: tuple[Fold | None, ...] = (None,)


def models(names: tuple[str, ...], profile: str, small: bool, more: int = 0) -> Experiment:
    """Models by their own recipes, with `more` other seeds than the reader's."""
    return Experiment({name: recipe(name, profile, small) for name in names}, more)


def spread(make: Callable, label: str, more: int, profile: str, small: bool) -> Experiment:
    """One recipe of another experiment, `make`, with `more` other seeds than the reader's."""
    return Experiment({label: make(profile, small).recipes[label]}, more)


def varied(base: Recipe, choices: dict[str, dict]) -> Experiment:
    """One recipe with other choices, by label."""
    return Experiment({label: replace(base, **chosen) for label, chosen in choices.items()})


def rebuilt(one: Recipe, **changed) -> Recipe:
    """A recipe with another choice in its architecture."""
    return replace(one, architecture=replace(one.architecture, **changed))


def shuffled(names: tuple[str, ...], profile: str, small: bool) -> Experiment:
    """Models with pixels in order, and with all pixels put into one fixed random order."""
    recipes = {}
    for name, one in models(names, profile, small).recipes.items():
        recipes |= {name: one, f"{name}_shuffled": rebuilt(one, shuffle_pixels=True)}
    return Experiment(recipes)


# --- notebook 05 ------------------------------------------------------------------------------

KERNELS = ((1, 1), (3, 3), (3, 5), (5, 5), (7, 7))  # sides of the first and the second block's


def few(small: bool, epochs: int = 10) -> dict:
    """Epochs and training images of the small experiments of 05 and 07."""
    return dict(epochs=epochs, train_images=1000 if small else 4000)


def kernels(profile: str, small: bool) -> Experiment:
    """Shallow with five pairs of kernels, few images."""
    base = replace(recipe("shallow", profile, small), **few(small))
    shapes = {f"{a}_{b}": Plain(((32, a), (64, b)), (512,)) for a, b in KERNELS}
    return varied(base, {f"shallow_kernels_{n}": dict(architecture=s) for n, s in shapes.items()})


def rates(profile: str, small: bool) -> Experiment:
    """The seminar's recipe of shallow and ten times its rate, few images, Adam."""
    slow = replace(recipe("shallow", "seminar", small), **few(small, epochs=12))
    return varied(slow, {f"shallow_rate_{r:.0e}": dict(learning_rate=r) for r in (1e-5, 1e-4)})


# --- notebook 06 ------------------------------------------------------------------------------

RATES, DECAYS, FOLDS = (1e-5, 1e-4, 1e-3, 1e-2), (1e-7, 1e-4), 3


def search(profile: str, small: bool) -> Experiment:
    """Learning rates × weight decays of shallow with Adam, three folds of few images."""
    base, recipes = replace(recipe("shallow", "seminar", small), epochs=12), {}
    for r, d in product(RATES, DECAYS):
        recipes[f"search_{r:.0e}_{d:.0e}"] = replace(base, learning_rate=r, weight_decay=d)
    images = 900 if small else 2400
    return Experiment(recipes, folds=tuple(Fold(k, FOLDS, images) for k in range(FOLDS)))


def rates_all(profile: str, small: bool) -> Experiment:
    """The seminar's recipe of shallow with higher rates, eight epochs of all images."""
    base = replace(recipe("shallow", "seminar", small), epochs=8)
    return varied(base, {f"shallow_all_{r:.0e}": dict(learning_rate=r) for r in RATES[1:]})


# --- notebook 07 ------------------------------------------------------------------------------


PARTS = ("plain", "batch_norm", "dropout", "both")


def constant(model: str, part: str, rate: float = 1e-3, **size) -> Recipe:
    """Adam at a constant rate, with one of `PARTS`: batch normalisation, dropout, both, none."""
    own = replace(recipe(model, "seminar", small=False), learning_rate=rate, **size)
    if part in ("plain", "batch_norm"):
        own = replace(own, dropout_convolution=0.0, dropout_hidden=0.0)
    return rebuilt(own, batch_norm=part in ("batch_norm", "both"))


def parts(names, rates, epochs: int, profile: str, small: bool, more: int = 0) -> Experiment:
    """Shallow with and without batch normalisation and dropout, few images, constant rates."""
    recipes, size = {}, few(small, epochs)
    for rate, name in product(rates, names):
        recipes[f"shallow_{name}_{rate:.0e}"] = constant("shallow", name, rate, **size)
    return Experiment(recipes, more)


def pooling(profile: str, small: bool) -> Experiment:
    """The 3-5 network of `kernels` that keeps every second value instead of a maximum."""
    usual = kernels(profile, small).recipes["shallow_kernels_3_5"]
    return Experiment({"shallow_every_second": rebuilt(usual, pool_window=1)}, more=4)


def ladder(profile: str, small: bool) -> Experiment:
    """From a constant rate to our recipe of deep, one part more a row, few images."""
    both = constant("deep", "both", **few(small))
    schedule = replace(both, **OPTIMISER, schedule="one-cycle")
    moved = replace(schedule, mirror=True, shift=3)
    smoothed = replace(moved, label_smoothing=0.1)
    rows = {"both": both, "schedule": schedule, "moved": moved, "smoothed": smoothed}
    return Experiment({f"deep_{name}": one for name, one in rows.items()})


# --- notebook 08 ------------------------------------------------------------------------------

DEEP, DEEPER = (ARCHITECTURES[name].convolutions for name in ("deep", "deeper"))
# By number of convolutions.
CONVOLUTIONS = {2: DEEP[:2], 3: (*DEEP[:2], DEEP[3]), 4: DEEP, 5: DEEPER, 6: (*DEEPER, DEEP[3])}


LONG = dict(epochs=30, precision="bfloat16")


def depths(profile: str, small: bool) -> Experiment:
    """Two to six convolutions and two variants of five, with 30 epochs in bfloat16."""
    base = replace(recipe("deeper", profile, small), **LONG)
    networks = {f"{n}_long": Plain(blocks, (256, 512)) for n, blocks in CONVOLUTIONS.items()}
    networks["5_long_256_last"] = ARCHITECTURES["deeper_256_last"]
    networks["5_long_three_hidden"] = replace(networks["5_long"], hidden=(256, 512, 512))
    return varied(base, {f"depth_{n}": dict(architecture=one) for n, one in networks.items()})


def images(profile: str, small: bool) -> Experiment:
    """Deeper in bfloat16 on all, half and a quarter of the images, with as many steps."""
    one = replace(recipe("deeper", profile, small), precision="bfloat16")
    parts = {n: dict(batch_size=one.batch_size // n, train_images=ALL_IMAGES // n) for n in (2, 4)}
    fewer = {f"depth_5_all_of_{n}": part for n, part in parts.items()}
    return varied(one, {"depth_5_all": {}} | fewer)


def patience(profile: str, small: bool) -> Experiment:
    """Shallow, deep and deeper with 30 epochs in bfloat16, three seeds."""
    usual = models(FOUR[1:], profile, small).recipes
    return Experiment({f"{name}_long": replace(one, **LONG) for name, one in usual.items()}, more=2)


# --- notebook 09 ------------------------------------------------------------------------------

UNSTATED = {"as_it_stands": {}, "momentum": dict(optimizer="sgd", momentum=0.9)}
UNSTATED |= {f"batch_{size}": dict(batch_size=size) for size in (32, 256)}
UNSTATED |= {f"dropout_{p:.0%}"[:-1]: dict(dropout_convolution=p) for p in (0.25, 0.5)}


def unstated(profile: str, small: bool) -> Experiment:
    """The seminar's recipe of shallow with other choices where it states none, 20 epochs."""
    base = replace(recipe("shallow", "seminar", small), epochs=20)
    return varied(base, {f"unstated_{name}": chosen for name, chosen in UNSTATED.items()})


# --- notebook 12 ------------------------------------------------------------------------------

REMEDIES = {"plain": {}, "weighted": dict(loss="weighted"), "adjusted": dict(loss="logit-adjusted")}
REMEDIES |= {name: dict(sampling=name) for name in ("balanced", "under")}


def remedies(profile: str, small: bool) -> Experiment:
    """Shallow with each remedy against few images of a class, three seeds."""
    base = recipe("shallow", profile, small)
    return replace(varied(base, {f"remedy_{key}": r for key, r in REMEDIES.items()}), more=2)


# --- notebook 13 ------------------------------------------------------------------------------


def held_out(profile: str, small: bool) -> Experiment:
    """A small network on each of three folds, few epochs; on FER2013 of all training images."""
    network = Plain(((32, 3), (64, 3), (64, 3)), (64,))
    base = replace(recipe("shallow", profile, small), architecture=network, epochs=5)
    folds = tuple(Fold(k, FOLDS, 900 if small else None) for k in range(FOLDS))
    return Experiment({"held_out": base}, folds=folds)


# --- the list ---------------------------------------------------------------------------------

# name: (what makes it of profile and `small`, what it is published on)
EXPERIMENTS: dict[str, tuple[Callable[[str, bool], Experiment], tuple[str, ...]]] = {
    "one_layer": (partial(shuffled, ("fully_connected",)), BOTH),
    "neighbours": (partial(shuffled, ("hidden_layer", "shallow")), BOTH),
    "shallow_seeds": (partial(models, ("shallow",), more=4), BOTH),
    "kernels": (kernels, BOTH),
    "kernel_seeds": (partial(spread, kernels, "shallow_kernels_3_5", 4), BOTH),
    "rates": (rates, BOTH),
    "search": (search, BOTH),
    "rates_all": (rates_all, REAL),
    "rates_seeds": (partial(spread, rates_all, "shallow_all_1e-03", 2), REAL),
    "parts": (partial(parts, PARTS, (1e-3,), 25), REAL),
    "parts_rates": (partial(parts, ("plain", "batch_norm"), (1e-4, 1e-2), 10), REAL),
    "parts_seeds": (partial(parts, ("plain", "both"), (1e-3,), 25, more=2), REAL),
    "pooling": (pooling, REAL),
    "ladder": (ladder, BOTH),
    "images_all": (images, REAL),
    "depth_seeds_all": (partial(spread, images, "depth_5_all", 2), REAL),
    "patience": (patience, REAL),
    "depths_long": (depths, REAL),
    "models": (partial(models, FOUR), BOTH),
    "drawn_seeds": (partial(models, ("fully_connected", "deeper"), more=2), ("synthetic",)),
    "unstated": (unstated, ()),
    "remedies": (remedies, ()),
    "held_out": (held_out, REAL),
    "seminar": (partial(models, (*FOUR[1:], "deeper_256_last")), REAL),
}


def jobs(name: str, profile: str, small: bool, seed=runs.SEED) -> dict[str, list[runs.Job]]:
    """The trainings of an experiment or of one model, by label: seed by seed, fold by fold.

    seed: the reader's, which comes first. Raises ValueError for an unknown name or profile, naming
    the known ones. Introduced in notebook 06.
    """
    known_or_refuse("profile", profile, PROFILES)
    known_or_refuse("model or experiment", name, [*SETTINGS, *EXPERIMENTS])
    make = EXPERIMENTS[name][0] if name in EXPERIMENTS else partial(models, (name,))
    profile = "seminar" if name == "seminar" and profile != "smoke" else profile
    made = brief(make("short", False)) if profile == "smoke" else make(profile, small)
    seeds = dict.fromkeys((seed, *range(1, 1 + made.more)))  # each once

    def named(label: str, one: Recipe) -> list[runs.Job]:
        title = f"{label}-{profile}"
        return [runs.Job(title, one, number, fold) for number, fold in product(seeds, made.folds)]

    return {label: named(label, one) for label, one in made.recipes.items()}


def brief(made: Experiment) -> Experiment:
    """An experiment at profile `smoke`: see `recipes.cut`; at most one more seed, small folds."""
    recipes = {label: cut(one) for label, one in made.recipes.items()}
    folds = tuple(fold and replace(fold, images=256) for fold in made.folds)
    return Experiment(recipes, min(made.more, 1), folds)


def train(name, faces: Faces, profile, seed=runs.SEED, retrain=False) -> dict[str, list[runs.Run]]:
    """The runs of an experiment by label, one a seed (and fold), from disk or trained now.

    See `runs.train_all`. Introduced in notebook 03.
    """
    wanted = jobs(name, profile, faces.small, seed)
    found = iter(runs.train_all(sum(wanted.values(), []), faces, retrain=retrain))
    return {label: [next(found) for _ in each] for label, each in wanted.items()}


def published(name: str, profile: str = "short") -> dict[str, list[runs.Run]]:
    """The published runs of an experiment on FER2013, by label, whatever data the reader has.

    Introduced in notebook 05.
    """
    wanted = jobs(name, profile, small=False).items()
    found = {label: [runs.published_run(job) for job in each] for label, each in wanted}
    return {label: [run for run in each if run] for label, each in found.items()}
