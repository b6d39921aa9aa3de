"""Learning curves: their points, where they meet, what is forecast and what is said."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_transfer.evaluation.intervals import paired_difference
from keras_transfer.evaluation.learning_curve import advice, curve_rows, forecast, last_gain, meeting


def rows_of(sizes, means):
    return [{"images": size, "mean": mean, "spread": 0.0} for size, mean in zip(sizes, means, strict=True)]


@settings(max_examples=40)
@given(st.floats(0, 0.3), st.floats(0.2, 0.6), st.floats(0.2, 1.0))
def test_a_power_law_is_foreseen(floor: float, scale: float, power: float) -> None:
    sizes = [10 * 2**i for i in range(7)]
    means = [1 - floor - scale * (size / 10) ** -power for size in sizes]
    found = forecast(rows_of(sizes[:-1], means[:-1]), sizes[-1])
    assert found == pytest.approx(means[-1], abs=0.01)
    assert forecast(rows_of(sizes[:3], means[:3]), 100) is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
@example([(1.4e-45, 0.0), (0.0, 1.0)])
def test_after_the_meeting_scratch_is_no_worse(means: list[tuple[float, float]]) -> None:
    sizes = [16 * 2**i for i in range(len(means))]
    found = meeting(rows_of(sizes, [m[0] for m in means]), rows_of(sizes, [m[1] for m in means]))
    if found is None:
        assert means[-1][0] > means[-1][1]
    else:
        assert sizes[0] <= found <= sizes[-1]
        assert all(scratch >= ours for size, (ours, scratch) in zip(sizes, means, strict=True) if size > found * 1.001)


def test_the_last_gain_is_the_paired_difference_where_each_image_is_left_out_once() -> None:
    random = np.random.default_rng(0)
    parts = np.array_split(random.permutation(100), 5)
    right = [[random.random(len(part)) < share for share in (0.5, 0.6, 0.8)] for part in parts]
    found = last_gain(right, parts)
    pooled = paired_difference(*(np.concatenate([draw[i] for draw in right]) for i in (2, 1)))
    assert found == {key: pytest.approx(pooled[key]) for key in ("value", "low", "high")}
    rows = curve_rows([20, 40, 80], right)
    assert rows[2]["least"] <= rows[2]["mean"] <= rows[2]["most"] and len(rows[0]["draws"]) == 5


def said(gain, unfreezing=None, scratch=None, crossing=None, width=0.01):
    sizes = [50, 100]
    ways = {"head": rows_of(sizes, [0.6, 0.7])} | ({"scratch": rows_of(sizes, scratch)} if scratch else {})
    low, high = gain - width, gain + width
    told = (
        {"low": unfreezing - 0.02, "high": unfreezing + 0.02, "value": unfreezing} if unfreezing is not None else None
    )
    figures = {"value": gain, "low": low, "high": high}
    return " ".join(advice(sizes, ways, meeting=crossing, gain=figures, forecast=None, unfreezing=told))


def test_what_is_said_follows_from_the_curves() -> None:
    assert "More data would help" in said(0.05) and "Unfreezing" not in said(0.05)
    assert "hardly help" in said(0.0) and "fine-tuning is the next step" in said(0.0)
    assert "do not show whether" in said(0.03, width=0.05) and "still rises" not in said(0.03, width=0.05)
    assert "Unfreezing helped" in said(0.0, 0.05) and "unfreezing more may help" in said(0.0, 0.05)
    assert "not better beyond chance" in said(0.05, 0.0)
    assert "does not reach transfer" in said(0.05, scratch=[0.2, 0.4])
    assert "meet at about 70 items" in said(0.05, scratch=[0.2, 0.8], crossing=70.0)
    assert "from the first 50 items" in said(0.05, scratch=[0.7, 0.8], crossing=50.0)
