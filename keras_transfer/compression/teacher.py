"""A frozen teacher's answers for items, computed once for every view and kept in the array cache."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.labels import one_hot
from keras_transfer.data.stored import item_bytes
from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.inputs import Array, Augmenter, Inputs, InputSpec, TensorSpec, in_range, only
from keras_transfer.models import head_layers, load_model, logits_of
from keras_transfer.models.graph import input_tensor, model_inputs, nodes
from keras_transfer.progress import track
from keras_transfer.training.engines import choose_engine
from keras_transfer.training.feed import stable_seed

_BLOCK = 64
_LEAST = 1e-4  # the smallest probability of a file; an int8 one gives 1/256 or 0

INPUTS = "inputs"
"""The name of the array of items in an entry of `teach`."""
Answers: TypeAlias = Callable[[Sequence[Array]], Iterator[tuple[NDArray[np.float32], ...]]]
"""Items in, one tuple of arrays per item out: its scores, and its features where requested."""


@dataclass(frozen=True)
class Teacher:
    """A classifier that answers and never changes.

    Attributes:
        inputs: what it takes.
        groups: how many questions it answers and how many choices each has: `(1, classes)` of softmax, `(classes, 2)`
            of independent sigmoids, `(1, 2)` of a single one.
        width: number of pooled features; 0 where they are not requested.
        digest: of its weights.
        start: from how many items are to come to the function that answers.
    """

    inputs: tuple[TensorSpec, ...]
    groups: tuple[int, int]
    width: int
    digest: str
    start: Callable[[int], Answers]


def open_teacher(source: keras.Model | str | Path, class_names: Sequence[str], features: bool = False) -> Teacher:
    """Makes a teacher of a model in memory or in a file.

    Args:
        source: a Keras classifier, or what `open_classifier` opens. Of a file that names its
            classes the columns are put in the order of `class_names`.
        class_names: the data's.
        features: whether it gives its pooled features as well.

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
        raise InputError(f"{path} gives its answers only: give a Keras model as teacher, or features=0.")

    def answer(items: Sequence[Array]) -> Iterator[tuple[NDArray[np.float32], ...]]:
        p = np.clip(classifier.predict(np.stack(items)), _LEAST, 1 - _LEAST)
        p = p if columns is None else p[:, columns]
        scores = np.log(np.stack([1 - p, p], -1) if classifier.multi_label else p[:, None])
        return zip(scores)

    count = len(classifier.class_names)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    groups = (count, 2) if classifier.multi_label else (1, count)
    return Teacher(classifier.inputs.tensors, groups, 0, digest, lambda n_items: answer)


def score_table(model: keras.Model) -> keras.KerasTensor:
    """A classifier's scores as `[batch, questions, choices]`, a softmax of which over the choices is what it answers.

    Args:
        model: a functional or Sequential classifier that ends in softmax or sigmoid.

    Returns:
        A tensor of the model's graph; see `Teacher.groups`.
    """
    last = nodes(model)[-1].operation
    sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid
    try:
        scores = logits_of(model)
    except InputError:  # the last Dense layer activates itself: logarithms are as good as logits
        odds = keras.ops.clip(model.output, 1e-7, 1 - 1e-7)
        scores = keras.ops.log(odds / (1 - odds) if sigmoid else odds)
    if sigmoid:
        return keras.ops.stack([keras.ops.zeros_like(scores), scores], axis=-1)
    return keras.ops.expand_dims(scores, 1)


def pooled_features(model: keras.Model) -> keras.KerasTensor:
    """The flat tensor with which a classifier's head begins.

    Raises:
        InputError: there is none.
    """
    first = head_layers(model)[0]
    features = next(node.output for node in nodes(model) if node.operation is first)
    if len(features.shape) != 2:
        raise InputError(
            f"Model {model.name!r} has no pooled features: its head begins with {features.shape}. Use features=0."
        )
    return features


