"""What is known about a file after it was itself run over the whole test split."""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.decisions import correct, correct_labels, decide, two_columns
from keras_transfer.errors import InputError
from keras_transfer.exporters.contract import describe_inputs, versions
from keras_transfer.exporters.latency import measure_latency
from keras_transfer.exporters.onnx import Onnx
from keras_transfer.exporters.targets import judge
from keras_transfer.inputs import Inputs, InputSpec, only
from keras_transfer.litert import TensorInfo, open_litert, read_flatbuffer
from keras_transfer.progress import track

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_BATCH = 64


def run_files(
    model: "keras.Model", files: Mapping[str, bytes], split: "Split", inputs: Inputs, known: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Runs the Keras model and all files over a split in one pass over its pixels.

    Args:
        model: the Keras model; not run where `known` is given.
        files: name -> LiteRT or (`.onnx`) ONNX file made by this process.
        split: the `Split` to go through; only one batch of its pixels is held at a time.
        inputs: what the model takes.
        known: the Keras model's probabilities `[n, classes]` if the caller has them.

    Returns:
        The Keras model's probabilities and each file's, all `float32 [n, classes]`.
    """
    opened = {
        name: Onnx(content) if name.endswith(".onnx") else open_litert(content) for name, content in files.items()
    }
    rows: dict[str, list[np.ndarray]] = {name: [] for name in files}
    keras_rows: list[np.ndarray] = []
    batches = split.batches(inputs, _BATCH)
    count = -(-len(split) // _BATCH)
    for batch, _ in track(batches, f"Proving {len(files)} files on {len(split)} items", total=count):
        values = only(batch)
        if known is None:
            answers = model.predict_on_batch(values.astype(model.inputs[0].dtype))
            keras_rows.append(np.asarray(answers, np.float32))
        for name, file in opened.items():
            rows[name].append(file.predict(values))
    expected = two_columns(np.concatenate(keras_rows) if known is None else known)
    results = {name: np.concatenate(parts) for name, parts in rows.items()}
    for name, result in {"Keras model": expected, **results}.items():
        if result.shape != expected.shape or len(result) != len(split):
            raise InputError(
                f"The {name} gives {list(result.shape)} for {len(split)} images of {expected.shape[1]} classes."
            )
        if not np.all(np.isfinite(result)):
            raise InputError(f"The {name} gives NaN or infinity on the test split: train it anew before exporting.")
    return expected, results


def compare(expected: np.ndarray, actual: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> dict[str, Any]:
    """Compares a file's probabilities with the Keras model's.

    An image with several labels is right where all of them are, as in `keras_transfer.evaluation.metrics`.

    Args:
        expected: the Keras model's `float32 [n, classes]`.
        actual: the file's.
        labels: `int [n]`, or `[n, classes]` of 0 and 1 where several may hold.
        class_names: one name a class.

    Returns:
        Accuracies, their difference, the images that only the Keras model (`lost`) or only the file (`gained`) answers
        right, agreement (the share of images with equal decisions), the fall of each class's recall (with several
        labels of its accuracy), and how far the probabilities are apart: their mean absolute difference, and the mean
        over images of the largest. With several labels also the accuracies of single labels.
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
    found = {
        "images": len(labels),
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
    if several:
        found |= {"test_label_accuracy": float(each_after.mean()), "keras_label_accuracy": float(each_before.mean())}
    return found


def describe(
    content: bytes,
    inputs: InputSpec,
    targets: Sequence[str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What a file is, apart from its answers: hash, sizes, contract, operators, latency here, targets' verdicts.

    Args:
        content: a file made by this process.
        inputs: what it takes.
        targets: names of `TARGETS`.
        options: target -> what `judge` is told beside the file.
    """
    info = read_flatbuffer(content)
    values = describe_inputs(inputs)
    if info.tensors[info.inputs[0]].dtype == "int8" and inputs.tensor.dtype == "uint8":
        values["value_range"] = "raw bytes less 128, -128..127"
    latency = measure_latency(content)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "zipped_bytes": len(zlib.compress(content)),
        "input": {**_tensor(info.tensors[info.inputs[0]]), **values},
        "output": _tensor(info.tensors[info.outputs[0]]),
        "operators": info.counts(),
        "latency_ms": latency["median_ms"],
        "latency": latency,
        "targets": {target: judge(content, target, **(options or {}).get(target, {})) for target in targets},
        "versions": versions(),
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "scale": tensor.scale[0] if tensor.scale else None,
        "zero_point": tensor.zero_point[0] if tensor.zero_point else None,
    }
