"""When an int8 file has failed its gate: remedies from cheap to expensive, chosen on the validation split."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import RejectionLimit, decide
from keras_transfer.errors import InputError
from keras_transfer.exporters.layer_errors import diagnose
from keras_transfer.exporters.proof import compare, run_files
from keras_transfer.inputs import Array, Arrays, InputSpec, as_tuple
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.progress import say
from keras_transfer.schemas import N_CALIBRATION_ITEMS, RepairStep

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_DIAGNOSED_ITEMS = 8


@dataclass(frozen=True)
class Conversion:
    """A conversion whose int8 file lost too much, and what the remedies work with.

    Attributes:
        model: the Keras model.
        files: format -> content; `"int8"` and `"float32"` are there.
        inputs: what the model takes.
        class_names: in the order of its outputs.
        calibration: the training split.
        arrays: the items of it that calibrated, `[n, ...]`.
        seed: of the choice of more items.
        input_dtype: see `convert`.
        per_tensor_dense: see `convert`.
        limit: of the score of unknown items, if the files have one.
    """

    model: "keras.Model"
    files: dict[str, bytes]
    inputs: InputSpec
    class_names: Sequence[str]
    calibration: "Split"
    arrays: Arrays
    seed: int = 0
    input_dtype: str = "uint8"
    per_tensor_dense: bool = False
    limit: RejectionLimit | None = None


class RemedyOptions(TypedDict, total=False):
    """Options of `convert` that a remedy sets."""

    calibration: Arrays
    float_layers: list[str]


class Remedy(NamedTuple):
    """What may repair a file, and what it costs whoever runs the file."""

    cost: str
    format: str
    options: Callable[[Conversion], RemedyOptions]


class Repaired(NamedTuple):
    """The best file: its `format` and `content`; and `steps`, what each remedy gave, the first being none."""

    format: str
    content: bytes
    steps: list[RepairStep]


class Weights(TypedDict):
    """What `weigh` returns."""

    accuracy: float
    accuracy_drop: float
    agreement: float
    mean_abs_difference: float
    expected_drop: float
    bound: float


def _more_items(conversion: Conversion) -> RemedyOptions:
    count = min(5 * _count(conversion.arrays), len(conversion.calibration))
    return {"calibration": conversion.calibration.stratified(count, conversion.seed).arrays(conversion.inputs.tensors)}


def _count(arrays: Arrays) -> int:
    return len(as_tuple(arrays)[0])


def _float_layers(share: float) -> Callable[[Conversion], RemedyOptions]:
    """The share of the layers that add most to the error."""

    def options(conversion: Conversion) -> RemedyOptions:
        names = {layer.name for layer in conversion.model.layers}
        items = tuple(array[:_DIAGNOSED_ITEMS] for array in as_tuple(conversion.arrays))
        errors = diagnose(conversion.files["float32"], conversion.files["int8"], items, names)
        worst = sorted(errors, key=lambda layer: -layer.added)[: max(1, round(share * len(errors)))]
        return {"float_layers": sorted({name for layer in worst for name in layer.layer.split(" + ")} & names)}

    return options


REMEDIES: dict[str, Remedy] = {
    "more-calibration": Remedy("nothing", "int8", _more_items),
    "float-layers": Remedy(
        "some bytes and time; devices without float no longer accept it", "int8", _float_layers(0.05)
    ),
    "more-float-layers": Remedy("more of both", "int8", _float_layers(0.25)),
    "16x8": Remedy("speed: few devices have kernels for it; float32 out", "16x8", lambda conversion: {}),
}


def check_remedies(names: Sequence[str]) -> None:
    """Raises `InputError` for names that `REMEDIES` lacks."""
    unknown = [name for name in names if name not in REMEDIES]
    if unknown or isinstance(names, str):
        raise InputError(
            f"`repair` must be True or names out of {', '.join(REMEDIES)}. Received: {unknown or names!r}."
        )


def weigh(expected: NDArray[np.floating], actual: NDArray[np.floating], labels: Array, tested: int) -> Weights:
    """What a file's answers on the validation split say about its gate on the test split.

    Accuracies of some hundred items are too coarse to tell files apart: a file that decides 3% of 200 items differently
    has lost 0 points, give or take 1.2. So each other decision counts as what it loses if the Keras model's
    probabilities are true, `expected_drop`; and `bound` adds one standard deviation of the drop that so many other
    decisions among the `tested` test items can make by luck.

    Args:
        expected: the Keras model's probabilities, float `[n, classes]`.
        actual: the file's.
        labels: int `[n]`, or `[n, classes]` of 0 and 1 where several may hold.
        tested: how many test items there are.

    Returns:
        `accuracy`, `accuracy_drop`, `agreement`, `mean_abs_difference`, `expected_drop` and `bound`.

    >>> row = np.array([[0.6, 0.4]] * 100)
    >>> other = np.where(np.arange(100)[:, None] < 1, row[:, ::-1], row)
    >>> weigh(row, other, np.zeros(100, int), 400)["bound"]  # 1% * 0.2 + sqrt(1% / 400)
    0.007
    """
    several = labels.ndim == 2
    names = [str(index) for index in range(expected.shape[1])]
    compared = compare(expected, actual, labels, names)
    if several:  # an item is right where all of its labels are
        decided = np.maximum(expected, 1 - expected).prod(axis=1)
        lost = decided - np.where(decide(actual, several), expected, 1 - expected).prod(axis=1)
    else:
        lost = expected.max(axis=1) - np.take_along_axis(expected, actual.argmax(axis=1)[:, None], axis=1)[:, 0]
    luck = np.sqrt((1 - compared["agreement"]) / tested)
    return {
        "accuracy": compared["test_accuracy"],
        "accuracy_drop": round(compared["accuracy_drop"], 6),
        "agreement": compared["agreement"],
        "mean_abs_difference": round(compared["mean_abs_difference"], 6),
        "expected_drop": round(float(lost.mean()), 6),
        "bound": round(float(lost.mean() + luck), 6),
    }


def repair_quantization(
    conversion: Conversion,
    validation: "Split",
    tested: int,
    tolerance: float,
    names: Sequence[str] = tuple(REMEDIES),
) -> Repaired:
    """Tries remedies until a file's `bound` on the validation split (see `weigh`) is within the tolerance.

    Args:
        conversion: the model and its files.
        validation: the validation `Split`; not the test split, which is for the proof alone.
        tested: how many test items the gate looks at.
        tolerance: accuracy that the gate lets a file lose.
        names: of `REMEDIES`, in the order in which to try them.

    Returns:
        The first file that passes, or the one with the least bound where none does (the int8 file as it is may be that
        one); and what each remedy gave, the first entry being the file as it is.
    """
    labels = np.asarray(validation.labels)
    expected: NDArray[np.float32] | None = None

    def step(name: str, content: bytes) -> RepairStep:
        nonlocal expected
        # With the metadata, which say what its inputs are.
        file = write_labels(content, conversion.class_names, conversion.inputs, conversion.limit)
        expected, answers = run_files(conversion.model, {"file": file}, validation, conversion.inputs, expected)
        weights = weigh(expected, answers["file"], labels, tested)
        return {
            "remedy": name,
            "bytes": len(content),
            "val_accuracy": weights["accuracy"],
            "val_accuracy_drop": weights["accuracy_drop"],
            "val_agreement": weights["agreement"],
            "val_mean_abs_difference": weights["mean_abs_difference"],
            "val_expected_drop": weights["expected_drop"],
            "val_bound": weights["bound"],
        }

    best = "int8", conversion.files["int8"]
    chosen = step("none", best[1])
    steps = [chosen]
    for name in names:
        remedy, started = REMEDIES[name], time.perf_counter()
        say(f"Repair: {name} (costs {remedy.cost})")
        options = remedy.options(conversion)
        content = _converted(conversion, remedy.format, options)
        steps.append(step(name, content))
        if "calibration" in options:
            steps[-1][N_CALIBRATION_ITEMS] = _count(options["calibration"])
        if "float_layers" in options:
            steps[-1]["float_layers"] = options["float_layers"]
        steps[-1]["seconds"] = round(time.perf_counter() - started, 1)
        if steps[-1]["val_bound"] < chosen["val_bound"]:
            chosen, best = steps[-1], (remedy.format, content)
            if chosen["val_bound"] <= tolerance:
                break
    chosen["chosen"] = True
    return Repaired(*best, steps)


def _converted(conversion: Conversion, kind: str, options: RemedyOptions) -> bytes:
    """The file of a format with a remedy's options."""
    arrays = options.get("calibration", conversion.arrays)
    return convert(
        conversion.model,
        [kind],
        calibration=arrays,
        calibration_items=_count(arrays),
        input_dtype=conversion.input_dtype,
        per_tensor_dense=conversion.per_tensor_dense,
        float_layers=options.get("float_layers", ()),
        item=conversion.inputs.tensors,
    )[kind]
