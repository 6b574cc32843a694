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
from fer_utils.models import ARCHITECTURES, DEEP, Plain
from fer_utils.recipes import PROFILES, SETTINGS, Recipe, recipe
from fer_utils.runs import Job, Run
from fer_utils.seminar import CLASS_COUNTS

FOUR = ("fully_connected", "shallow", "deep", "deeper")
ALL_IMAGES = sum(CLASS_COUNTS["train"])  # of FER2013
REAL, BOTH = ("fer2013",), ("fer2013", "synthetic")  # what an experiment is published on


@dataclass(frozen=True)
class Experiment:
    """recipes: by label, which names the runs. more_seeds: beside the reader's own. folds: each
    recipe is trained on each (none: on all training images).
    """

    recipes: dict[str, Recipe]
    more_seeds: tuple[int, ...] = ()
    folds: tuple[Fold | None, ...] = (None,)


def models(names: tuple[str, ...], profile: str, small: bool, more: int = 0) -> Experiment:
    """Models by their own recipes, with `more` other seeds than the reader's."""
    recipes = {name: recipe(name, profile, small) for name in names}
    return Experiment(recipes, more_seeds(profile, more))


def more_seeds(profile: str, more: int) -> tuple[int, ...]:
    """1, 2, … `more`; at `smoke` at most 1."""
    return tuple(range(1, 1 + (min(1, more) if profile == "smoke" else more)))


def spread(make: Callable, label: str, more: int, profile: str, small: bool) -> Experiment:
    """One recipe of another experiment, `make`, with `more` other seeds than the reader's."""
    return Experiment({label: make(profile, small).recipes[label]}, more_seeds(profile, more))


def shuffled(names: tuple[str, ...], profile: str, small: bool) -> Experiment:
    """Models with pixels in order, and with all pixels put into one fixed random order."""
    recipes = {}
    for name, one in models(names, profile, small).recipes.items():
        architecture = replace(one.architecture, shuffle_pixels=True)
        recipes |= {name: one, f"{name}_shuffled": replace(one, architecture=architecture)}
    return Experiment(recipes)


# --- notebook 05 ------------------------------------------------------------------------------

KERNELS = ((1, 1), (3, 3), (3, 5), (5, 5), (7, 7))  # sides of the first and the second block's


def few(profile: str, small: bool, epochs: int = 10, smoke: int = 2) -> dict:
    """Epochs and training images of the small experiments of 05 and 07."""
    if profile == "smoke":
        return dict(epochs=smoke, train_images=256)
    return dict(epochs=epochs, train_images=1000 if small else 4000)


def kernels(profile: str, small: bool) -> Experiment:
    """Shallow with five pairs of kernels, few images."""
    base, recipes = replace(recipe("shallow", profile, small), **few(profile, small)), {}
    for first, second in KERNELS:
        shape = Plain(((32, first), (64, second)), (512,))
        recipes[f"shallow_kernels_{first}_{second}"] = replace(base, architecture=shape)
    return Experiment(recipes)


def rates(profile: str, small: bool) -> Experiment:
    """The seminar's recipe of shallow and ten times its rate, few images, Adam."""
    slow = replace(recipe("shallow", "seminar", small), **few(profile, small, epochs=12))
    rows = {f"shallow_rate_{r:.0e}": replace(slow, learning_rate=r) for r in (1e-5, 1e-4)}
    return Experiment(rows)


# --- notebook 06 ------------------------------------------------------------------------------

RATES, DECAYS, FOLDS = (1e-5, 1e-4, 1e-3, 1e-2), (1e-7, 1e-4), 3


def search(profile: str, small: bool) -> Experiment:
    """Learning rates × weight decays of shallow with Adam, three folds of few images."""
    epochs, images = (2, 256) if profile == "smoke" else (12, 900 if small else 2400)
    base, recipes = replace(recipe("shallow", "seminar", small), epochs=epochs), {}
    for rate, decay in product(RATES, DECAYS):
        tried = replace(base, learning_rate=rate, weight_decay=decay)
        recipes[f"search_{rate:.0e}_{decay:.0e}"] = tried
    return Experiment(recipes, folds=tuple(Fold(k, FOLDS, images) for k in range(FOLDS)))


