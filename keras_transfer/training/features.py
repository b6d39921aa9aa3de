"""What is frozen is computed once: the frozen layers' outputs for every image and view, kept in the array cache."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import keras
import numpy as np

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.parallel import ahead
from keras_transfer.data.stored import cached_inputs, input_names, item_bytes
from keras_transfer.inputs import Augmenter, InputSpec, in_range, only
from keras_transfer.models import boundary, suffix
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import track
from keras_transfer.training.engines import SMALL_JOB, Engine, choose_engine, keras_engine
from keras_transfer.training.taken import Taken

_BLOCK = 64
_AHEAD = 64 << 20  # bytes of decoded images that may wait for the engine


def compute_features(
    model: keras.Model,
    tensors: Sequence[Any],
    split: Split,
    *,
    augmenter: Augmenter | None = None,
    views: int = 1,
    seed: int = 0,
    expected: int = 0,
) -> list[cache.Arrays]:
    """The values of each tensor for every image of `split`: from the cache, or those that lack in one pass.

    View 0 of an image is the image itself; the others are drawn by `augmenter`. The layers before `tensors` run in
    inference mode: they are taken to be frozen.

    Args:
        model: a classifier on `[batch, H, W, 3]` pixels in 0..255.
        tensors: KerasTensors of `model`.
        split: the images.
        augmenter: draws views 1, 2, ...; needed when `views` is above 1.
        views: views an image.
        seed: of the views.
        expected: images that the same network is to compute, these among them, where that is known: what is fastest for
            many takes a while to prepare.

    Returns:
        For each tensor an open cache entry: `values` `[images * views, ...]`, the views of an image side by side, in
        float16; and `labels` where the augmenter mixes images.
    """
    if split.whole is not None:
        whole, where = split.whole
        rows = (views * where[:, None] + np.arange(views)).ravel()
        every = compute_features(model, tensors, whole, augmenter=augmenter, views=views, seed=seed)
        return [Taken(arrays, rows) for arrays in every]
    spec = split.spec(model_inputs(model))
    shapes = [[*tensor.shape] for tensor in spec.tensors]
    of_items = {
        "preparation": dict(spec.preparation),
        "items": cache.digest(split.hashes),
        "labels": cache.digest([split.labels.tobytes().hex()]) if augmenter is not None and augmenter.mixes else None,
        "shapes": shapes,
        "views": views,
        "augmenter": augmenter.settings if augmenter is not None and views > 1 else None,
        "seed": seed if views > 1 else 0,
    }
    networks = [_network_digest(keras.Model(model.input, tensor)) for tensor in tensors]
    keys = [cache.cache_key(network=network, **of_items) for network in networks]
    found = {key: cache.open_entry(key) for key in dict.fromkeys(keys)}
    lacking = [key for key, arrays in found.items() if arrays is None]
    if lacking:
        which = [keys.index(key) for key in lacking]
        prefix = keras.Model(model.input, [tensors[i] for i in which])
        about = {"kind": "features", "backbone": model.name, "items": len(split), "views": views, "shapes": shapes}
        with ExitStack() as opened:
            writers = [opened.enter_context(cache.new_entry(key, about)) for key in lacking]
            mixed: list[np.ndarray] = []
            drawn = _views(split, spec, augmenter, views, seed, mixed)
            network, count = cache.digest(networks[i] for i in which), max(expected, len(split) * views)
            engine = _engine_of(prefix, network, count, [tensor.dtype for tensor in spec.tensors])
            # Only now: tracing and decoding keep each other from Python's lock.
            images = opened.enter_context(ahead(drawn, max(_BLOCK, _AHEAD // item_bytes(spec))))
            what = f"Frozen layers, {split.name}" + (f", {views} views" if views > 1 else "")
            rows_of_block: list[tuple[np.ndarray, ...]] = []
            for row in track(engine(images), what, total=len(split) * views):
                rows_of_block.append(row)
                if len(rows_of_block) == _BLOCK:
                    _append(writers, rows_of_block)
            _append(writers, rows_of_block)
            for labels in mixed:
                for writer in writers:
                    writer.append("labels", labels)
        found |= {key: cache.open_new(key) for key in lacking}
    return [arrays for key in keys if (arrays := found[key]) is not None]


def predict_cached(model: keras.Model, split: Split) -> np.ndarray:
    """A classifier's answers on a split, its frozen layers' share from the cache where training left it.

    Args:
        model: a classifier on `[batch, H, W, 3]` pixels in 0..255, its layers marked as they were trained.
        split: the images.

    Returns:
        `float32 [n, outputs]`.
    """
    tensor = boundary(model)
    if keras.Model(model.input, tensor).weights:
        (arrays,), top, name = compute_features(model, [tensor], split), suffix(model, tensor), "values"
    else:
        arrays, top = cached_inputs(split, model_inputs(model)), model
        (name,) = input_names(split.spec(model_inputs(model)))
    read = cache.release_often(arrays, arrays[name][:1].nbytes)
    try:
        answers = []
        for (answer,) in keras_engine(top)(arrays[name]):
            answers.append(answer)
            read(1)
        return np.stack(answers)
    finally:
        arrays.close()


def _append(writers: Sequence[cache.ArrayWriter], rows: list[tuple[np.ndarray, ...]]) -> None:
    for writer, values in zip(writers if rows else (), zip(*rows, strict=True), strict=True):
        block = np.stack(values)
        # float16 holds three digits, far finer than int8 deployment; the activations of ImageNet backbones
        # stay far inside its range.
        writer.append("values", np.clip(block, -65504, 65504).astype(np.float16))
    rows.clear()


def _views(
    split: Split,
    spec: InputSpec,
    augmenter: Augmenter | None,
    views: int,
    seed: int,
    mixed: list[np.ndarray],
) -> Iterator[np.ndarray]:
    """All views of all images, an image's views side by side; labels that mixing changes go to `mixed`."""
    for block, (arrays, labels) in enumerate(split.batches(spec, _BLOCK)):
        values = only(arrays)
        drawn, targets = [values], [labels]
        for view in range(1, views):
            assert augmenter is not None
            view_of_each, target = augmenter(values, labels, seed=stable_seed(seed, view, block))
            drawn.append(in_range(view_of_each, spec.tensor))
            targets.append(target)
        if augmenter is not None and augmenter.mixes and views > 1:
            targets[0] = one_hot(targets[0], len(split.class_names))
            mixed.append(np.stack(targets, 1).reshape(-1, len(split.class_names)).astype(np.float32))
        for index in range(len(values)):
            for items in drawn:
                yield items[index]


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


def _engine_of(prefix: keras.Model, key: str, images: int, dtypes: Sequence[str]) -> Engine:
    found = _last.get(key)
    if found is None or images > SMALL_JOB >= found[1]:
        found = choose_engine(prefix, images, dtypes), images
        _last.clear()
        _last[key] = found
    return found[0]


def _network_digest(model: keras.Model) -> str:
    """A hash of a model's layers and weights, without the names: Keras numbers those by the process's history."""
    digest = hashlib.sha256()
    for layer in model.layers:
        config = {name: value for name, value in layer.get_config().items() if name not in ("name", "trainable")}
        digest.update(json.dumps([type(layer).__name__, config], sort_keys=True, default=repr).encode())
        for weight in layer.get_weights():
            digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()
