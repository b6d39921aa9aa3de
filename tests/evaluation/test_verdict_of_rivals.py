"""What a verdict says of a simple method that a run is compared with."""

import pytest

from keras_transfer.evaluation.verdict import verdict


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (0.01, "is as good"),
        (-0.1, "is as good"),
        (-0.3, "is better by 30.0 points"),
        (0.2, "40 test items cannot show"),
        (0.4, None),
    ],
)
def test_a_rival_far_behind_is_not_called_as_good_for_want_of_test_items(gap: float, said: str | None) -> None:
    accuracy = {"value": 0.8, "low": 0.65, "high": 0.9}
    row = {
        "kind": "rival",
        "name": "TF-IDF",
        "accuracy": {**accuracy, "value": 0.8 - gap},
        "difference": {"value": gap, "low": gap - 0.25, "high": gap + 0.25},
    }
    remarks = " ".join(verdict(accuracy, 40, [row], transfers=True)["remarks"])  # type: ignore[arg-type, list-item]
    assert said in remarks if said else "TF-IDF" not in remarks


@pytest.mark.parametrize("kind", ["scratch", "random probe"])
def test_worse_than_random_weights_is_negative_transfer(kind: str) -> None:
    accuracy = {"value": 0.3, "low": 0.25, "high": 0.35}
    row = {
        "kind": kind,
        "name": kind,
        "accuracy": {**accuracy, "value": 0.5},
        "difference": {"value": -0.2, "low": -0.3, "high": -0.1},
    }
    found = verdict(accuracy, 400, [row], transfers=True)  # type: ignore[arg-type, list-item]
    assert found["outcome"] == "negative" and found["sentences"][0].startswith("Negative transfer: 30.0%")