def label_table(labels: Array, groups: tuple[int, int]) -> NDArray[np.float32]:
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
    """Every view of every item as the student takes it, and the teacher's answers for it, from the cache or computed.

    View 0 of an item is the item itself. Several views are drawn as the larger of the two inputs, and adapted to the
    other by the split's preparer; a single one is prepared for either.

    Args:
        teacher: from `open_teacher`.
        inputs: of the student.
        split: the items.
        augmenter: draws the views.
        views: views per item.
        seed: of the views.

    Returns:
        Arrays `inputs` `[items * views, ...]`, the views of an item side by side; `scores` float32
        `[items * views, questions, choices]`; `hints` float16 `[items * views, width]` where the teacher gives
        features; `labels` where the augmenter mixes items.

    Raises:
        InputError: student or teacher have several inputs.
    """
    spec, teachers = split.spec(inputs), split.spec(teacher.inputs)
    key = cache.cache_key(
        kind="teacher",
        preparation=dict(spec.preparation),
        items=cache.digest(split.hashes),
        labels=cache.digest([split.labels.tobytes().hex()]) if augmenter.mixes and views > 1 else None,
        teacher=[teacher.digest, list(teachers.tensor.shape), teacher.width],
        shape=list(spec.tensor.shape),
        views=views,
        augmenter=dict(augmenter.settings) if views > 1 else None,
        seed=seed if views > 1 else 0,
    )
    cached = cache.open_entry(key)
    if cached is not None:
        return cached
    about = {"kind": "teacher's answers", "items": len(split), "views": views, "shape": list(spec.tensor.shape)}
    answer = teacher.start(len(split) * views)
    with cache.new_entry(key, about) as writer:
        if views == 1:
            _write_items(writer, answer, split, spec, teachers)
        else:
            _write_views(writer, answer, split, spec, teachers, augmenter, views, seed)
    return cache.open_new(key)


def _write_items(
    writer: cache.ArrayWriter, answer: Answers, split: Split, spec: InputSpec, teachers: InputSpec
) -> None:
    """Writes every item as it is, and its answers."""
    pairs = zip(split.batches(spec, _BLOCK), split.batches(teachers, _BLOCK), strict=True)
    for (items, _), (others, _) in track(
        pairs, f"Predictions of the teacher, {split.name}", total=-(-len(split) // _BLOCK)
    ):
        writer.append(INPUTS, only(items))
        _append(writer, answer(list(only(others))))


def _write_views(
    writer: cache.ArrayWriter,
    answer: Answers,
    split: Split,
    spec: InputSpec,
    teachers: InputSpec,
    augmenter: Augmenter,
    views: int,
    seed: int,
) -> None:
    """Writes several views of every item, and their answers."""
    larger = max(spec, teachers, key=item_bytes)
    blocks = split.batches(larger, _BLOCK)
    blocks = track(blocks, f"Predictions of the teacher, {split.name}", total=-(-len(split) // _BLOCK))
    for block, (arrays, labels) in enumerate(blocks):
        items, targets = [only(arrays)], [labels]
        for view in range(1, views):
            item, target = augmenter(items[0], labels, seed=stable_seed(seed, view, block))
            items.append(in_range(only(item), larger.tensor))
            targets.append(target)
        rows = np.stack(items, 1).reshape(-1, *items[0].shape[1:])
        writer.append(INPUTS, split.preparer.adapt(rows, spec))
        _append(writer, answer(list(split.preparer.adapt(rows, teachers))))
        if augmenter.mixes:
            targets[0] = one_hot(labels, len(split.class_names))
            writer.append("labels", np.stack(targets, 1).reshape(len(rows), -1).astype(np.float32))


def _append(writer: cache.ArrayWriter, rows: Iterator[tuple[NDArray[np.float32], ...]]) -> None:
    scores, *hints = (np.stack(values) for values in zip(*rows, strict=True))
    writer.append("scores", scores.astype(np.float32))
    if hints:
        writer.append("hints", hints[0].astype(np.float16))


def _keras_teacher(model: keras.Model, columns: NDArray[np.intp] | None, features: bool) -> Teacher:
    table = score_table(model)
    outputs = [table, pooled_features(model)] if features else [table]
    network = keras.Model(input_tensor(model), outputs)
    digest = hashlib.sha256(model.to_json().encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    groups = (int(table.shape[1]), int(table.shape[2]))

    def start(n_items: int) -> Answers:
        engine = choose_engine(network, n_items)

        def answer(items: Sequence[Array]) -> Iterator[tuple[NDArray[np.float32], ...]]:
            for scores, *hints in engine(items):
                if columns is not None:
                    scores = scores[columns] if groups[0] > 1 else scores[:, columns]
                yield scores, *hints

        return answer

    return Teacher(
        model_inputs(model), groups, int(outputs[-1].shape[-1]) if features else 0, digest.hexdigest(), start
    )
