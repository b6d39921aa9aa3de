"""What is said of a model from elsewhere that knows nothing of the photographs."""

from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data import Split
from keras_transfer.data.split import Paths
from keras_transfer.evaluation import Classifier, chance_hint, in_text_order, metrics
from keras_transfer.evaluation.hints import beats_chance
from keras_transfer.modalities.image import ImagePreparer


@pytest.mark.parametrize(
    ("counts", "beats"),
    [
        ([[50, 0], [0, 50]], True),
        ([[0, 10], [0, 90]], False),  # always the frequent class: 90% right, and no better than chance
        ([[28, 22], [22, 28]], False),  # 56 of 100, within what chance does
        ([[35, 15], [15, 35]], True),
        ([[0, 50], [50, 0]], False),  # swapped
        ([[1, 0], [0, 0]], False),  # one image tells nothing
    ],
)
def test_chance_is_that_of_the_answers_dealt_out_at_random(counts: list[list[int]], beats: bool) -> None:
    assert beats_chance({"confusion_matrix": counts}) is beats


def test_answers_at_random_seldom_pass_for_knowledge() -> None:
    random = np.random.default_rng(0)
    passed = []
    for _ in range(400):
        classes, images = random.integers(2, 10), random.integers(50, 400)
        counts = np.zeros((classes, classes), int)
        np.add.at(counts, tuple(random.integers(0, classes, (2, images))), 1)
        passed.append(beats_chance({"confusion_matrix": counts.tolist()}))
    assert 0 < np.mean(passed) < 0.1  # 5% by the test's own word


def test_the_hint_names_what_may_be_wrong(tmp_path: Path) -> None:
    scores = metrics([0, 1] * 20, np.tile([0.9, 0.1], (40, 1)), ["cat", "dog"])
    model = Classifier(tmp_path / "own.keras", ImagePreparer().spec(8), ["0", "1"], False, False, lambda pixels: pixels)
    hint = chance_hint(model, scores)
    assert "own.keras does no better than chance here (50.0% right)" in hint
    assert "--pixels 0..1" in hint and "another order than cat, dog, put a labels.txt" in hint
    named = Classifier(
        tmp_path / "a.tflite", ImagePreparer().spec(8), ["cat", "dog"], True, False, lambda pixels: pixels
    )
    assert "--pixels" not in chance_hint(named, scores) and "labels.txt" not in chance_hint(named, scores)
    assert chance_hint(named, metrics([0, 1] * 20, np.tile([[0.9, 0.1], [0.1, 0.9]], (20, 1)), ["cat", "dog"])) == ""


def split(names: list[str], labels: np.ndarray) -> Split:
    return Split(
        "test", Paths(f"{i}.png" for i in range(len(labels))), labels, ["0"] * len(labels), names, ImagePreparer()
    )


def test_classes_in_text_order(capsys: pytest.CaptureFixture[str]) -> None:
    ours = split(["2", "9", "10"], np.array([0, 1, 2, 2], np.int32))
    found = in_text_order(ours)
    assert found.class_names == ["10", "2", "9"] and found.labels.tolist() == [1, 2, 0, 0]
    assert "counted as Keras's loaders count them: 10, 2, 9" in capsys.readouterr().err
    several = split(["2", "10"], np.array([[1, 0], [1, 1]], np.float32))
    assert in_text_order(several).labels.tolist() == [[0, 1], [1, 1]]
    plain = split(["a", "b"], np.array([0, 1], np.int32))
    assert in_text_order(plain) is plain
