"""What is frozen is computed once: the frozen layers' outputs for every image and view, kept in the array cache."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from keras_transfer import cache
from keras_transfer.data import Augmenter, Split
from keras_transfer.data.decode import CROP
from keras_transfer.errors import InputError
from keras_transfer.progress import track
from keras_transfer.training.taken import Taken

# Below this many images the LiteRT conversion (some seconds) costs more than it saves.
SMALL_JOB = 256
# The most by which the engines' outputs may differ, as a share of the largest value of an output.
ENGINE_TOLERANCE = 1e-3
_BLOCK = 64

# Images in, one tuple of arrays (one array a tensor, without the batch axis) an image out, in order.
Engine = Callable[[Iterable[np.ndarray]], Iterator[tuple[np.ndarray, ...]]]


def compute_features(
    model: keras.Model,
    tensors: Sequence[Any],
    split: Split,
    *,
    augmenter: Augmenter | None = None,
    views: int = 1,
    seed: int = 0,
) -> cache.Arrays:
    """The values of `tensors` for every image of `split`, from the cache or computed in one pass.

    View 0 of an image is the image itself; the others are drawn by `augmenter`. The layers before `tensors` run in
    inference mode: they are taken to be frozen.

    Args:
        model: a classifier on `[batch, H, W, 3]` pixels in 0..255.
        tensors: KerasTensors of `model`.
        split: the images.
        augmenter: draws views 1, 2, ...; needed when `views` is above 1.
        views: views an image.
        seed: of the views.

    Returns:
        Arrays `tensor0`, `tensor1`, ... of `[images * views, ...]`, the views of an image side by side, in float16; and
        `labels` where the augmenter mixes images.
    """
    if split.whole is not None:
        whole, where = split.whole
        every = compute_features(model, tensors, whole, augmenter=augmenter, views=views, seed=seed)
        return Taken(every, (views * where[:, None] + np.arange(views)).ravel())
    prefix = keras.Model(model.input, list(tensors))
    size = tuple(model.input_shape[1:3])
    weights = _weights_digest(prefix)
    outputs = [[prefix.layers.index(tensor._keras_history.operation), list(tensor.shape[1:])] for tensor in tensors]
    key = cache.cache_key(
        crop=CROP,
        images=cache.digest(split.hashes),
        labels=cache.digest([split.labels.tobytes().hex()]) if augmenter is not None and augmenter.mixes else None,
        weights=weights,
        outputs=outputs,
        size=size,
        views=views,
        augmenter=augmenter.settings if augmenter is not None and views > 1 else None,
        seed=seed if views > 1 else 0,
    )
    found = cache.open_entry(key)
    if found is not None:
        return found
    about = {"kind": "features", "backbone": model.name, "images": len(split), "views": views, "size": list(size)}
    mixed: list[np.ndarray] = []
    with cache.new_entry(key, about) as writer:
        engine = _engine_of(prefix, cache.cache_key(weights=weights, outputs=outputs, size=size), len(split) * views)
        stream = engine(_views(split, size, augmenter, views, seed, mixed))
        rows: list[tuple[np.ndarray, ...]] = []
        what = f"Frozen layers, {split.name}" + (f", {views} views" if views > 1 else "")
        for row in track(stream, what, total=len(split) * views):
            rows.append(row)
            if len(rows) == _BLOCK:
                _append(writer, rows)
        _append(writer, rows)
        for labels in mixed:
            writer.append("labels", labels)
    return cache.open_new(key)


def _append(writer: cache.ArrayWriter, rows: list[tuple[np.ndarray, ...]]) -> None:
    for index, values in enumerate(zip(*rows, strict=True)):
        block = np.stack(values)
        # float16 holds three digits, far finer than int8 deployment; the activations of ImageNet backbones
        # stay far inside its range.
        writer.append(f"tensor{index}", np.clip(block, -65504, 65504).astype(np.float16))
    rows.clear()


def _views(
    split: Split, size: tuple[int, int], augmenter: Augmenter | None, views: int, seed: int, mixed: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """All views of all images, an image's views side by side; labels that mixing changes go to `mixed`."""
    for block, (pixels, labels) in enumerate(split.batches(size, _BLOCK)):
        drawn, targets = [pixels], [labels]
        for view in range(1, views):
            assert augmenter is not None
            images, target = augmenter(pixels, labels, seed=stable_seed(seed, view, block))
            drawn.append(to_pixels(images))
            targets.append(target)
        if augmenter is not None and augmenter.mixes and views > 1:
            targets[0] = one_hot(targets[0], len(split.class_names))
            mixed.append(np.stack(targets, 1).reshape(-1, len(split.class_names)).astype(np.float32))
        for index in range(len(pixels)):
            for images in drawn:
                yield images[index]


