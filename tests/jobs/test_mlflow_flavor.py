"""The flavor of MLflow, against a real server with SQLite and MLflow's own scoring server."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import keras
import numpy as np
import pytest
from PIL import Image

from keras_transfer.geometry import MODES
from keras_transfer.inputs import TensorSpec
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities.image import ImagePreparer
from keras_transfer.operations import registry as room

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow (the extra `mlflow`)"),
]
ROOT = Path(__file__).parents[2]
NAMES = ["crème brûlée", "sushi", "waffles"]
# In a process of its own: MLflow warns much, and keeps where its server is for the whole process.
CLIENT = """
import json, os, sys
from pathlib import Path
import mlflow, pandas as pd
from keras_transfer.jobs.mlflow_flavor import publish
from keras_transfer.operations.registry import open_registry, rollback
place, picture = sys.argv[1:]
registry, uri, client = open_registry(place), os.environ["MLFLOW_TRACKING_URI"], mlflow.MlflowClient()
def look():
    model = mlflow.pyfunc.load_model("models:/cats@champion")
    versions = client.search_model_versions("name = 'cats'")
    return {
        "answer": model.predict(pd.DataFrame({"item": [Path(picture).read_bytes()] * 2})).to_dict("records"),
        "aliases": {alias: int(number) for alias, number in client.get_registered_model("cats").aliases.items()},
        "ids": {int(version.version): version.tags["keras_transfer.id"] for version in versions},
        "flavors": sorted(model.metadata.flavors),
        "class_names": model.metadata.metadata["class_names"],
    }
numbers = [publish(registry, reference, uri) for reference in ("cats@1", "cats@champion", "cats@2")]
before = look()
rollback(registry, "cats")
numbers.append(publish(registry, "cats@champion", uri))
print(json.dumps({"numbers": numbers, "before": before, "after": look()}))
"""


@pytest.fixture(scope="module")
def serving(import_benchmark) -> ModuleType:
    return import_benchmark("mlflow_serving")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    Image.fromarray(noise).resize((90, 60)).save(path)
    return path


@pytest.fixture(scope="module")
def runs(import_benchmark, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished runs with an int8 file each."""
    bench, folder, made = import_benchmark("registry"), tmp_path_factory.mktemp("runs"), []
    spec = ImagePreparer(MODES["squash"]).spec((TensorSpec("image", (24, 32, 3)),))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 24, 32, 3), dtype=np.uint8)
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        inputs = keras.Input((24, 32, 3))
        x = keras.layers.Conv2D(8, 3, strides=4)(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x)))
        run = bench.made_run(folder / str(seed), seed)
        content = write_labels(convert(model, ["int8"], calibration=pixels)["int8"], NAMES, spec)
        (run / "export" / "model_int8.tflite").write_bytes(content)
        (run / "report.md").write_text("# A model card\n")
        made.append(run)
    return made


def test_registry_aliases_and_both_servers(serving: ModuleType, runs, picture: Path, tmp_path: Path) -> None:
    from keras_transfer.evaluation import open_classifier, predict_files

    registry = room.open_registry(tmp_path / "registry")
    ids = {number: room.add(registry, run, "cats")["id"] for number, run in enumerate(runs, 1)}
    room.promote(registry, "cats@1")
    room.promote(registry, "cats@2")
    room.promote(registry, "cats@1", "challenger")
    with serving.tracking_server(tmp_path) as uri:
        given = {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
        call = [sys.executable, "-c", CLIENT, registry.place, str(picture)]
        done = subprocess.run(call, capture_output=True, text=True, env=os.environ | serving.QUIET | given, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        said = json.loads(done.stdout.splitlines()[-1])
        model = ["models", "serve", "-m", "models:/cats@champion", "--env-manager", "local"]
        with serving.server(tmp_path, model, given) as scoring:
            row = serving.ask(scoring, runs[0], [picture], 75)
    assert row["ok"], row
    assert said["numbers"] == [1, 2, 2, 1]
    for moment, champion in (("before", 2), ("after", 1)):
        found = said[moment]
        assert found["aliases"] == {"champion": champion, "challenger": 1} and found["ids"] == _by_text(ids)
        assert found["flavors"] == ["litert", "python_function"] and found["class_names"] == NAMES
        classifier = open_classifier(runs[champion - 1] / "export" / "model_int8.tflite")
        [expected] = predict_files(classifier, [picture])
        for answer in found["answer"]:
            assert (answer["label"], answer["confidence"]) == (expected.label, expected.confidence)
            assert sorted(answer["scores"], reverse=True) == [score for _, score in expected.top]


def _by_text(ids: dict[int, str]) -> dict[str, str]:
    """As JSON has it."""
    return {str(number): id_ for number, id_ in ids.items()}
