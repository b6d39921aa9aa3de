"""What a frozen teacher says of images, computed once for every view and kept in the array cache."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.labels import one_hot
from keras_transfer.data.stored import item_bytes
from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.inputs import Augmenter, Inputs, TensorSpec, in_range, only
from keras_transfer.models import head_layers, load_model, logits_of
from keras_transfer.models.graph import input_tensor, model_inputs, nodes
from keras_transfer.progress import track
from keras_transfer.training.engines import choose_engine
from keras_transfer.training.feed import stable_seed

_BLOCK = 64
_LEAST = 1e-4  # the smallest probability of a file; an int8 one gives 1/256 or 0

# Images and how many there will be in all, to one tuple of arrays (scores, and features where asked for) an image.
Answers = Callable[[Sequence[np.ndarray]], Iterator[tuple[np.ndarray, ...]]]


@dataclass(frozen=True)
class Teacher:
    """A classifier that is asked and never changed.

    Attributes:
        inputs: what it takes.
        groups: how many questions it answers and how many choices each has: `(1, classes)` of softmax, `(classes, 2)`
            of independent sigmoids, `(1, 2)` of a single one.
        width: pooled features, 0 where they are not asked for.
        digest: of its weights.
        start: given how many images are to come, the function that answers.
    """

    inputs: tuple[TensorSpec, ...]
    groups: tuple[int, int]
    width: int
    digest: str
    start: Callable[[int], Answers]


def open_teacher(source: keras.Model | str | Path, class_names: Sequence[str], features: bool = False) -> Teacher:
    """Makes a teacher of a model in memory or in a file.

    Args:
        source: a Keras classifier on pixels in 0..255, or what `open_classifier` opens. Of a file that names its
            classes the columns are put in the order of `class_names`.
        class_names: the data's.
        features: whether it shall give its pooled features as well.

    Returns:
        The teacher.

    Raises:
        InputError: there is no such file, it lacks a class, or gives no features.
    """
    if isinstance(source, keras.Model):
        return _keras_teacher(source, None, features)
    path = Path(source)
    classifier = open_classifier(path)
    columns = None
    if classifier.named:
        missing = sorted(set(class_names) - set(classifier.class_names))
        if missing:
            raise InputError(
                f"The teacher {path} does not know the class {missing[0]!r}: it must know all of the data's."
            )
        columns = np.array([classifier.class_names.index(name) for name in class_names])
    path = path / "model.keras" if path.is_dir() else path
    if path.suffix == ".keras":
        return _keras_teacher(load_model(path), columns, features)
    if features:
        raise InputError(f"Of {path} only the answers are known: give a Keras model as teacher, or features=0.")

    def answer(images: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
        known = np.clip(classifier.predict(np.stack(images)), _LEAST, 1 - _LEAST)
        known = known if columns is None else known[:, columns]
        scores = np.log(np.stack([1 - known, known], -1) if classifier.multi_label else known[:, None])
        return zip(scores)

    count = len(classifier.class_names)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    groups = (count, 2) if classifier.multi_label else (1, count)
    return Teacher(classifier.inputs.tensors, groups, 0, digest, lambda count: answer)


def score_table(model: keras.Model) -> Any:
    """A classifier's scores as `[batch, questions, choices]`, a softmax of which over the choices is what it answers.

    Args:
        model: a functional or Sequential classifier that ends in softmax or sigmoid.

    Returns:
        A KerasTensor of the model's graph; see `Teacher.groups`.
    """
    last: Any = nodes(model)[-1].operation
    sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid
    try:
        scores = logits_of(model)
    except InputError:  # the last Dense layer activates itself: logarithms are as good as logits
        odds = keras.ops.clip(model.output, 1e-7, 1 - 1e-7)
        scores = keras.ops.log(odds / (1 - odds) if sigmoid else odds)
    if sigmoid:
        return keras.ops.stack([keras.ops.zeros_like(scores), scores], axis=-1)
    return keras.ops.expand_dims(scores, 1)


def pooled_features(model: keras.Model) -> Any:
    """The flat tensor with which a classifier's head begins.

    Raises:
        InputError: there is none.
    """
    first = head_layers(model)[0]
    found = next(node.output for node in nodes(model) if node.operation is first)
    if len(found.shape) != 2:
        raise InputError(f"The head of model {model.name!r} begins with {found.shape}, no pooled features: features=0.")
    return found


def label_table(labels: np.ndarray, groups: tuple[int, int]) -> np.ndarray:
    """Labels `[n]` or multi-hot `[n, classes]` as float32 `[n, questions, choices]`.

    >>> label_table(np.array([1]), (1, 3)).tolist(), label_table(np.array([[1.0, 0.0]]), (2, 2)).tolist()
    ([[[0.0, 1.0, 0.0]]], [[[0.0, 1.0], [1.0, 0.0]]])
    """
    if groups[0] == 1:
        return one_hot(labels, groups[1])[:, None]
    return np.stack([1 - labels, labels], -1).astype(np.float32)


def teach(
    teacher: Teacher, inputs: Inputs, split: Split, *, augmenter: Augmenter, views: int = 1, seed: int = 0
) -> cache.Arrays:
    """The pixels of every view of every image and what the teacher says of it, from the cache or computed.

    View 0 of an image is the image itself. With several views they are drawn at the larger of the two sizes and
    resized to the other by Pillow's antialiased bilinear filter; a single one is decoded at either size.

    Args:
        teacher: from `open_teacher`.
        inputs: of the student.
        split: the images.
        augmenter: draws the views.
        views: views an image.
        seed: of the views.

    Returns:
        Arrays `pixels` uint8 `[images * views, H, W, channels]`, the views of an image side by side; `scores` float32
        `[images * views, questions, choices]`; `hints` float16 `[images * views, width]` where the teacher gives
        features; `labels` where the augmenter mixes images.
    """
    spec, asked_spec = split.spec(inputs), split.spec(teacher.inputs)
    size, own = spec.tensor.shape, asked_spec.tensor.shape
    key = cache.cache_key(
        kind="taught",
        preparation=dict(spec.preparation),
        images=cache.digest(split.hashes),
        labels=cache.digest([split.labels.tobytes().hex()]) if augmenter.mixes and views > 1 else None,
        teacher=[teacher.digest, list(own), teacher.width],
        size=list(size),
        views=views,
        augmenter=augmenter.settings if views > 1 else None,
        seed=seed if views > 1 else 0,
    )
    found = cache.open_entry(key)
    if found is not None:
        return found
    about = {"kind": "teacher's answers", "images": len(split), "views": views, "size": list(size)}
    answer = teacher.start(len(split) * views)
    larger = max(spec, asked_spec, key=item_bytes)
    with cache.new_entry(key, about) as writer:
        blocks = split.batches(larger if views > 1 else spec, _BLOCK)
        asked = blocks if views > 1 else split.batches(asked_spec, _BLOCK)
        blocks = track(blocks, f"Asking the teacher, {split.name}", total=-(-len(split) // _BLOCK))
        for block, (arrays, labels) in enumerate(blocks):
            pixels = only(arrays)
            if views == 1:
                writer.append("pixels", pixels)
                _append(writer, answer(list(only(next(asked)[0]))))
                continue
            images, targets = [pixels], [labels]
            for view in range(1, views):
                image, target = augmenter(pixels, labels, seed=stable_seed(seed, view, block))
                images.append(in_range(only(image), larger.tensor))
                targets.append(target)
            rows = np.stack(images, 1).reshape(-1, *pixels.shape[1:])
            writer.append("pixels", split.preparer.adapt(rows, spec))
            _append(writer, answer(list(split.preparer.adapt(rows, asked_spec))))
            if augmenter.mixes:
                targets[0] = one_hot(labels, len(split.class_names))
                writer.append("labels", np.stack(targets, 1).reshape(len(rows), -1).astype(np.float32))
    return cache.open_new(key)


def _append(writer: cache.ArrayWriter, rows: Iterator[tuple[np.ndarray, ...]]) -> None:
    scores, *hints = (np.stack(values) for values in zip(*rows, strict=True))
    writer.append("scores", scores.astype(np.float32))
    if hints:
        writer.append("hints", hints[0].astype(np.float16))


def _keras_teacher(model: keras.Model, columns: np.ndarray | None, features: bool) -> Teacher:
    table = score_table(model)
    outputs = [table, pooled_features(model)] if features else [table]
    asked = keras.Model(input_tensor(model), outputs)
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    groups = (int(table.shape[1]), int(table.shape[2]))

    def start(images: int) -> Answers:
        engine = choose_engine(asked, images)

        def answer(pixels: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, ...]]:
            for scores, *hints in engine(pixels):
                if columns is not None:
                    scores = scores[columns] if groups[0] > 1 else scores[:, columns]
                yield scores, *hints

        return answer

    size = model_inputs(model)
    return Teacher(size, groups, int(outputs[-1].shape[-1]) if features else 0, digest.hexdigest(), start)
