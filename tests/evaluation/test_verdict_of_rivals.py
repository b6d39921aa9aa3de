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
