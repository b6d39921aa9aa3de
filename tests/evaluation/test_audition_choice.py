"""Which backbone an audition takes, and what it says."""

import numpy as np
import pytest

from keras_transfer.evaluation.audition import audition_sentences, choose, cross_validated
from keras_transfer.schemas import AuditionRow


def row(name: str, accuracy: float, parameters: int, error: float = 0.01, multiply_adds: int = 100) -> AuditionRow:
    return {
        "name": name, "accuracy": accuracy, "error": error, "backbone": name, "alpha": None, "weights": "imagenet",
        "parameters": parameters, "multiply_adds": multiply_adds, "seconds": 1.0,
    }  # fmt: skip


def test_the_smallest_within_one_standard_error_of_the_best_is_chosen() -> None:
    rows = [row("small", 0.80, 1), row("middle", 0.895, 5), row("quick", 0.9, 9, multiply_adds=50), row("best", 0.9, 9)]
    assert [each["name"] for each in choose(rows)] == ["middle", "quick"]
    assert [each["name"] for each in choose(rows[2:])] == ["quick", "quick"]
    assert [each["name"] for each in choose([row("middle", 0.88, 5), row("best", 0.9, 9)])] == ["best", "best"]


def test_without_groups_the_error_is_that_of_a_share() -> None:
    random = np.random.default_rng(0)
    labels, answers = random.integers(0, 2, 400), random.random((400, 2))
    found = cross_validated("probe", labels, answers, np.arange(400))
    share = found["accuracy"]
    assert found["error"] == pytest.approx(np.sqrt(share * (1 - share) / 399))


def test_items_of_one_group_count_as_one() -> None:
    labels = np.zeros(400, int)
    right = np.repeat([1.0, 0.0, 1.0, 0.0], 100)
    answers = np.stack([right, 1 - right], axis=1)
    found = cross_validated("probe", labels, answers, np.repeat(np.arange(4), 100))
    assert found["error"] == pytest.approx(np.std([1, 0, 1, 0], ddof=1) / 2)


def test_of_several_labels_each_counts() -> None:
    found = cross_validated("probe", np.eye(2), np.array([[0.9, 0.9], [0.1, 0.9]]), [0, 1])
    assert found["accuracy"] == 0.75


def test_it_says_why_and_what_is_wrong() -> None:
    small, best = row("small", 0.895, 1), row("best", 0.9, 9)
    rival = {"name": "statistics", "accuracy": 0.95, "error": 0.01}
    (why,) = audition_sentences(best, best, None, None)
    assert why == "The backbone is best (90.0% \N{PLUS-MINUS SIGN} 1.0): the best of those on this machine."
    why, negative, flattery = audition_sentences(small, best, rival, 0.99)
    assert "small (89.5%" in why and "one standard error of the best, best (90.0%" in why
    assert "Negative transfer" in negative and "statistics (95.0%" in negative
    assert "99.0%" in flattery and "flatter by 9.5 points" in flattery
    assert "flatter" not in audition_sentences(best, best, None, 0.9)[1]
    assert len(audition_sentences(best, best, {"name": "statistics", "accuracy": 0.9, "error": 0.01}, None)) == 1
