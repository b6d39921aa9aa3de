"""What is known about a file after it was itself run over the whole test split."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import correct, correct_labels, decide, expected_calibration_error, two_columns
from keras_transfer.errors import InputError
from keras_transfer.exporters.contract import describe_inputs, versions
from keras_transfer.exporters.latency import measure_latency
from keras_transfer.exporters.onnx import Onnx
from keras_transfer.exporters.saved_model import SAVED_MODEL_FILE, SavedModel
from keras_transfer.exporters.targets import judge
from keras_transfer.inputs import Array, InputSpec, as_tuple
from keras_transfer.litert import TensorInfo, open_litert, read_flatbuffer
from keras_transfer.progress import track
from keras_transfer.schemas import N_ITEMS, Comparison, FileDescription, Tensor

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split
    from keras_transfer.litert.runtime import LiteRT

_BATCH = 64


def run_files(
    model: "keras.Model",
    files: Mapping[str, bytes],
    split: "Split",
    inputs: InputSpec,
    known: NDArray[np.float32] | None = None,
    takes: Mapping[str, InputSpec] | None = None,
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """Runs the Keras model and all files over a split in one pass over its items.

    Args:
        model: the Keras model; not run where `known` is given.
        files: name -> LiteRT file, ONNX file (`.onnx`) or SavedModel (`SAVED_MODEL_FILE`) made by this process.
        split: the `Split` to go through; only one batch of its items is held at a time.
        inputs: what the model takes.
        known: the Keras model's probabilities `[n, classes]` if the caller has them.
        takes: name -> what the file takes, where that is not `inputs`.

    Returns:
        The Keras model's probabilities and each file's, all `float32 [n, classes]`.
    """
    takes = {name: (takes or {}).get(name, inputs) for name in files}
    opened = {name: _open(name, content, takes[name]) for name, content in files.items()}
    rows: dict[str, list[NDArray[np.float32]]] = {name: [] for name in files}
    keras_rows: list[NDArray[np.float32]] = []
    wanted = (inputs.tensors, *(own.tensors for own in takes.values()))
    ways = {tensors: split.batches(tensors, _BATCH) for tensors in wanted}
    count = -(-len(split) // _BATCH)
    proving = f"Proving {len(files)} files on {len(split)} items"
    for parts in track(zip(*ways.values(), strict=True), proving, total=count):
        batches = dict(zip(ways, (batch for batch, _ in parts), strict=True))
        if known is None:
            pairs = zip(as_tuple(batches[inputs.tensors]), model.inputs, strict=True)
            values = [array.astype(tensor.dtype) for array, tensor in pairs]
            answers = model.predict_on_batch(values if len(values) > 1 else values[0])
            keras_rows.append(np.asarray(answers, np.float32))
        for name, file in opened.items():
            rows[name].append(file.predict(batches[takes[name].tensors]))
    expected = two_columns(np.concatenate(keras_rows) if known is None else known)
    results = {name: np.concatenate(parts) for name, parts in rows.items()}
    for name, result in {"Keras model": expected, **results}.items():
        if result.shape != expected.shape or len(result) != len(split):
            raise InputError(
                f"The {name} gives {list(result.shape)} for {len(split)} items of {expected.shape[1]} classes."
            )
        if not np.all(np.isfinite(result)):
            raise InputError(f"The {name} gives NaN or infinity on the test split: train it again before exporting.")
    return expected, results


def _open(name: str, content: bytes, inputs: InputSpec) -> "Onnx | SavedModel | LiteRT":
    if name.endswith(".onnx"):
        return Onnx(content)
    return SavedModel(content, inputs) if name.endswith(SAVED_MODEL_FILE) else open_litert(content, inputs=inputs)


def compare(
    expected: NDArray[np.floating], actual: NDArray[np.floating], labels: Array, class_names: Sequence[str]
) -> Comparison:
    """Compares a file's probabilities with the Keras model's.

    An item with several labels is right where all of them are, as in `keras_transfer.evaluation.metrics`.

    Args:
        expected: the Keras model's `float32 [n, classes]`.
        actual: the file's.
        labels: `int [n]`, or `[n, classes]` of 0 and 1 where several may hold.
        class_names: one name per class.

    Returns:
        Accuracies, their difference, the items that only the Keras model (`lost`) or only the file (`gained`) answers
        right, agreement (the share of items with equal decisions), the fall of each class's recall (with several
        labels of its accuracy), and how far the probabilities are apart: their mean absolute difference, and the mean
        over items of the largest. With several labels also the accuracies of single labels.
    """
    several = labels.ndim == 2
    right_before, right_after = correct(labels, expected), correct(labels, actual)
    same = (decide(expected, several) == decide(actual, several)).all(axis=1)
    if several:
        each_before, each_after = correct_labels(labels, expected), correct_labels(labels, actual)
        drops = dict(zip(class_names, (each_before.mean(axis=0) - each_after.mean(axis=0)).tolist(), strict=True))
    else:
        drops = {
            name: float(right_before[labels == index].mean() - right_after[labels == index].mean())
            for index, name in enumerate(class_names)
            if np.any(labels == index)
        }
    difference = np.abs(expected - actual)
    comparison: Comparison = {
        N_ITEMS: len(labels),
        "test_accuracy": float(right_after.mean()),
        "keras_accuracy": float(right_before.mean()),
        "accuracy_drop": float(right_before.mean() - right_after.mean()),
        "lost": int((right_before & ~right_after).sum()),
        "gained": int((right_after & ~right_before).sum()),
        "agreement": float(same.mean()),
        "mean_abs_difference": float(difference.mean()),
        "mean_max_difference": float(difference.max(axis=1).mean()),
        "class_drops": {name: round(drop, 6) for name, drop in drops.items()},
    }
    if not several:
        comparison["ece"] = expected_calibration_error(right_after, actual.max(axis=1))
    if several:
        comparison["test_label_accuracy"] = float(each_after.mean())
        comparison["keras_label_accuracy"] = float(each_before.mean())
    return comparison


def describe(
    content: bytes,
    inputs: InputSpec,
    targets: Sequence[str],
    options: Mapping[str, Mapping[str, str | None]] | None = None,
) -> FileDescription:
    """What a file is, apart from its answers: hash, sizes, contract, operators, latency here, targets' verdicts.

    Args:
        content: a file made by this process.
        inputs: what it takes.
        targets: names of `TARGETS`.
        options: target -> what `judge` is told beside the file.
    """
    info = read_flatbuffer(content)
    ends = [info.tensors[index] for index in info.inputs]
    entries: list[dict[str, object]] = [
        {**_tensor(tensor), **words} for tensor, words in zip(ends, describe_inputs(inputs), strict=True)
    ]
    for entry, tensor, spec in zip(entries, ends, inputs.tensors, strict=True):
        if tensor.dtype == "int8" and spec.dtype == "uint8":
            entry["value_range"] = "raw bytes less 128, -128..127"
    latency = measure_latency(content)
    description: FileDescription = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "zipped_bytes": len(zlib.compress(content)),
        "input": entries[0],
        "output": _tensor(info.tensors[info.outputs[0]]),
        "operators": info.counts(),
        "latency_ms": latency["median_ms"],
        "latency": latency,
        "targets": {target: judge(content, target, **(options or {}).get(target, {})) for target in targets},
        "versions": versions(),
    }
    if len(entries) > 1:
        description["other_inputs"] = list(entries[1:])
    return description


def _tensor(tensor: TensorInfo) -> Tensor:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale[0] if tensor.scale else None,
        "zero_point": tensor.zero_point[0] if tensor.zero_point else None,
    }
