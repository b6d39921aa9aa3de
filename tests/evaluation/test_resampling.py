"""Figures over folds: the corrected interval, and p-values of several questions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from keras_transfer.evaluation.resampling import adjusted, resampled_mean


@settings(max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=12), st.integers(10, 1000))
def test_without_held_out_images_it_is_students_t_test(values: list[float], train: int) -> None:
    if np.std(values) < 1e-6:
        return
    plain, found = ttest_1samp(values, 0), resampled_mean(values, train, 0)
    ends = plain.confidence_interval()
    assert found["p"] == pytest.approx(plain.pvalue, abs=1e-9)
    assert (found["low"], found["high"]) == pytest.approx((ends.low, ends.high), abs=1e-9)
    wider = resampled_mean(values, train, train // 4)
    assert wider["low"] < found["low"] < found["high"] < wider["high"] and wider["p"] >= found["p"]


def test_two_equal_ways_are_seldom_called_different() -> None:
    """Nearest-mean classifiers on two halves of the features: equal in truth, trained on overlapping folds."""
    random, believed = np.random.default_rng(0), 0
    for _ in range(200):
        labels = np.arange(60) % 2
        rows = random.normal(size=(60, 8)) + 0.5 * labels[:, None]
        gains = []
        for _ in range(3):
            for part in np.array_split(random.permutation(60), 5):
                rest = np.setdiff1d(np.arange(60), part)
                right = []
                for columns in (slice(0, 4), slice(4, 8)):
                    means = [rows[rest][labels[rest] == c][:, columns].mean(axis=0) for c in (0, 1)]
                    distances = [((rows[part][:, columns] - mean) ** 2).sum(axis=1) for mean in means]
                    right.append((np.argmin(distances, axis=0) == labels[part]).mean())
                gains.append(right[1] - right[0])
        believed += resampled_mean(gains, 48, 12)["p"] < 0.05
    assert believed <= 20  # 5% are promised; the uncorrected test believes a third of them


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_no_smaller_keeps_the_order_and_the_smallest_is_bonferronis(values: list[float]) -> None:
    found = adjusted(values)
    assert all(new >= old - 1e-9 for new, old in zip(found, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(found)[order]) >= 0).all()
    assert min(found) == pytest.approx(min(1, min(values) * len(values)))