def to_pixels(images: np.ndarray) -> np.ndarray:
    """Images in 0..255 of any dtype, rounded to uint8."""
    images = np.asarray(images)
    return images if images.dtype == np.uint8 else np.clip(np.rint(images), 0, 255).astype(np.uint8)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Integer labels `[n]` as float32 `[n, classes]`; labels that are rows already pass through."""
    labels = np.asarray(labels)
    return np.eye(classes, dtype=np.float32)[labels] if labels.ndim == 1 else labels.astype(np.float32)


def stable_seed(*parts: int) -> int:
    """One seed below 2**31 from several numbers, the same on every machine.

    >>> stable_seed(0, 1, 2) == stable_seed(0, 1, 2) != stable_seed(0, 2, 1)
    True
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) & 0x7FFFFFFF


# The engine of the frozen layers last computed, and for how many images it was chosen: validation images follow
# training ones, and are computed as they were.
_last: dict[str, tuple[Engine, int]] = {}


def _engine_of(prefix: keras.Model, key: str, images: int) -> Engine:
    found = _last.get(key)
    if found is None or images > SMALL_JOB >= found[1]:
        found = choose_engine(prefix, images), images
        _last.clear()
        _last[key] = found
    return found[0]


def choose_engine(prefix: keras.Model, images: int) -> Engine:
    """Keras's own graph on a GPU and for small jobs; elsewhere LiteRT, unless a short timing shows Keras twice as fast.

    Args:
        prefix: a model from pixels to one or more tensors.
        images: how many images are to come.

    Returns:
        See `Engine`.
    """
    import tensorflow as tf

    if (
        tf.config.list_physical_devices("GPU")
        or images <= SMALL_JOB
        or os.environ.get("KERAS_TRANSFER_ENGINE") == "keras"
    ):
        return keras_engine(prefix)
    plain = keras_engine(prefix)
    sample = list(np.random.default_rng(0).integers(0, 256, (32, *prefix.input_shape[1:]), np.uint8))
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(litert_engine, prefix)  # converts in a process of its own, while this one traces
        expected = list(plain(sample))  # the first pass traces and allocates; it is not timed
    try:
        litert = other.result()
    except InputError:  # an operator that LiteRT lacks
        return plain
    found = next(litert(sample[:1]))
    if not all(_agree(*pair) for pair in zip(found, expected[0], strict=True)):
        return plain
    list(litert(sample))
    # The engines round differently. A clear margin keeps a busy moment from changing the engine, and so the figures,
    # between two runs of one recipe.
    return plain if 2 * _seconds(plain, sample) < _seconds(litert, sample) else litert


def _seconds(engine: Engine, sample: list[np.ndarray]) -> float:
    started = time.perf_counter()
    list(engine(sample))
    return time.perf_counter() - started


def litert_engine(prefix: keras.Model) -> Engine:
    """Runs `prefix` as a float32 LiteRT file, one image at a time on every core.

    Args:
        prefix: a model from pixels to one or more tensors.

    Returns:
        See `Engine`.

    Raises:
        InputError: the model has an operator that LiteRT lacks.
    """
    from keras_transfer.litert import convert, open_litert

    return open_litert(convert(prefix, ["float32"])["float32"]).map


def _agree(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape:
        return False
    return bool(np.abs(found - expected).max() <= ENGINE_TOLERANCE * max(1e-6, float(np.abs(expected).max())))


def keras_engine(prefix: keras.Model) -> Engine:
    """Runs `prefix` as a TensorFlow graph, in batches."""
    import tensorflow as tf

    @tf.function(reduce_retracing=True, jit_compile=False)
    def call(images: Any) -> list[Any]:
        return list(tf.nest.flatten(prefix(tf.cast(images, tf.float32), training=False)))

    size = 32

    def run(images: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        batch: list[np.ndarray] = []

        def flush() -> Iterator[tuple[np.ndarray, ...]]:
            count = len(batch)
            padded = np.stack(batch + [batch[0]] * (size - count))  # one shape, one trace
            batch.clear()
            outputs = [tensor.numpy() for tensor in call(padded)]
            for index in range(count):
                yield tuple(output[index] for output in outputs)

        for image in images:
            batch.append(image)
            if len(batch) == size:
                yield from flush()
        if batch:
            yield from flush()

    return run


def _weights_digest(model: keras.Model) -> str:
    """A hash of a model's layers and weights, without the names: Keras numbers those by the process's history."""
    digest = hashlib.sha256()
    for layer in model.layers:
        config = {name: value for name, value in layer.get_config().items() if name not in ("name", "trainable")}
        digest.update(json.dumps([type(layer).__name__, config], sort_keys=True, default=repr).encode())
        for weight in layer.get_weights():
            digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()
