"""Training on several machines at once, by TensorFlow's `MultiWorkerMirroredStrategy`.

Every worker is a process that was started with the same call and a `TF_CONFIG` of its own, as clusters do it
(https://www.tensorflow.org/guide/distributed_training#setting_up_the_tf_config_environment_variable). It decodes,
computes frozen features and trains on its own share of the items; gradients are summed over all. The first worker
is the chief, which alone keeps what is written.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_transfer.data import Dataset
from keras_transfer.errors import InputError, WorkerError
from keras_transfer.files import write_bytes
from keras_transfer.inputs import Array
from keras_transfer.progress import say

if TYPE_CHECKING:
    import tensorflow as tf


def join_workers() -> "tf.distribute.MultiWorkerMirroredStrategy | None":
    """Joins the workers that the environment variable `TF_CONFIG` names, once all of them have started.

    To be called before TensorFlow has done anything. Networks that are built within the strategy's `scope()` train on
    all workers together by `fit`.

    Returns:
        A `tf.distribute.MultiWorkerMirroredStrategy`, or None where `TF_CONFIG` is not set or names this process only.

    Raises:
        InputError: `TF_CONFIG` is no such thing, or this process sees several GPUs.

    >>> os.environ["TF_CONFIG"] = '{"cluster": {"worker": ["localhost:1234"]}, "task": {"type": "worker", "index": 0}}'
    >>> join_workers() is None
    True
    >>> del os.environ["TF_CONFIG"]
    """
    config = os.environ.get("TF_CONFIG") or "{}"
    tasks, index = _read_tasks(config)
    if len(tasks) < 2:
        return None
    import tensorflow as tf

    if len(tf.config.list_physical_devices("GPU")) > 1:
        raise InputError(
            "With several workers each process trains on one GPU, and this one sees more: start a worker for each of "
            "them, with CUDA_VISIBLE_DEVICES set."
        )
    say(f"Worker {index + 1} of {len(tasks)} ({tasks[index]}), waiting for the others.")
    return tf.distribute.MultiWorkerMirroredStrategy()


def _read_tasks(text: str) -> tuple[list[str], int]:
    """The workers' addresses, the chief's first, and the place of this process among them."""
    try:
        config = json.loads(text)
        cluster = config.get("cluster", {})
        if not cluster:
            return [], 0
        kind, index = config["task"]["type"], int(config["task"]["index"])
        if {*cluster} - {"chief", "worker"} or kind not in cluster or not 0 <= index < len(cluster[kind]):
            raise ValueError("its tasks must be 'chief' and 'worker', and 'task' one of them")
        chiefs = list(cluster.get("chief", []))
        return chiefs + list(cluster.get("worker", [])), index + (len(chiefs) if kind == "worker" else 0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"TF_CONFIG is not understood ({type(error).__name__}: {error}): it must look like "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: TF_CONFIG={text!r}."
        ) from error


@contextmanager
def watch_workers() -> Iterator[None]:
    """Says in one sentence that another worker is gone.

    Raises:
        WorkerError: one is.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise WorkerError(
            "Another worker has stopped (its own output says why): start all of them again with the same call, and "
            "training continues after the last epoch that the chief has saved."
        ) from error


def worker_count(strategy: "tf.distribute.Strategy") -> int:
    """How many workers train together under a strategy: 1 unless `join_workers` gave it."""
    import tensorflow as tf

    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return int(strategy.num_replicas_in_sync) if several else 1


def worker_index(strategy: "tf.distribute.Strategy") -> int:
    """The place of this process among the workers; the chief's is 0."""
    return _read_tasks(os.environ["TF_CONFIG"])[1] if worker_count(strategy) > 1 else 0


