"""The README's first command."""

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from keras_transfer.cli import demo
from keras_transfer.cli.app import app

# The command as it is, but for what takes long in it: fewer pictures to draw, and less training of the baseline.
PROGRAM = """
from keras_transfer.cli import app, demo
from keras_transfer.jobs import baselines
demo._RECIPES["pizza"]["data"] = "pizza:per_class=60"
baselines._SCRATCH_EPOCHS = (2, 3)
app.run()
"""


@pytest.mark.slow
def test_demo_runs_offline_from_nothing_to_a_report(tmp_path):
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "demo", "--few-shot", "4", "--out", str(out)],
        capture_output=True, text=True, timeout=500,
        env=os.environ | {"KERAS_TRANSFER_CACHE": str(tmp_path / "cache"), "KERAS_HOME": str(tmp_path / "nothing")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "keras-transfer train PHOTOS/" in done.stdout
    result = json.loads((out / "result.json").read_text())
    outcomes = {file["path"]: file["gate"]["outcome"] for file in result["artifacts"]}
    assert outcomes[result["recommended"]] == "pass" and f"Next: keras-transfer predict {out}" in done.stdout
    assert f"Use this: {result['recommended'].split('/')[-1]}\n" in done.stdout
    assert result["images"]["train"] == 16 and result["images"]["test"] > 100
    assert any("drawn by a program" in warning for warning in result["warnings"])
    assert any("ImageNet weights are better" in warning for warning in result["warnings"])
    report = json.loads((out / "report.json").read_text())
    assert {"majority", "pretrained probe", "random probe", "scratch"} == {row["kind"] for row in report["baselines"]}
    assert (out / "report.html").stat().st_size < 3e6 and (out / "export" / "model_int8.tflite").is_file()


def test_demo_of_texts_runs_offline_in_seconds(tmp_path):
    out = tmp_path / "run"
    printed = CliRunner().invoke(app, ["demo", "--modality", "text", "--out", str(out)])
    assert printed.exit_code == 0, printed.output
    result = json.loads((out / "result.json").read_text())
    assert result["inputs"]["modality"] == "text" and 0.8 < result["test"]["accuracy"] < 1
    assert all(file["gate"]["outcome"] != "fail" for file in result["artifacts"])
    assert "keras-transfer train TABLE.csv" in printed.output and "made by a program" in printed.output


def test_demo_of_sounds_runs_offline(tmp_path, monkeypatch):
    monkeypatch.setitem(demo._RECIPES, "made-sounds", demo._RECIPES["made-sounds"] | {"data": "made-sounds:120"})
    out = tmp_path / "run"
    printed = CliRunner().invoke(app, ["demo", "--modality", "audio", "--out", str(out)])
    assert printed.exit_code == 0, printed.output
    result = json.loads((out / "result.json").read_text())
    assert result["inputs"]["modality"] == "audio" and result["test"]["accuracy"] > 0.6
    assert all(file["gate"]["outcome"] != "fail" for file in result["artifacts"])
    assert "keras-transfer train SOUNDS/" in printed.output and "made by a program" in printed.output
