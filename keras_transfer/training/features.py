"""What is frozen is computed once: the frozen layers' outputs for every item and view, kept in the array cache."""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer import cache
from keras_transfer.data import Split
from keras_transfer.data.labels import one_hot
from keras_transfer.data.parallel import ahead
from keras_transfer.data.stored import cached_inputs, input_names, item_bytes
from keras_transfer.inputs import Array, Augmenter, InputSpec, Json, as_tuple, in_range
from keras_transfer.models import boundary, side_inputs, suffix
from keras_transfer.models.graph import Node, model_inputs, nodes, start_of
from keras_transfer.progress import track
from keras_transfer.training.engines import SMALL_JOB, Engine, choose_engine, keras_engine, padded_engine
from keras_transfer.training.feed import stable_seed
from keras_transfer.training.selected import SelectedArrays

_BLOCK = 64
_AHEAD = 64 << 20  # bytes of prepared items that may wait for the engine


def compute_features(
    model: keras.Model,
    tensors: Sequence[keras.KerasTensor],
    split: Split,
    *,
    sides: Sequence[Sequence[keras.KerasTensor]] = (),
    augmenter: Augmenter | None = None,
    views: int = 1,
    seed: int = 0,
    expected: int = 0,
) -> list[cache.Arrays]:
    """The values of each tensor for every item of `split`: from the cache, the missing ones in one pass.

    View 0 of an item is the item itself; the others are drawn by `augmenter`. The layers before `tensors` run in
    inference mode, as frozen layers do.

    Args:
        model: a functional or Sequential model.
        tensors: KerasTensors of `model`.
        split: the items.
        sides: for each tensor the model's inputs that are kept beside it, such as `side_inputs(model, tensor)`; none
            by default.
        augmenter: draws views 1, 2, ...; needed when `views` is above 1.
        views: views of each item.
        seed: of the views.
        expected: how many items the same network is to compute, these among them, where that is known: what is fastest
            for many takes a while to prepare.

    Returns:
        For each tensor an open cache entry, in which the views of an item stand in successive rows: `values`
        `[n_items * views, ...]` in float16; `side_0`, `side_1`, ... for its sides, in their own dtype; and `labels`
        where the augmenter mixes items.
    """
    if split.whole is not None:
        whole, where = split.whole
        rows = (views * where[:, None] + np.arange(views)).ravel()
        entries = compute_features(
            model, tensors, whole, sides=sides, augmenter=augmenter, views=views, seed=seed, expected=expected
        )
        return [SelectedArrays(arrays, rows) for arrays in entries]
    items = _Views(split, split.spec(model_inputs(model)), augmenter, views, seed)
    networks = [network_digest(keras.Model(start_of(model), tensor)) for tensor in tensors]
    positions = [[_position(side, model.inputs) for side in beside] for beside in sides] or [[] for _ in tensors]
    keys = [
        cache.cache_key(network=network, sides=beside, **items.key_parts())
        for network, beside in zip(networks, positions, strict=True)
    ]
    opened = {key: cache.open_entry(key) for key in dict.fromkeys(keys)}
    missing = [keys.index(key) for key, arrays in opened.items() if arrays is None]
    if missing:
        prefix = keras.Model(start_of(model), [tensors[i] for i in missing])
        digest = cache.digest(networks[i] for i in missing)
        engine = _engine_of(prefix, digest, max(expected, items.count), items.spec)
        _write_features(model.name, engine, items, {keys[i]: positions[i] for i in missing})
        opened |= {keys[i]: cache.open_new(keys[i]) for i in missing}
    return [arrays for key in keys if (arrays := opened[key]) is not None]


def feature_rows(model: keras.Model, tensor: keras.KerasTensor, split: Split, expected: int = 0) -> NDArray[np.float32]:
    """The values of a tensor for every item of `split`, in memory: `float32 [n, features]`; see `compute_features`."""
    (arrays,) = compute_features(model, [tensor], split, expected=expected)
    try:
        return np.array(arrays["values"], np.float32).reshape(len(split), -1)
    finally:
        arrays.close()


def feature_names(sides: Sequence[keras.KerasTensor]) -> tuple[str, ...]:
    """The arrays of an entry of `compute_features`, in the order in which `suffix` takes them."""
    return ("values", *(f"side_{number}" for number in range(len(sides))))


