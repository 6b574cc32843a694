"""Every hyper-parameter of a training, as data. Introduced in notebook 03.

Three profiles: `seminar` (the paper's own learning rate, weight decay and epochs), `short` (the
default: the same networks, few epochs, a modern schedule) and `smoke` (seconds, only proves that
a notebook runs).
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args, get_origin, get_type_hints

from fer_utils import PROFILES, known_or_refuse
from fer_utils.models import ARCHITECTURES, MODELS, Architecture, build, changed_fields, from_values


@dataclass(frozen=True)
class Recipe:
    """What decides a training's result, apart from data, seed and `training.TRAINING_VERSION`.

    Raises ValueError for an unknown optimizer, schedule, loss, sampling or precision, naming the
    known ones. Introduced in notebook 03.
    """

    architecture: Architecture
    optimizer: Literal["sgd", "adam", "adamw"]  # adam: weight decay as L2; adamw: decoupled
    learning_rate: float  # constant, or the peak of the schedule
    weight_decay: float
    epochs: int
    batch_size: int = 128
    momentum: float = 0.0  # of sgd, Nesterov's
    # one-cycle: a quarter of the steps up, then a cosine to zero
    schedule: Literal["constant", "one-cycle"] = "constant"
    dropout_convolution: float = 0.0  # probability of zeroing a value
    dropout_hidden: float = 0.0
    mirror: bool = False  # flip half of the images
    shift: int = 0  # move each image by up to this many pixels
    label_smoothing: float = 0.0  # 0 … 1, the share of the label that all classes get
    train_images: int | None = None  # so many, the classes in proportion; None for all
    # bfloat16: trained (not evaluated) with 8-bit mantissas where autocast thinks it safe, twice
    # as fast on processors that have it in hardware
    precision: Literal["float32", "bfloat16"] = "float32"
    # plain: cross-entropy; for the others see `training.loss_function`
    loss: Literal["plain", "weighted", "logit-adjusted"] = "plain"
    # which images an epoch draws, see `training.drawn`
    sampling: Literal["plain", "balanced", "under"] = "plain"
    # of each image on its own, see `augmentation`
    rotation: float = 0.0  # turn by up to this many degrees
    zoom: float = 0.0  # enlarge or reduce by up to this share
    light: float = 0.0  # change contrast and brightness by up to this share
    cut_out: int = 0  # side, in pixels, of a square that is set to the image's mean

    def __post_init__(self):
        for name, kind in get_type_hints(Recipe).items():
            if get_origin(kind) is Literal:
                known_or_refuse(name, getattr(self, name), get_args(kind))

    def identity(self) -> dict:
        """What decides the result, as plain JSON values: only what differs from a default, so that
        a new field changes no older recipe's identity.
        """
        return changed_fields(self) | {"architecture": self.architecture.identity()}

    def network(self):
        """The network, its weights drawn anew: see `models.build`."""
        return build(self.architecture, self.dropout_convolution, self.dropout_hidden)


def from_identity(values: dict) -> Recipe:
    """The recipe that `Recipe.identity` and JSON made plain values of."""
    return Recipe(**values | {"architecture": from_values(**values["architecture"])})


# By model: learning rate, weight decay and epochs, and the epochs of `short`, see models.toml.
SETTINGS = {name: model["settings"] for name, model in MODELS.items()}
OPTIMISER = dict(optimizer="adamw", learning_rate=2e-3, weight_decay=1e-2)  # of `short`


def recipe(model: str, profile: str, small: bool) -> Recipe:
    """The recipe of a model at a profile; vary it with `dataclasses.replace`.

    small: whether it is for a small data set (`Faces.small`), such as the drawn faces: `short`
    then takes batches of 32, and deep networks twice the epochs.
    Raises ValueError for an unknown model or profile, naming the known ones.
    Introduced in notebook 03.
    """
    known_or_refuse("model", model, [name for name in ARCHITECTURES if name in SETTINGS])
    known_or_refuse("profile", profile, PROFILES)
    if profile == "smoke":
        return cut(recipe(model, "short", small=False))
    rate, decay, epochs, short_epochs = SETTINGS[model]
    network = ARCHITECTURES[model]
    dropout = dict(dropout_convolution=0.1 if getattr(network, "convolutions", ()) else 0.0)
    dropout["dropout_hidden"] = 0.5 if getattr(network, "hidden", ()) else 0.0
    own = Recipe(network, "adam", rate, decay, epochs, **dropout)
    if profile == "seminar" or not short_epochs:
        return own
    short = OPTIMISER | dict(schedule="one-cycle", mirror=True, shift=3, label_smoothing=0.1)
    short |= dict(epochs=short_epochs[small], batch_size=32 if small else own.batch_size)
    return replace(own, **short | MODELS.get(model, {}).get("short", {}))


def cut(one: Recipe) -> Recipe:
    """A recipe at profile `smoke`: two epochs of 128 images, in batches of a quarter the size."""
    return replace(one, epochs=2, train_images=128, batch_size=one.batch_size // 4)