def share_data(strategy: "tf.distribute.Strategy", data: Dataset) -> Dataset:
    """The items on which this worker trains and validates; all workers train on equally many.

    Args:
        strategy: from `join_workers`.
        data: all items, the same at every worker.

    Returns:
        `data` with every n-th item of its training and validation splits.

    Raises:
        InputError: the workers have different items, or there are fewer validation items than workers.
    """
    count, index = worker_count(strategy), worker_index(strategy)
    if len(data.val) < count:
        raise InputError(f"{count} workers need at least as many validation items. Received: {len(data.val)}.")
    own = json.dumps([data.class_names, data.train.hashes, data.val.hashes]).encode()
    if _sum(strategy, np.array([own != send(strategy, own)], np.int32))[0]:
        raise InputError("The workers have different items: give all of them the same data, and the same seed.")
    even = -(-len(data.train) // count) * count  # an item or two twice, so that all take as many steps
    return replace(
        data,
        train=data.train.take(np.arange(index, even, count) % len(data.train)),
        val=data.val.take(np.arange(index, len(data.val), count)),
    )


def send(strategy: "tf.distribute.Strategy", content: bytes) -> bytes:
    """What the chief has, at every worker; all must call it, and what the others give is ignored."""
    chief = worker_index(strategy) == 0
    length = int(_sum(strategy, np.array([len(content) if chief else 0], np.int32))[0])
    words = np.zeros(-(-length // 4), np.int32)
    if chief:
        words[:] = np.frombuffer(content.ljust(4 * len(words), b"\0"), np.int32)
    return _sum(strategy, words).tobytes()[:length] if length else b""


def send_file(strategy: "tf.distribute.Strategy", path: Path) -> None:
    """Gives every worker the file that the chief has under `path`, or none if the chief has none."""
    chief = worker_index(strategy) == 0
    content = send(strategy, path.read_bytes() if chief and path.is_file() else b"")
    if content and not chief:
        write_bytes(path, content)
    elif not content:
        path.unlink(missing_ok=True)


def _sum(strategy: "tf.distribute.Strategy", values: Array) -> Array:
    import tensorflow as tf

    @tf.function
    def total(mine: "tf.Tensor") -> "tf.Tensor":
        return strategy.run(lambda: tf.distribute.get_replica_context().all_reduce("sum", tf.identity(mine)))

    return np.asarray(total(values))


def fit_on_workers(
    model: keras.Model,
    batches: "tf.data.Dataset",
    held_out: "tf.data.Dataset",
    *,
    steps: int,
    epochs: int,
    initial_epoch: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """What `model.fit` does, under `MultiWorkerMirroredStrategy`, which Keras 3's `fit` does not know (keras#20585).

    Args:
        model: compiled within the strategy's scope.
        batches: this worker's training batches, without end, as a `tf.data.Dataset`.
        held_out: this worker's validation batches.
        steps: batches an epoch, the same number at every worker.
        epochs: the last epoch's number, from 1.
        initial_epoch: epochs that are done.
        callbacks: called as `fit` calls them, at every worker, with figures over all workers.
    """
    import tensorflow as tf

    strategy = model.distribute_strategy
    every = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0)
    train_step = tf.function(lambda batch: strategy.run(model.train_step, args=(batch,)), reduce_retracing=True)
    test_step = tf.function(lambda batch: strategy.run(model.test_step, args=(batch,)), reduce_retracing=True)
    model.stop_training = False
    stream = iter(batches)
    every.on_train_begin()
    for epoch in range(initial_epoch, epochs):
        every.on_epoch_begin(epoch)
        model.reset_metrics()
        for step in range(steps):
            every.on_train_batch_begin(step)
            train_step(next(stream))
            every.on_train_batch_end(step)
        figures = _figures(model)
        _average_batchnorm(strategy, model)
        model.reset_metrics()
        every.on_test_begin()
        for batch in held_out:
            test_step(batch)
        every.on_test_end()
        figures |= {f"val_{name}": value for name, value in _figures(model).items()}
        every.on_epoch_end(epoch, figures)
        if model.stop_training:
            break
    every.on_train_end()


def _figures(model: keras.Model) -> dict[str, float]:
    """The metrics over all workers: reading one adds up what each of them counted."""
    return {name: float(value) for name, value in model.get_metrics_result().items()}


def _average_batchnorm(strategy: "tf.distribute.Strategy", model: keras.Model) -> None:
    """Gives every worker the mean of all workers' statistics, which follow each worker's own items."""
    layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for variable in [v for layer in layers if layer.trainable for v in layer.non_trainable_variables]:
        values = np.asarray(variable, np.float32)
        variable.assign(_sum(strategy, values) / worker_count(strategy))