def frozen_boundary(model: keras.Model) -> keras.KerasTensor:
    """`boundary(model)`, or where no weights are below it, so that nothing would be saved, the model's input.

    The input itself allows fresh views in every epoch.
    """
    tensor = boundary(model)
    return tensor if keras.Model(start_of(model), tensor).weights else start_of(model)


def suffix_arrays(
    model: keras.Model, tensor: keras.KerasTensor, split: Split
) -> tuple[cache.Arrays, tuple[str, ...], list[str]]:
    """What `suffix(model, tensor)` takes of every item of a split, on disk.

    Args:
        model: a functional or Sequential model.
        tensor: from `frozen_boundary`: a cut point with weights below it, or the model's input.
        split: the items.

    Returns:
        An open cache entry; its arrays, one for each input of the suffix; and the inputs' dtypes.
    """
    if tensor is start_of(model):
        inputs = model_inputs(model)
        names = tuple(input_names(split.spec(inputs)))
        return cached_inputs(split, inputs), names, [spec.dtype for spec in inputs]
    sides = side_inputs(model, tensor)
    (arrays,) = compute_features(model, [tensor], split, sides=[sides])
    return arrays, feature_names(sides), [each.dtype for each in (tensor, *sides)]


def predict_cached(model: keras.Model, split: Split) -> NDArray[np.float32]:
    """A classifier's outputs on a split; what its frozen layers make of it comes from the cache.

    Args:
        model: a classifier, its layers marked as they were trained.
        split: the items.

    Returns:
        `float32 [n, outputs]`.
    """
    tensor = frozen_boundary(model)
    arrays, names, _ = suffix_arrays(model, tensor, split)
    note_read = cache.release_often(arrays, sum(arrays[name][:1].nbytes for name in names))
    try:
        outputs = []
        for (output,) in keras_engine(suffix(model, tensor))(zip(*(arrays[name] for name in names), strict=True)):
            outputs.append(output)
            note_read(1)
        return np.stack(outputs)
    finally:
        arrays.close()


@dataclass
class _Views:
    """All views of all items of a split."""

    split: Split
    spec: InputSpec
    augmenter: Augmenter | None
    views: int
    seed: int
    mixed: list[NDArray[np.float32]] = field(default_factory=list)  # labels that mixing changed, block by block

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.split) * self.views

    def key_parts(self) -> dict[str, Json]:
        """Everything that the inputs follow from."""
        augmenter = self.augmenter if self.augmenter is not None and self.views > 1 else None
        mixes = self.augmenter is not None and self.augmenter.mixes
        return {
            "preparation": dict(self.spec.preparation),
            "items": cache.digest(self.split.hashes),
            "labels": cache.digest([self.split.labels.tobytes().hex()]) if mixes else None,
            "shapes": [[*tensor.shape] for tensor in self.spec.tensors],
            "views": self.views,
            "augmenter": augmenter.settings if augmenter is not None else None,
            "seed": self.seed if self.views > 1 else 0,
        }

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        """Each item's inputs, the views of an item one after another."""
        for block, (arrays, labels) in enumerate(self.split.batches(self.spec, _BLOCK)):
            views, targets = [as_tuple(arrays)], [labels]
            for view in range(1, self.views):
                assert self.augmenter is not None
                drawn, target = self.augmenter(arrays, labels, seed=stable_seed(self.seed, view, block))
                views.append(tuple(map(in_range, as_tuple(drawn), self.spec.tensors)))
                targets.append(target)
            if self.augmenter is not None and self.augmenter.mixes and self.views > 1:
                classes = len(self.split.class_names)
                rows = np.stack([one_hot(target, classes) for target in targets], axis=1)
                self.mixed.append(rows.reshape(-1, classes))
            for index in range(len(labels)):
                for inputs in views:
                    yield tuple(values[index] for values in inputs)


