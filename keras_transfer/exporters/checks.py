"""Checks of a call of `export`, before anything is written."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError
from keras_transfer.exporters.onnx import require_onnx
from keras_transfer.exporters.repair import check_remedies
from keras_transfer.exporters.targets import check_targets
from keras_transfer.litert.frozen import CALIBRATED
from keras_transfer.litert.labels import labels_text

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

ONNX = "onnx"


def check_call(
    model: "keras.Model",
    names: list[str],
    tolerance: float,
    proof: "Split",
    formats: Sequence[str],
    calibration: "Split | None",
) -> None:
    """Raises `InputError` for what `export` cannot work with."""
    labels_text(names)  # raises now what cannot be written
    if not 0 <= tolerance <= 1:
        raise InputError(f"`tolerance` must be a share of items between 0 and 1. Received: tolerance={tolerance}.")
    if ONNX in formats:
        require_onnx()
    if len(proof) == 0:
        raise InputError("The proof split is empty: give some test items.")
    wanting = [kind for kind in CALIBRATED if kind in formats]
    if wanting and (calibration is None or len(calibration) == 0):
        raise InputError(f"{wanting[0]} needs `calibration`: the training split, which shows every activation's range.")
    units = model.outputs[0].shape[-1]
    if units != len(names) and not (units == 1 and len(names) == 2):
        raise InputError(f"The model has {units} outputs but {len(names)} class names were given.")


def check_tools(formats: Sequence[str], targets: Sequence[str]) -> None:
    """Raises `InputError` where a target is unknown, or what a format or a target needs is not installed."""
    if ONNX in formats:
        require_onnx()
    check_targets(targets)


def check_repair(
    repair: bool | Sequence[str],
    formats: Sequence[str],
    validation: "Split | None",
    converted: Mapping[str, bytes] | None,
) -> None:
    """Raises `InputError` where there is nothing to repair or nothing to choose a remedy by."""
    if repair is not True:
        check_remedies(repair)  # type: ignore[arg-type]
    if "int8" not in formats or "int8" in (converted or {}):
        raise InputError(f"`repair` is for an int8 file that is converted here. Received: formats={list(formats)}.")
    if validation is None or len(validation) == 0:
        raise InputError("`repair` chooses a remedy on the validation split, never on the test split: give one.")
