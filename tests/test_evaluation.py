"""Metrics, intervals and tests agree with scikit-learn, with formulas and with worked examples."""

import json
from math import comb, sqrt

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk
from torch import nn

from fer_utils import evaluation


@pytest.fixture
def answers():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 300)
    return labels, np.where(rng.random(300) < 0.6, labels, rng.integers(0, 7, 300))


def test_metrics_equal_scikit_learns(answers):
    labels, predicted = answers
    measured = evaluation.metrics(labels, predicted)
    assert measured["n"] == 300
    assert measured["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert measured["balanced_accuracy"] == pytest.approx(
        sk.balanced_accuracy_score(labels, predicted)
    )
    assert measured["macro_f1"] == pytest.approx(sk.f1_score(labels, predicted, average="macro"))
    assert measured["recall"] == pytest.approx(sk.recall_score(labels, predicted, average=None))
    assert measured["confusion"] == sk.confusion_matrix(labels, predicted).tolist()
    assert json.loads(json.dumps(measured)) == measured


def test_rows_of_the_confusion_matrix_are_the_true_class():
    confusion = evaluation.metrics(np.array([3, 3, 3]), np.array([3, 5, 5]))["confusion"]
    assert confusion[3] == [0, 0, 0, 1, 0, 2, 0]
    assert np.sum(confusion) == 3


def test_a_class_that_is_never_predicted_counts_as_zero():
    labels = np.repeat(np.arange(7), 10)
    measured = evaluation.metrics(labels, np.where(labels == 1, 0, labels))
    assert measured["recall"] == [1, 0, 1, 1, 1, 1, 1]
    assert measured["accuracy"] == measured["balanced_accuracy"] == pytest.approx(6 / 7)
    angry = 2 * (10 / 20) * 1 / (10 / 20 + 1)  # precision 1/2, recall 1
    assert measured["macro_f1"] == pytest.approx((angry + 0 + 5) / 7)


def test_a_class_without_images_has_no_recall():
    measured = evaluation.metrics(np.array([0, 0, 2]), np.array([0, 2, 2]))
    assert np.shape(measured["confusion"]) == (7, 7), "absent classes keep their row and column"
    assert measured["recall"][:3:2] == [0.5, 1.0]
    assert np.isnan(measured["recall"]).tolist() == [False, True, False, True, True, True, True]
    assert measured["balanced_accuracy"] == 0.75


# ---------------------------------------------------------------- predictions


def test_predict_gives_probabilities_in_evaluation_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(2304, 7)).train()
    images = np.random.default_rng(0).integers(0, 256, (70, 48, 48)).astype(np.uint8)
    probabilities = evaluation.predict(model, images, batch_size=32)
    assert probabilities.shape == (70, 7) and probabilities.dtype == np.float32
    assert probabilities.sum(1) == pytest.approx(np.ones(70), abs=1e-6)
    scores = images.reshape(70, -1) / 255 @ model[2].weight.detach().numpy().T
    scores = scores + model[2].bias.detach().numpy()
    by_hand = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert probabilities == pytest.approx(by_hand, abs=1e-5)
    assert not model.training
    assert np.array_equal(evaluation.predict(model, torch.from_numpy(images), 32), probabilities)


@pytest.mark.parametrize(
    ("size", "expected"), [(None, [30]), (7, [7, 7, 7, 7, 2]), (30, [30]), (9999, [30])]
)
def test_logits_come_in_batches_of_any_size(size, expected):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2304, 7)).eval()
    images = np.random.default_rng(0).integers(0, 256, (30, 48, 48)).astype(np.uint8)
    parts = list(evaluation.logits(model, images, size))
    assert [len(part) for part in parts] == expected
    whole = model(torch.from_numpy(images)[:, None] / 255).detach()
    torch.testing.assert_close(torch.cat(parts), whole)


# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize("correct, n", [(1, 10), (35, 55), (2190, 3589), (0, 55), (55, 55)])
def test_wilson_interval_by_its_formula(correct, n):
    z, p = 1.959964, correct / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = evaluation.wilson_interval(correct, n)
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert 0 <= low <= p <= high <= 1


@pytest.mark.parametrize("correct, n", [(1, 10), (2190, 3589), (0, 55), (55, 55)])
def test_a_score_is_in_percent_with_its_interval(correct, n):
    found = evaluation.score(np.arange(n) < correct)
    expected = stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert found.percent == pytest.approx(100 * correct / n)
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert {type(number) for number in found} == {float}, "plain numbers, for JSON"


def test_a_score_shows_itself_and_its_interval():
    assert str(evaluation.score(np.arange(3589) < 2190)) == "61.02 % (95 %: 59.4 to 62.6)"


def test_mcnemar_by_hand():
    """Of 20 images that one model alone gets right, 15 are a's: P(5 or fewer of 20) twice."""
    correct_a = np.array([True] * 15 + [False] * 5 + [True] * 40 + [False] * 30)
    correct_b = np.array([False] * 15 + [True] * 5 + [True] * 40 + [False] * 30)
    by_hand = 2 * sum(comb(20, k) for k in range(6)) / 2**20
    assert evaluation.mcnemar(correct_a, correct_b) == pytest.approx(by_hand)
    assert evaluation.mcnemar(correct_b, correct_a) == pytest.approx(by_hand)


def test_mcnemar_ignores_where_both_agree():
    a, b = np.array([True, True, False]), np.array([False, False, True])
    agreed = np.ones(500, bool)
    assert evaluation.mcnemar(a, b) == pytest.approx(
        evaluation.mcnemar(np.append(a, agreed), np.append(b, agreed))
    )
    assert evaluation.mcnemar(agreed, agreed) == 1.0