# --- notebook 07 ------------------------------------------------------------------------------


def constant(model: str, batch_norm: bool, dropout: bool, rate: float = 1e-3, **size) -> Recipe:
    """Adam at a constant rate, with or without batch normalisation and dropout."""
    own = recipe(model, "seminar", small=False)
    dropped = dict(dropout_convolution=0.1 * dropout, dropout_hidden=0.5 * dropout)
    architecture = replace(own.architecture, batch_norm=batch_norm)
    return replace(own, architecture=architecture, learning_rate=rate, **dropped, **size)


def regularised(profile: str, small: bool) -> Experiment:
    """Shallow with and without batch normalisation and dropout, few images, many epochs."""
    size = few(profile, small, epochs=25)
    parts = {"plain": (False, False), "batch_norm": (True, False)}
    parts |= {"dropout": (False, True), "both": (True, True)}
    return Experiment({f"shallow_{n}": constant("shallow", *p, **size) for n, p in parts.items()})


def regularised_rates(profile: str, small: bool) -> Experiment:
    """Shallow with and without batch normalisation at a tenth and ten times the rate."""
    size, recipes = few(profile, small, smoke=1), {}
    for (name, norm), rate in product({"plain": False, "batch_norm": True}.items(), (1e-4, 1e-2)):
        recipes[f"shallow_{name}_{rate:g}"] = constant("shallow", norm, False, rate, **size)
    return Experiment(recipes)


def regularised_deep(profile: str, small: bool) -> Experiment:
    """Deep without batch normalisation and dropout, and with both, few images."""
    size = few(profile, small, smoke=1)
    both = {"plain": (False, False), "both": (True, True)}
    return Experiment({f"deep_{name}": constant("deep", *b, **size) for name, b in both.items()})


def ladder(profile: str, small: bool) -> Experiment:
    """From a constant rate to our recipe of deep, one part more a row, few images."""
    both = regularised_deep(profile, small).recipes["deep_both"]
    optimiser = dict(optimizer="adamw", learning_rate=2e-3, weight_decay=1e-2)
    schedule = replace(both, **optimiser, schedule="one-cycle")
    moved = replace(schedule, mirror=True, shift=3)
    smoothed = replace(moved, label_smoothing=0.1)
    rows = {"both": both, "schedule": schedule, "moved": moved, "smoothed": smoothed}
    return Experiment({f"deep_{name}": one for name, one in rows.items()})


# --- notebook 08 ------------------------------------------------------------------------------

DEEPER = ARCHITECTURES["deeper"].convolutions
# By number of convolutions.
CONVOLUTIONS = {2: DEEP[:2], 3: (*DEEP[:2], DEEP[3]), 4: DEEP, 5: DEEPER, 6: (*DEEPER, DEEP[3])}


def depth_networks() -> dict[str, Plain]:
    """Two to six convolutions with two hidden layers, and two variants of five, by label."""
    networks = {str(depth): Plain(blocks, (256, 512)) for depth, blocks in CONVOLUTIONS.items()}
    networks["5_256_last"] = ARCHITECTURES["deeper_256_last"]
    networks["5_three_hidden"] = replace(ARCHITECTURES["deeper"], hidden=(256, 512, 512))
    return networks


def long(profile: str) -> dict:
    """Thirty epochs in bfloat16."""
    return {"precision": "bfloat16"} | ({} if profile == "smoke" else {"epochs": 30})


def depths(variant: str, profile: str, small: bool) -> Experiment:
    """Depths on `few` or on `all` images (the latter in bfloat16, as `long`: with 30 epochs)."""
    epochs, images = (1, 128) if profile == "smoke" else (10, 2000 if small else 4000)
    changes = {"few": dict(epochs=epochs, train_images=images), "all": {"precision": "bfloat16"}}
    changes["long"] = long(profile)
    base, recipes = replace(recipe("deeper", profile, small), **changes[variant]), {}
    for label, architecture in depth_networks().items():
        depth, _, rest = label.partition("_")
        parts = ("depth", depth, "" if variant == "few" else variant, rest)
        recipes["_".join(filter(None, parts))] = replace(base, architecture=architecture)
    return Experiment(recipes)


