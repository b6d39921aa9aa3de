"""Whole jobs on series: trained, exported, proved, predicted, evaluated, compared."""

import json

import numpy as np
import pytest

from keras_transfer.evaluation import evaluate, open_classifier, predict_files
from keras_transfer.evaluation.timeline import timeline
from keras_transfer.jobs.add_class import add_class
from keras_transfer.jobs.report import report_run
from keras_transfer.jobs.shift import shift_run
from keras_transfer.jobs.train import train
from keras_transfer.modalities import open_modality
from keras_transfer.modalities.series.made import CHANNELS, RATE, made_gestures
from keras_transfer.recipe import make_recipe


def write_long_table(path, seed, count=240):
    """Made gestures one behind the other, hand by hand."""
    series, labels, hands = made_gestures(count, seed)
    lines, row = ["time," + ",".join(CHANNELS) + ",gesture,hand"], 0
    for i in np.lexsort((labels, hands)):
        for values in series[i]:
            lines.append(f"{row / RATE:.2f}," + ",".join(f"{v:.4f}" for v in values) + f",{labels[i]},{hands[i]}")
            row += 1
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run trained on windows of a long table."""
    folder = tmp_path_factory.mktemp("series")
    table = write_long_table(folder / "gestures.csv", 0)
    recipe = make_recipe(
        data=str(table), backbone="rocket_small", window=2, group_by="hand", test=0.3, baselines="none",
        formats=("float32", "int8"),
    )  # fmt: skip
    return folder / "run", train(recipe, folder / "run")


def test_its_files_take_raw_samples_of_a_window(run):
    folder, result = run
    (tensor,) = result["inputs"]["tensors"]
    assert tensor["name"] == "series" and tensor["shape"] == [100, 3] and tensor["dtype"] == "float32"
    assert result["inputs"]["preparation"]["channels"] == list(CHANNELS) and result["gate"] is None
    assert result["test"]["accuracy"] > 0.5
    proof = json.loads((folder / "export" / "model_int8.json").read_text())
    assert proof["input"]["dtype"] in ("int8", "uint8") and proof["agreement"] > 0.7
    assert result["fitted_to_val"] and result["temperature"] == 1  # by items that are left out in turn
    assert proof["inputs"] == result["inputs"]  # the whole model, normalization included
    hands = {}
    for line in (folder / "data.csv").read_text().splitlines()[1:]:
        cells = line.split(",")
        hands.setdefault(cells[-1], set()).add(cells[2])
    assert all(len(sides) == 1 for sides in hands.values())


def test_long_recordings_are_heard_in_windows(run, tmp_path):
    series, labels, _ = made_gestures(8, 5)
    path = tmp_path / "new.csv"
    rows = series[:4].reshape(-1, 3)
    path.write_text("x,y,z\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f}\n" for a, b, c in rows))
    classifier = open_classifier(run[0] / "export" / "model_int8.tflite")
    (whole,) = predict_files(classifier, [path])
    assert not whole.problem and whole.label in labels
    segments = list(timeline(classifier, str(path), 0.5))
    assert segments[0].start == 0 and segments[-1].end == pytest.approx(8) and len(segments) >= 2
    broken = tmp_path / "broken.csv"
    broken.write_text("x,y\n1,2\n3,4\n")
    (answer,) = predict_files(classifier, [broken])
    assert "no channel 'z'" in answer.problem


def test_a_class_is_added_from_windows(run, tmp_path):
    still = np.random.default_rng(0).normal(0, 0.01, (400, 3))
    (tmp_path / "still.csv").write_text("x,y,z\n" + "".join(f"{a:.4f},{b:.4f},{c:.4f}\n" for a, b, c in still))
    result = add_class(run[0], "still", [tmp_path / "still.csv"], tmp_path / "out")
    assert result["classes"] == [*run[1]["classes"], "still"] and result["added"]["examples"] == 4
    assert result["added"]["recognized"] == 4


def test_another_table_is_cut_into_the_same_windows(run, tmp_path):
    table = write_long_table(tmp_path / "other.csv", 7, 60)
    series = open_modality("series")
    from keras_transfer.modalities import held_out

    items = held_out(str(table), preparation=run[1]["inputs"]["preparation"])
    assert len(items) >= 55 and all("#row=" in str(path) for path in items.paths)
    assert evaluate(run[0], items)["accuracy"] > 0.5
    assert series.items_in(table) is None


def test_pages_show_worse_series_and_where_new_ones_differ(run, tmp_path):
    report_run(run[0], corruptions=True)
    page = (run[0] / "report.html").read_text()
    assert "samples that did not arrive" in page and "data:image/png" in page
    assert "the moments glow whose deletion" in page and "Grad-CAM" not in page
    series, _, _ = made_gestures(60, 9)
    (tmp_path / "new").mkdir()
    for i, values in enumerate(3 * series):
        np.save(tmp_path / "new" / f"{i}.npy", values)
    shift = shift_run(run[0], tmp_path / "new", tmp_path / "out")
    assert any("stronger" in (row["words"] or "") for row in shift["differences"])
    bare = tmp_path / "bare.csv"
    bare.write_text("x,y,z\n" + "".join(f"{a:.3f},{b:.3f},{c:.3f}\n" for a, b, c in series.reshape(-1, 3)))
    assert shift_run(run[0], bare, tmp_path / "again")["images"]["new"] == 60
