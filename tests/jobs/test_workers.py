"""Training on two workers, which are two processes here, on the loopback address."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from keras_transfer.errors import InputError
from keras_transfer.jobs.parts import read_history
from keras_transfer.recipe import Phase, make_recipe, write_recipe
from keras_transfer.training.workers import join_workers


def start(recipe, out, cache):
    """Starts the chief and one more worker with the same call."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        places = [f"127.0.0.1:{server.getsockname()[1]}" for server in (one, other)]
    workers = []
    for index in range(2):
        told = {"cluster": {"worker": places}, "task": {"type": "worker", "index": index}}
        environment = os.environ | {"KERAS_TRANSFER_CACHE": str(cache), "TF_CONFIG": json.dumps(told)}
        command = [sys.executable, "-m", "keras_transfer.cli", "train", "--recipe", recipe, "--out", out]
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
def recipe(coloured_noise, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    phases = [
        Phase(name="frozen", epochs=3, learning_rate=0.02, batch_size=16),
        Phase(name="tuned", stages=1, batchnorm=True, epochs=3, learning_rate=0.002, batch_size=16, l2_sp=1.0),
    ]
    told = make_recipe(
        data=str(coloured_noise(folder, 41, (48, 64))), weights="bundled", image_size=64,
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
    while len(figures(tmp_path / "run")) < 4 and workers[0].poll() is None:
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