def images(variant: str, label: str, profile: str, small: bool) -> Experiment:
    """One of `depths` on a quarter and on half of the images, with as many steps."""
    one, recipes = depths(variant, profile, small).recipes[label], {}
    for times in (4, 2):
        count = (one.train_images or ALL_IMAGES) // times
        part = dict(batch_size=one.batch_size // times, train_images=count)
        recipes[f"{label}_of_{times}"] = replace(one, **part)
    return Experiment(recipes)


def patience(profile: str, small: bool) -> Experiment:
    """Shallow, deep and deeper with 30 epochs in bfloat16, three seeds."""
    usual = models(FOUR[1:], profile, small).recipes
    recipes = {f"{name}_long": replace(one, **long(profile)) for name, one in usual.items()}
    return Experiment(recipes, more_seeds(profile, 2))


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
    "regularised": (regularised, BOTH),
    "regularised_rates": (regularised_rates, BOTH),
    "regularised_deep": (regularised_deep, BOTH),
    "ladder": (ladder, BOTH),
    "depths_few": (partial(depths, "few"), BOTH),
    "depth_seeds_few": (partial(spread, partial(depths, "few"), "depth_5", 2), BOTH),
    "images_few": (partial(images, "few", "depth_5"), BOTH),
    "depths_all": (partial(depths, "all"), REAL),
    "depth_seeds_all": (partial(spread, partial(depths, "all"), "depth_5_all", 2), REAL),
    "images_all": (partial(images, "all", "depth_5_all"), REAL),
    "patience": (patience, REAL),
    "depths_long": (partial(depths, "long"), REAL),
    "models": (partial(models, FOUR), BOTH),
    "drawn_seeds": (partial(models, ("fully_connected", "deeper"), more=2), ("synthetic",)),
    "seminar": (partial(models, (*FOUR[1:], "deeper_256_last")), REAL),
}
ALWAYS = {"seminar": "seminar"}  # experiments of one profile, whatever is asked for, smoke apart


def jobs(name: str, profile: str, small: bool, seed=runs.SEED) -> dict[str, list[Job]]:
    """The trainings of an experiment or of one model, by label: seed by seed, fold by fold.

    seed: the reader's, which comes first. Raises ValueError for an unknown name or profile, naming
    the known ones. Introduced in notebook 06.
    """
    known_or_refuse("profile", profile, PROFILES)
    known_or_refuse("model or experiment", name, [*SETTINGS, *EXPERIMENTS])
    make = EXPERIMENTS[name][0] if name in EXPERIMENTS else partial(models, (name,))
    profile = ALWAYS.get(name, profile) if profile != "smoke" else profile
    found = make(profile, small)
    parts = list(product(dict.fromkeys((seed, *found.more_seeds)), found.folds))  # each seed once

    def named(label: str, one: Recipe) -> list[Job]:
        return [Job(f"{label}-{profile}", one, number, fold) for number, fold in parts]

    return {label: named(label, one) for label, one in found.recipes.items()}


def train(name, faces: Faces, profile, seed=runs.SEED, retrain=False) -> dict[str, list[Run]]:
    """The runs of an experiment by label, one a seed (and fold), from disk or trained now.

    See `runs.train_all`. Introduced in notebook 03.
    """
    wanted = jobs(name, profile, faces.small, seed)
    found = iter(runs.train_all(sum(wanted.values(), []), faces, retrain=retrain))
    return {label: [next(found) for _ in each] for label, each in wanted.items()}


def published(name: str, profile: str = "short") -> dict[str, list[Run]]:
    """The published runs of an experiment on FER2013, by label, whatever data the reader has.

    Introduced in notebook 03.
    """
    wanted = jobs(name, profile, small=False).items()
    found = {label: [runs.published_run(job) for job in each] for label, each in wanted}
    return {label: [run for run in each if run] for label, each in found.items()}


def to_publish(kind: str) -> list[Job]:
    """Every job whose run is published on `fer2013` or on `synthetic`, each once."""
    names = [name for name, (_, places) in EXPERIMENTS.items() if kind in places]
    wanted = [jobs(name, "short", small=kind == "synthetic") for name in names]
    listed = [job for each in wanted for job in sum(each.values(), [])]
    firsts = {(job.recipe, job.seed, job.fold): job for job in reversed(listed)}
    return list(firsts.values())[::-1]