def _write_features(backbone: str, engine: Engine, items: _Views, sides: dict[str, list[int]]) -> None:
    """Makes the entries of the keys of `sides`: the engine's outputs, and the inputs at the positions beside them."""
    shapes = [[*tensor.shape] for tensor in items.spec.tensors]
    about = {
        "kind": "features",
        "backbone": backbone,
        "items": len(items.split),
        "views": items.views,
        "shapes": shapes,
    }
    what = f"Frozen layers, {items.split.name}" + (f", {items.views} views" if items.views > 1 else "")
    keep = any(sides.values())
    kept: deque[tuple[Array, ...]] = deque()  # inputs of the items that the engine has not answered yet

    def fed() -> Iterator[tuple[Array, ...]]:
        for inputs in items:
            if keep:
                kept.append(inputs)
            yield inputs

    with ExitStack() as stack:
        writers = [stack.enter_context(cache.new_entry(key, about)) for key in sides]
        # Only now: tracing and preparing items keep each other from Python's lock.
        inputs = stack.enter_context(ahead(fed(), max(_BLOCK, _AHEAD // item_bytes(items.spec))))
        rows: list[tuple[Array, ...]] = []
        for number, outputs in enumerate(track(engine(inputs), what, total=items.count), start=1):
            rows.append(outputs)
            if len(rows) == _BLOCK or number == items.count:
                beside = [kept.popleft() for _ in rows] if keep else []
                for place, (writer, positions) in enumerate(zip(writers, sides.values(), strict=True)):
                    # float16 holds three digits, far finer than int8 deployment; the activations of pretrained
                    # backbones stay far inside its range.
                    values = np.clip(np.stack([row[place] for row in rows]), -65504, 65504)
                    writer.append("values", values.astype(np.float16))
                    for side, position in enumerate(positions):
                        writer.append(f"side_{side}", np.stack([each[position] for each in beside]))
                rows.clear()
        for labels in items.mixed:
            for writer in writers:
                writer.append("labels", labels)


# The engine of the frozen layers last computed, and for how many items it was chosen: validation items follow
# training ones, and are computed as they were.
_last: dict[str, tuple[Engine, int]] = {}


def _engine_of(prefix: keras.Model, key: str, n_items: int, spec: InputSpec) -> Engine:
    engine, chosen_for = _last.get(key, (None, 0))
    if engine is None or n_items > SMALL_JOB >= chosen_for:
        if spec.padded is not None:
            engine = padded_engine(prefix, spec)
        else:
            engine = choose_engine(prefix, n_items, [tensor.dtype for tensor in spec.tensors])
        _last.clear()
        _last[key] = engine, n_items
    return engine


def network_digest(model: keras.Model) -> str:
    """A hash of what a model computes: its operations, their weights, and which feeds which.

    Names are left out: Keras numbers those by the process's history.
    """
    digest = hashlib.sha256()

    def add(*parts: object) -> None:
        digest.update(json.dumps(parts, sort_keys=True, default=repr).encode())

    numbers = {id(tensor): number for number, tensor in enumerate(model.inputs)}
    operations: dict[int, int] = {}
    add([(tensor.shape, str(tensor.dtype)) for tensor in model.inputs])
    for node in nodes(model):
        first = id(node.operation) not in operations
        add(operations.setdefault(id(node.operation), len(operations)), _call_arguments(node, numbers))
        if first:
            add(type(node.operation).__name__, _config(node.operation))
            for weight in node.layer.get_weights() if node.layer is not None else ():
                digest.update(np.ascontiguousarray(weight).data)
        for tensor in node.outputs:
            numbers[id(tensor)] = len(numbers)
    add([numbers[id(tensor)] for tensor in model.outputs])
    return digest.hexdigest()


def _call_arguments(node: Node, numbers: dict[int, int]) -> object:
    """With what an operation is called: tensors by their numbers in the graph, constants by their values."""

    def described(value: object) -> object:
        if isinstance(value, keras.KerasTensor):
            return f"tensor {numbers[id(value)]}"
        if hasattr(value, "__array__"):
            values = np.ascontiguousarray(value)
            return [str(values.dtype), list(values.shape), hashlib.sha256(values.tobytes()).hexdigest()]
        return repr(value)

    call = node.operation._inbound_nodes[node.output._keras_history.node_index]
    return keras.tree.map_structure(described, [list(call.arguments.args), dict(call.arguments.kwargs)])


def _config(operation: keras.Operation) -> dict[str, object]:
    try:
        settings = operation.get_config()
    except NotImplementedError:  # Keras cannot tell what it was made with
        settings = {name: repr(value) for name, value in vars(operation).items() if not name.startswith("_")}
    return {name: value for name, value in settings.items() if name not in ("name", "trainable")}


def _position(tensor: keras.KerasTensor, tensors: Sequence[keras.KerasTensor]) -> int:
    """The position of a tensor: KerasTensors have no equality of their own."""
    return next(i for i, other in enumerate(tensors) if other is tensor)
