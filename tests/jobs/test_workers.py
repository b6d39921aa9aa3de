"""Training on two workers, which are two processes here, on the loopback address."""

import json
import os
import signal
import socket
import subprocess
import time

import keras
import pytest
from in_turn import short_command

from keras_transfer.errors import InputError
from keras_transfer.jobs.parts import read_history
from keras_transfer.modalities.image import load_images
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.recipe import Phase, make_recipe, write_recipe
from keras_transfer.training.probe import settle_batchnorm
from keras_transfer.training.workers import join_workers


def start(recipe, out, cache):
    """Starts the chief and one more worker with the same call."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        places = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, other)]
    workers = []
    for index in range(2):
        told = {"cluster": {"worker": places}, "task": {"type": "worker", "index": index}}
        command, path = short_command("train", "--recipe", recipe, "--out", out)
        environment = os.environ | path | {"KERAS_TRANSFER_CACHE": str(cache), "TF_CONFIG": json.dumps(told)}
        pipe = subprocess.PIPE
        workers.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
    return workers


def end(workers):
    outputs = [worker.communicate(timeout=240) for worker in workers]
    return [worker.returncode for worker in workers], outputs


def figures(run):
    return [
        {name: value for name, value in row.items() if name != "seconds"} for row in read_history(run / "history.csv")
    ]


@pytest.fixture(scope="module")
def recipe(coloured_noise, short_networks, tmp_path_factory):
    folder = coloured_noise(tmp_path_factory.mktemp("photographs"), 31, (48, 64))
    weights = tmp_path_factory.mktemp("weights") / "net.keras"
    keras.utils.set_random_seed(1)
    network = build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none")
    settle_batchnorm(network, load_images(folder).train)
    network.save(weights)
    phases = [
        Phase(name="frozen", epochs=8, learning_rate=0.02, batch_size=16),
        Phase(name="tuned", stages=1, batchnorm=True, epochs=3, learning_rate=0.002, batch_size=16, l2_sp=1.0),
    ]
    told = make_recipe(
        data=str(folder), backbone="mobilenet", alpha=0.25, weights=str(weights), image_size=32, geometry="crop",
        strategy="fine-tuning", phases=phases, views=2, formats=["float32"], tolerance=0.9, baselines="none",
    )  # fmt: skip
    return write_recipe(tmp_path_factory.mktemp("recipe") / "recipe.yaml", told)


@pytest.mark.slow
def test_two_workers_killed_and_resumed(recipe, tmp_path):
    """The run that lost a worker goes on to the same figures as the one that was left alone."""
    codes, outputs = end(start(recipe, tmp_path / "alone", tmp_path / "cache"))
    assert codes == [0, 0], outputs
    assert "the chief goes on alone" in outputs[1][1] and "model_float32.tflite" in outputs[0][0]
    result = json.loads((tmp_path / "alone" / "result.json").read_text())
    assert result["test"]["accuracy"] > 0.9, "the colours are easy to tell"

    workers = start(recipe, tmp_path / "run", tmp_path / "cache")
    while len(figures(tmp_path / "run")) < 9 and workers[0].poll() is None:
        time.sleep(0.05)
    workers[1].send_signal(signal.SIGKILL)
    codes, outputs = end(workers)
    assert codes == [1, -signal.SIGKILL], outputs
    assert "Another worker has stopped" in outputs[0][1]
    assert not (tmp_path / "run" / "result.json").exists()

    codes, outputs = end(start(recipe, tmp_path / "run", tmp_path / "cache"))
    assert codes == [0, 0], outputs
    assert figures(tmp_path / "run") == figures(tmp_path / "alone")
    resumed = json.loads((tmp_path / "run" / "result.json").read_text())
    assert resumed["test"] == result["test"]

    codes, outputs = end(start(recipe, tmp_path / "run", tmp_path / "cache"))
    assert codes == [0, 0] and "finished already" in outputs[0][1]


@pytest.mark.parametrize("told", ["{", "[]", '{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}, "task": {"type": "ps"}}'])
def test_what_tf_config_must_be(told, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(InputError, match="TF_CONFIG is not understood"):
        join_workers()
