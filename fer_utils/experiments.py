"""Every list of trainings that a notebook shows, by name, in the order of the notebooks.

An experiment is recipes (by label), seeds and, for a search, folds; experiments.toml lists them.
`train` gives its runs, from disk where they are; `python -m fer_utils train NAME` is the same.
Introduced in notebook 03.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from fer_utils import known_or_refuse, read_toml, runs
from fer_utils.cross_validation import Fold
from fer_utils.data import Faces
from fer_utils.models import as_tuple
from fer_utils.recipes import PROFILES, SETTINGS, Recipe, cut, recipe
from fer_utils.seminar import CLASS_COUNTS

FOUR = ("fully_connected", "shallow", "deep", "deeper")
ALL_IMAGES = sum(CLASS_COUNTS["train"])  # of FER2013
RATES, DECAYS, FOLDS = (1e-5, 1e-4, 1e-3, 1e-2), (1e-7, 1e-4), 3  # of the search


@dataclass(frozen=True)
class Experiment:
    """recipes: by label, which names the runs. more: number of seeds beside the reader's own (1, 2,
    …). folds: each recipe is trained on each (none: on all training images).
    """

    recipes: dict[str, Recipe]
    more: int = 0
    folds: tuple[Fold | None, ...] = (None,)


def listed(rows, profile: str, small: bool, every=None, more=0, folds=None) -> Experiment:
    """What experiments.toml says in `rows`, each with what stands in `every`."""
    common = dict(profile=profile, small=small) | (every or {})
    recipes = {label: row_recipe(**common | row) for label, row in rows.items()}
    cuts = [Fold(k, FOLDS, folds[small] or None) for k in range(FOLDS)] if folds else [None]
    return Experiment(recipes, more, tuple(cuts))


def row_recipe(model, profile, small, at=None, architecture=None, **other) -> Recipe:
    """The recipe of a row: see experiments.toml."""
    own = recipe(model, at or profile, small)
    # Of two values the first is for FER2013, the second for a small data set.
    chosen = {name: v[small] if isinstance(v, list) else v for name, v in other.items()}
    network = {name: as_tuple(value) for name, value in (architecture or {}).items()}
    return replace(own, **chosen, architecture=replace(own.architecture, **network))


# --- the list ---------------------------------------------------------------------------------

LISTS = read_toml("experiments")
# name: (what makes it of profile and `small`, what it is published on)
EXPERIMENTS: dict[str, tuple[Callable[..., Experiment], list[str]]] = {}
for name, entries in LISTS.items():
    on = entries.pop("on")
    EXPERIMENTS[name] = (partial(listed, **entries), on)


def convolutions(name: str) -> list[tuple[tuple[int, int], ...]]:
    """(filters, kernel side) of each block, of each row of an experiment that says them."""
    said = [row["architecture"].get("convolutions") for row in LISTS[name]["rows"].values()]
    return [as_tuple(blocks) for blocks in said if blocks]


KERNELS = [tuple(side for _, side in blocks) for blocks in convolutions("kernels")]
CONVOLUTIONS = dict(enumerate(convolutions("depths_long")[:5], 2))  # by their number


def jobs(name: str, profile: str, small: bool, seed=runs.SEED) -> dict[str, list[runs.Job]]:
    """The trainings of an experiment or of one model, by label: seed by seed, fold by fold.

    seed: the reader's, which comes first. Raises ValueError for an unknown name or profile, naming
    the known ones. Introduced in notebook 06.
    """
    known_or_refuse("profile", profile, PROFILES)
    known_or_refuse("model or experiment", name, [*SETTINGS, *EXPERIMENTS])
    alone = partial(listed, {name: {"model": name}})
    make = EXPERIMENTS[name][0] if name in EXPERIMENTS else alone
    if profile == "smoke":
        made = brief(make(profile="short", small=False))
    else:
        profile = "seminar" if name == "seminar" else profile
        made = make(profile=profile, small=small)
    seeds = dict.fromkeys((seed, *range(1, 1 + made.more)))  # each once

    def named(label: str, one: Recipe) -> list[runs.Job]:
        title = f"{label}-{profile}"
        return [runs.Job(title, one, number, fold) for number, fold in product(seeds, made.folds)]

    return {label: named(label, one) for label, one in made.recipes.items()}


def brief(made: Experiment) -> Experiment:
    """An experiment at profile `smoke`: see `recipes.cut`; at most one more seed, small folds."""
    recipes = {label: cut(one) for label, one in made.recipes.items()}
    # Two of three folds train: 128 images, as `recipes.cut` has.
    folds = tuple(fold and replace(fold, images=192) for fold in made.folds)
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
