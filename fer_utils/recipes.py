"""Every hyper-parameter of a training, as data. Introduced in notebook 03.

Three profiles: ``seminar`` (the paper's own learning rate, weight decay and epochs), ``short`` (the
default: the same networks, few epochs, a modern schedule) and ``smoke`` (seconds, only proves that
a notebook runs).
"""

from dataclasses import asdict, dataclass, replace

from fer_utils.data import Faces
from fer_utils.models import ARCHITECTURES, Architecture

PROFILES = ("smoke", "short", "seminar")


@dataclass(frozen=True)
class Recipe:
    """What decides a training's result, apart from data, seed and ``training.TRAINING_VERSION``.

    model, profile: labels for people; they do not take part in a run's identity.
    optimizer: ``sgd``, ``adam`` (weight decay as L2) or ``adamw`` (decoupled). learning_rate:
    constant, or the peak. schedule: ``constant`` or ``one-cycle`` (a quarter of the steps up,
    then a cosine to zero). dropout_*: probability of zeroing a value. mirror: flip half of the
    images. shift: move each image by up to this many pixels. label_smoothing: 0 … 1.
    train_images: train on so many images, chosen at random in proportion to the classes; None
    for all. precision: ``float32``, or ``bfloat16`` to train (not evaluate) with 8-bit mantissas
    where autocast thinks it safe: twice as fast on processors that have it in hardware.
    """

    model: str
    profile: str
    architecture: Architecture
    optimizer: str
    learning_rate: float
    weight_decay: float
    epochs: int
    batch_size: int = 128
    schedule: str = "constant"
    dropout_convolution: float = 0.0
    dropout_hidden: float = 0.0
    mirror: bool = False
    shift: int = 0
    label_smoothing: float = 0.0
    train_images: int | None = None
    precision: str = "float32"

    def identity(self) -> dict:
        """The fields that decide the result, as plain JSON values."""
        fields = asdict(self)
        labels = {"model", "profile"}
        if self.precision == "float32":  # the only one when the first runs were made
            labels.add("precision")
        return {name: value for name, value in fields.items() if name not in labels}


SMALL = 10_000  # training images
SHORT_EPOCHS = {"hidden_layer": 10, "shallow": 10, "deep": 8, "deeper": 8, "deeper_256_last": 8}
# Learning rate, weight decay, epochs (§3, §4). The first model's rate and decay are not stated, and
# hidden_layer is ours: it has shallow's.
SEMINAR = {
    "fully_connected": (3e-4, 0.0, 30),
    "hidden_layer": (1e-5, 1e-7, 120),
    "shallow": (1e-5, 1e-7, 120),
    "deep": (1e-4, 1e-7, 100),
    "deeper": (1e-4, 1e-7, 100),
    "deeper_256_last": (1e-4, 1e-7, 100),
}


def recipe(model: str, profile: str = "short", faces: Faces | None = None) -> Recipe:
    """The recipe of a model at a profile; vary it with ``dataclasses.replace``.

    faces: what it shall be trained on. On a small data set, such as the drawn faces, ``short``
    takes batches of 32, and for more than two convolutions twice the epochs: depth needs steps.
    Raises ValueError for an unknown model or profile, naming the known ones.
    """
    if model not in ARCHITECTURES:
        raise ValueError(f"unknown model {model!r}: choose one of {', '.join(ARCHITECTURES)}")
    if profile not in PROFILES:
        raise ValueError(f"unknown profile {profile!r}: choose one of {', '.join(PROFILES)}")
    if profile == "smoke":
        return replace(recipe(model), profile="smoke", epochs=2, train_images=256, batch_size=64)
    rate, decay, epochs = SEMINAR[model]
    own = Recipe(
        model,
        profile,
        ARCHITECTURES[model],
        "adam",
        rate,
        decay,
        epochs,
        dropout_convolution=0.1 if ARCHITECTURES[model].convolutions else 0.0,
        dropout_hidden=0.5 if ARCHITECTURES[model].hidden else 0.0,
    )
    if profile == "seminar" or model == "fully_connected":  # one layer gains nothing from the rest
        return own
    small = faces is not None and bool(faces.counts()[0].sum() < SMALL)
    twice = small and len(own.architecture.convolutions) > 2
    return replace(
        own,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        epochs=SHORT_EPOCHS[model] * (1 + twice),
        batch_size=32 if small else own.batch_size,
        schedule="one-cycle",
        mirror=True,
        shift=3,
        label_smoothing=0.1,
    )
