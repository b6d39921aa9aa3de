"""Events in long series: the stretches of one label of a table with a row for each moment."""

import numpy as np
import pytest

from keras_transfer import InputError
from keras_transfer.data.listing import Layout
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.inputs import TensorSpec
from keras_transfer.jobs.stream import evaluate_stream
from keras_transfer.modalities.series.preparer import SeriesPreparer

RATE = 50
PREPARER = SeriesPreparer(length=25, channels=("x", "y"), rate=float(RATE), windows=True)


def classifier() -> Classifier:
    """Hears from the first channel whether it moves: 1 is a wave, 2 a shake."""
    spec = PREPARER.spec([TensorSpec("series", (25, 2))])

    def run(windows):
        level = windows[:, :, 0].mean(axis=1)
        rows = np.stack([(level > 0.5) & (level <= 1.5), level > 1.5, level <= 0.5], axis=1)
        return (0.85 * rows + 0.05).astype(np.float32)

    return Classifier(None, spec, ["wave", "shake", "nothing"], True, False, run)


@pytest.fixture
def table(tmp_path):
    """A minute of two people; each waves and shakes once, and the second one's wave has no label."""
    lines = ["time,x,y,label,person"]
    for row in range(60 * RATE):
        second, person = row / RATE, "anna" if row < 30 * RATE else "ben"
        kind = {5: 1, 20: 2, 35: 1, 50: 2}.get(int(second) // 2 * 2 + 1, 0)
        word = "" if kind == 0 or (kind == 1 and person == "ben") else ("wave", "shake")[kind - 1]
        lines.append(f"{second:.2f},{kind},0,{word},{person}")
    path = tmp_path / "gestures.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_stretches_of_a_table_are_events(table) -> None:
    layout = Layout(label_column="label", group_by="person")
    found = evaluate_stream(classifier(), str(table), layout=layout)
    labelled = {name: row["events"] for name, row in found["per_class"].items()}
    assert labelled == {"wave": 1, "shake": 0} and found["recordings"] == 1 and found["hop"] == 0.125
    assert found["hours"] == pytest.approx(1 / 60, rel=1e-3)
    assert found["all"]["misses"] == 0 and found["all"]["false_accepts"] == 1
    assert found["per_class"]["wave"]["false_accepts"] == 1


def test_without_a_rate_there_are_no_hours(table, tmp_path) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("".join(line.partition(",")[2] + "\n" for line in table.read_text().splitlines()))
    known = evaluate_stream(classifier(), str(bare), layout=Layout(label_column="label"))  # the model says its rate
    assert known["hours"] == pytest.approx(1 / 60)
    own = classifier()
    silent = SeriesPreparer(length=25, channels=("x", "y"), windows=True).spec([TensorSpec("series", (25, 2))])
    with pytest.raises(InputError, match="--rate"):
        evaluate_stream(
            Classifier(None, silent, own.class_names, True, False, own.run),
            str(bare),
            layout=Layout(label_column="label"),
        )
