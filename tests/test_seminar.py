"""The paper's numbers agree with one another."""

import numpy as np
import pytest

from fer_utils import CLASSES, seminar


def test_class_counts_have_the_known_totals():
    both = seminar.CLASS_COUNTS, seminar.SEMINAR_CLASS_COUNTS
    assert [[sum(row) for row in counts.values()] for counts in both] == [
        [28709, 3589, 3589],
        [28821, 7066],
    ]
    # Both are the same 35,887 pictures, divided otherwise.
    whole = [np.sum(list(counts.values()), axis=0) for counts in both]
    assert whole[0].tolist() == whole[1].tolist()
    assert dict(zip(CLASSES, whole[0], strict=True))["disgust"] == 547


def test_table_3_gives_the_accuracies_on_the_seminars_own_counts():
    counts = np.array(seminar.SEMINAR_CLASS_COUNTS["validation"])
    for model, recall in seminar.RECALL.items():
        assert recall @ counts / counts.sum() == pytest.approx(seminar.ACCURACY[model], abs=0.07)


def test_the_test_sizes_are_those_that_the_decimals_allow():
    def fits(n):
        return all(round(100 * round(a * n / 100) / n, 2) == a for a in seminar.ACCURACY.values())

    assert tuple(n for n in range(3400, 3701) if fits(n)) == seminar.TEST_SIZES
