"""When an int8 file has failed its gate: remedies from cheap to dear, weighed on the validation split."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_transfer.decisions import decide
from keras_transfer.errors import InputError
from keras_transfer.exporters.diagnose import diagnose
from keras_transfer.exporters.proof import compare, run_files
from keras_transfer.inputs import only
from keras_transfer.litert import convert
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import say

if TYPE_CHECKING:
    from keras_transfer.data.split import Split

_DIAGNOSED_IMAGES = 8


@dataclass(frozen=True)
class Patient:
    """A model whose int8 file lost too much, and what the remedies work with."""

    model: Any
    files: dict[str, bytes]  # format -> content; "int8" and "float32" are there
    calibration: Any  # the training split
    images: np.ndarray  # those that calibrated: uint8 [n, H, W, channels]
    seed: int
    options: dict[str, Any]  # what `convert` was told


class Remedy(NamedTuple):
    """What may mend a file, and what it costs whoever runs the file."""

    cost: str
    format: str
    options: Callable[[Patient], dict[str, Any]]  # what `convert` is told on top


def _more_images(patient: Patient) -> dict[str, Any]:
    count = min(5 * len(patient.images), len(patient.calibration))
    images = only(patient.calibration.stratified(count, patient.seed).arrays(model_inputs(patient.model)))
    return {"calibration": images, "calibration_items": count}


def _float_layers(share: float) -> Callable[[Patient], dict[str, Any]]:
    """The share of the layers that add most to the error."""

    def options(patient: Patient) -> dict[str, Any]:
        names = {layer.name for layer in patient.model.layers}
        images = patient.images[:_DIAGNOSED_IMAGES]
        found = diagnose(patient.files["float32"], patient.files["int8"], images, names)
        worst = sorted(found, key=lambda layer: -layer.added)[: max(1, round(share * len(found)))]
        return {"float_layers": sorted({name for layer in worst for name in layer.layer.split(" + ")} & names)}

    return options


REMEDIES: dict[str, Remedy] = {
    "more-calibration": Remedy("nothing", "int8", _more_images),
    "float-layers": Remedy("some bytes and time; devices without float take it no more", "int8", _float_layers(0.05)),
    "more-float-layers": Remedy("more of both", "int8", _float_layers(0.25)),
    "16x8": Remedy("speed: few devices have kernels for it; float32 out", "16x8", lambda patient: {}),
}


def check_remedies(names: Sequence[str]) -> None:
    """Raises `InputError` for names that `REMEDIES` lacks."""
    unknown = [name for name in names if name not in REMEDIES]
    if unknown or isinstance(names, str):
        raise InputError(
            f"`repair` must be True or names out of {', '.join(REMEDIES)}. Received: {unknown or names!r}."
        )


def weigh(expected: np.ndarray, actual: np.ndarray, labels: np.ndarray, tested: int) -> dict[str, float]:
    """What a file's answers on the validation split say about its gate on the test split.

    Accuracies of some hundred images are too coarse to tell files apart: a file that decides 3% of 200 images otherwise
    has lost 0 points, give or take 1.2. So each other decision counts as what it loses if the Keras model's
    probabilities are true, `expected_drop`; and `bound` adds one standard deviation of the drop that so many other
    decisions among the `tested` test images can make by luck.

    Args:
        expected: the Keras model's probabilities, float32 `[n, classes]`.
        actual: the file's.
        labels: int `[n]`, or `[n, classes]` of 0 and 1 where several may hold.
        tested: how many test images there are.

    Returns:
        `accuracy`, `accuracy_drop`, `agreement`, `mean_abs_difference`, `expected_drop` and `bound`.

    >>> row = np.array([[0.6, 0.4]] * 100)
    >>> other = np.where(np.arange(100)[:, None] < 1, row[:, ::-1], row)
    >>> weigh(row, other, np.zeros(100, int), 400)["bound"]  # 1% * 0.2 + sqrt(1% / 400)
    0.007
    """
    several = labels.ndim == 2
    names = [str(index) for index in range(expected.shape[1])]
    found = compare(expected, actual, labels, names)
    if several:  # an image is right where all of its labels are
        decided = np.maximum(expected, 1 - expected).prod(axis=1)
        lost = decided - np.where(decide(actual, several), expected, 1 - expected).prod(axis=1)
    else:
        lost = expected.max(axis=1) - np.take_along_axis(expected, actual.argmax(axis=1)[:, None], axis=1)[:, 0]
    luck = np.sqrt((1 - found["agreement"]) / tested)
    return {
        "accuracy": found["test_accuracy"],
        "accuracy_drop": round(found["accuracy_drop"], 6),
        "agreement": found["agreement"],
        "mean_abs_difference": round(found["mean_abs_difference"], 6),
        "expected_drop": round(float(lost.mean()), 6),
        "bound": round(float(lost.mean() + luck), 6),
    }


def mend(
    patient: Patient, validation: "Split", tested: int, tolerance: float, names: Sequence[str] = tuple(REMEDIES)
) -> tuple[str, bytes, list[dict[str, Any]]]:
    """Tries remedies until a file's `bound` on the validation split (see `weigh`) is within the tolerance.

    Args:
        patient: the model and its files.
        validation: the validation `Split`; not the test split, which is for the proof alone.
        tested: how many test images the gate looks at.
        tolerance: accuracy that the gate lets a file lose.
        names: of `REMEDIES`, in the order in which to try them.

    Returns:
        Format and content of the first file that passes, or of the one with the least bound where none does (the int8
        file as it is may be that one); and what each remedy gave, the first entry being the file as it is.
    """
    labels, inputs = np.asarray(validation.labels), model_inputs(patient.model)
    expected: np.ndarray | None = None

    def step(name: str, content: bytes) -> dict[str, Any]:
        nonlocal expected
        expected, found = run_files(patient.model, {"file": content}, validation, inputs, expected)
        weights = weigh(expected, found["file"], labels, tested)
        return {"remedy": name, "bytes": len(content)} | {f"val_{key}": value for key, value in weights.items()}

    best = "int8", patient.files["int8"]
    chosen = step("none", best[1])
    steps = [chosen]
    for name in names:
        remedy, started = REMEDIES[name], time.perf_counter()
        say(f"Repair: {name} (costs {remedy.cost})")
        options = remedy.options(patient)
        told: dict[str, Any] = (
            {"calibration": patient.images, "calibration_items": len(patient.images)} | patient.options | options
        )
        content = convert(patient.model, [remedy.format], **told)[remedy.format]
        steps.append(step(name, content))
        # A key of proofs is never renamed.
        recorded = {"calibration_images" if key == "calibration_items" else key: options[key] for key in options}
        steps[-1] |= {key: value for key, value in recorded.items() if key != "calibration"}
        steps[-1]["seconds"] = round(time.perf_counter() - started, 1)
        if steps[-1]["val_bound"] < chosen["val_bound"]:
            chosen, best = steps[-1], (remedy.format, content)
            if chosen["val_bound"] <= tolerance:
                break
    chosen["chosen"] = True
    return *best, steps
