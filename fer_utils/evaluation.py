"""What a prediction is worth: metrics, intervals, paired tests. Introduced in 02 to 05."""

from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from sklearn import metrics as sk

from fer_utils import CLASSES


@torch.no_grad()
def predict(model: torch.nn.Module, images, batch_size=None, temperature=1.0) -> np.ndarray:
    """Class probabilities, float32 [n, 7], rows summing to 1, of images uint8 [n, 48, 48].

    temperature: what the logits are divided by, see `Run.temperature`. Runs in evaluation mode on
    the model's device and leaves the model in it.
    """
    model.eval()
    parts = [(part / temperature).softmax(1) for part in logits(model, images, batch_size)]
    return torch.cat(parts).cpu().numpy()


@torch.no_grad()
def logits(model: torch.nn.Module, images, batch_size: int | None = None):
    """Yield the logits, float32 [b, 7], of each batch of images uint8 [n, 48, 48].

    batch_size: None is 512 on a CPU and 4,096 elsewhere.
    """
    device = device_of(model)
    size = batch_size or (512 if device.type == "cpu" else 4096)
    for part in torch.as_tensor(images).split(size):
        yield model(scaled(part, device))


def scaled(images, device: torch.device) -> torch.Tensor:
    """What a network takes: float32 [n, 1, 48, 48] in 0 … 1 of images uint8 [n, 48, 48]."""
    x = torch.as_tensor(images).to(device)[:, None].float() / 255
    return x.contiguous(memory_format=torch.channels_last)


def device_of(model: torch.nn.Module) -> torch.device:
    """Where a network is."""
    return next(model.parameters()).device


def metrics(labels: np.ndarray, predicted: np.ndarray) -> dict:
    """Metrics of predicted classes int [n] against labels int [n], as plain JSON values.

    n; accuracy, balanced_accuracy (mean recall), macro_f1 (each 0 … 1); recall [7]; confusion
    [7][7] counts with rows = true. A class without images has recall NaN.
    Introduced in notebook 02.
    """
    classes = range(len(CLASSES))
    matrix = sk.confusion_matrix(labels, predicted, labels=classes)
    recall = sk.recall_score(labels, predicted, labels=classes, average=None, zero_division=np.nan)
    f1 = sk.f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)
    found = {"n": int(matrix.sum()), "accuracy": float(matrix.trace() / matrix.sum())}
    found |= {"balanced_accuracy": float(np.nanmean(recall)), "macro_f1": float(f1)}
    return found | {"recall": recall.tolist(), "confusion": matrix.tolist()}


class Score(NamedTuple):
    """An accuracy in percent and its 95 % interval (Wilson 1927). Introduced in notebook 03."""

    percent: float
    low: float
    high: float

    def __str__(self):
        return f"{self.percent:.2f} % (95 %: {self.low:.1f} to {self.high:.1f})"


def score(right: np.ndarray) -> Score:
    """The score of correct/incorrect answers, bool [n]."""
    interval = wilson_interval(right.sum(), len(right))
    return Score(*(100 * float(share) for share in (right.mean(), *interval)))


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """95 % interval (0 … 1) of a proportion `correct` of `n` (Wilson 1927).

    Introduced in notebook 03.
    """
    interval = stats.binomtest(int(correct), int(n)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> float:
    """Exact two-sided p-value that two models err equally often on the same images (McNemar 1947).

    correct_a, correct_b: bool [n], in the same image order. Introduced in notebook 05.
    """
    only_a = int(np.sum(correct_a & ~correct_b))
    only_b = int(np.sum(~correct_a & correct_b))
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
