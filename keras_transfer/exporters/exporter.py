"""From a Keras model to proven files."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from keras_transfer.errors import InputError, check_options
from keras_transfer.exporters.artifacts import (
    Artifacts,
    ExportGateError,
    write_artifacts,
)
from keras_transfer.exporters.checks import ONNX, check_call, check_repair
from keras_transfer.exporters.gate import PREFERRED
from keras_transfer.exporters.heads import two_columns
from keras_transfer.exporters.onnx import convert_onnx
from keras_transfer.exporters.proof import compare, run_files
from keras_transfer.exporters.repair import REMEDIES, Conversion, repair_quantization
from keras_transfer.exporters.saved_model import SAVED_MODEL, SAVED_MODEL_FILE, convert_saved_model
from keras_transfer.exporters.targets import TARGETS, check_targets
from keras_transfer.exporters.task import Answers, ExportOptions, File, Task, contents_by_name, inputs_by_name
from keras_transfer.inputs import Preparer, open_modality
from keras_transfer.litert import convert
from keras_transfer.litert.convert import CALIBRATION_ITEMS, DEFAULT_FORMATS
from keras_transfer.litert.frozen import CALIBRATED
from keras_transfer.litert.labels import read_inputs, write_labels
from keras_transfer.models.silent import as_plain, options_of, preparer_of
from keras_transfer.progress import say
from keras_transfer.recipe import OTHER_RUNTIMES

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_PROMISED = ("int8",)  # of the default formats: the others are there to fall back on


def export(
    model: "keras.Model",
    out: str | Path,
    *,
    proof: "Split",
    calibration: "Split | None" = None,
    formats: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    targets: Sequence[str] = ("android",),
    tolerance: float = 0.01,
    repair: bool | Sequence[str] = False,
    validation: "Split | None" = None,
    **options: Unpack[ExportOptions],
) -> Artifacts:
    """Writes a classifier as LiteRT files and proves each on the whole test split.

    Each file is `NAME_FORMAT.tflite`, with the class names and its inputs inside, its proof `NAME_FORMAT.json`;
    `labels.txt` and `inputs.json` stand beside them. A target that takes none of them as it is gets its own,
    `TARGET/model.tflite`, proved alike. A binary head of one sigmoid becomes two outputs.

    Args:
        model: a classifier from anywhere, of one input or several; see `keras_transfer.as_classifier`.
        out: the folder to write to.
        proof: the test `Split`.
        calibration: the *training* `Split`; a stratified part of it calibrates the int8 file.
        formats: any of `"float32"`, `"float16"`, `"dynamic"`, `"int8"`, `"16x8"`, and `"onnx"`: `NAME.onnx`, by Keras's
            own exporter, proved by ONNX Runtime; and `"saved-model"`: a folder for TensorFlow Serving, see
            `keras_transfer.exporters.saved_model`. None makes the first four, of which int8 alone counts as asked for.
        class_names: in the order of the outputs; those of `proof` unless given.
        targets: names of `TARGETS`; each must take at least one file, and gets a folder with what its owner needs.
        tolerance: accuracy that a file may lose against the Keras model, 0..1.
        repair: where the int8 file loses more than `tolerance`, try remedies (or those named out of
            `exporters.repair.REMEDIES`), and prove the first that `validation` says will do. 16x8 replaces int8.
        validation: the validation `Split`, which `repair` chooses by, and the limit of an int8 `rejection`.
        **options: see `keras_transfer.exporters.task.ExportOptions`.

    Returns:
        One entry for each file, in the order of `formats`, then the targets' own, with its gate's outcome.

    Raises:
        InputError: an argument is wrong, or the model cannot be converted.
        ExportGateError: with `strict`: a file asked for failed its gate, or a target takes none of the files.
    """
    check_options("export", options, ExportOptions)
    task = _task(model, Path(out), proof, calibration, formats, class_names, targets, tolerance, options)
    if validation is not None:
        task = replace(task, validation=_prepared_for(task.model, validation))
    if repair:
        check_repair(repair, task.formats, validation, options.get("converted"))
    answers = _answer(task, _convert(task))
    if repair and task.validation is not None:  # which `check_repair` has made sure of
        answers = _repair(task, answers, task.validation, tuple(REMEDIES) if repair is True else tuple(repair))
    artifacts = write_artifacts(task, answers)
    if artifacts.problems and options.get("strict"):
        raise ExportGateError(" ".join(artifacts.problems), artifacts)
    for sentence in (*artifacts.problems, *artifacts.notes):
        say(f"Note: {sentence}")
    return artifacts


def _prepared_for(model: "keras.Model", split: "Split") -> "Split":
    """The split with what the model itself says of how its parts' inputs are made."""
    preparer: Preparer | None = getattr(split, "preparer", None)
    if preparer is None:  # items in memory
        return split
    own = open_modality(preparer.modality).preparer_with(model, preparer)
    return split if own is preparer else split.prepared_by(own)


def _task(
    model: "keras.Model",
    out: Path,
    proof: "Split",
    calibration: "Split | None",
    formats: Sequence[str] | None,
    class_names: Sequence[str] | None,
    targets: Sequence[str],
    tolerance: float,
    options: ExportOptions,
) -> Task:
    """The call, checked, with a model of one size and splits that are prepared for it."""
    from keras_transfer.models.graph import model_inputs
    from keras_transfer.models.replay import at_size

    names = list(class_names if class_names is not None else proof.class_names)
    kinds = tuple(dict.fromkeys(DEFAULT_FORMATS if formats is None else formats))
    model = as_plain(model, preparer_of(proof).modality, options_of(proof, options))
    proof = _prepared_for(model, proof)
    calibration = calibration and _prepared_for(model, calibration)
    model = at_size(model, preparer_of(proof).spec(model_inputs(model)).tensors)
    check_call(model, names, tolerance, proof, kinds, calibration)
    check_targets(targets)
    per_tensor_dense = options.get("per_tensor_dense")
    if per_tensor_dense is None:
        per_tensor_dense = any(TARGETS[target].per_tensor_dense for target in targets)
    task = Task(
        model=two_columns(model) if model.outputs[0].shape[-1] == 1 and len(names) == 2 else model,
        class_names=names,
        formats=kinds,
        asked=frozenset(_PROMISED if formats is None else formats),
        targets=tuple(targets),
        calibration=calibration,
        proof=proof,
        tolerance=tolerance,
        per_tensor_dense=per_tensor_dense,
        out=out,
        options=options,
    )
    _check_input_dtype(task)
    return task


def _check_input_dtype(task: Task) -> None:
    """Raises `InputError` where a type of inputs is asked for that no file can have."""
    if task.input_dtype == "uint8":
        return
    whole = [tensor for tensor in task.inputs.tensors if tensor.dtype == "int32"]
    if whole:
        raise InputError(
            f"`input_dtype` (--input-type) is for values that are quantized; these files take {whole[0].meaning} as "
            f"int32: leave it out. Received: {task.input_dtype}."
        )
    if "int8" not in task.formats:
        raise InputError("`input_dtype` (--input-type) is that of the int8 file: add int8 to the formats.")


def _convert(task: Task) -> dict[str, bytes]:
    """Format -> file, without class names; those that came with the call as they are."""
    say(f"Converting to {', '.join(task.formats)}")
    contents = dict(task.converted)
    missing = [kind for kind in task.formats if kind not in (*OTHER_RUNTIMES, *contents)]
    groups = [missing]
    if not set(CALIBRATED).isdisjoint(missing) and task.quantized_part.model is not task.scored:
        groups = [[kind for kind in missing if (kind in CALIBRATED) is calibrated] for calibrated in (False, True)]
    groups = [formats for formats in groups if formats]
    for formats in groups:
        model, inputs = task.network(formats[0])
        contents |= convert(
            model,
            formats,
            calibration=None if set(CALIBRATED).isdisjoint(formats) else task.calibration_arrays,
            calibration_items=task.n_calibration_items or CALIBRATION_ITEMS,
            input_dtype=task.input_dtype,
            per_tensor_dense=task.per_tensor_dense,
            item=inputs.tensors,
            on_frozen=task.options.get("on_frozen") if formats is groups[-1] else None,
        )
    if ONNX in task.formats:
        contents[ONNX] = convert_onnx(task.model, task.class_names, task.inputs)
    if SAVED_MODEL in task.formats:
        contents[SAVED_MODEL] = convert_saved_model(task.model, task.class_names, task.inputs, task.rejection)
    if task.targets and set(task.formats) <= set(OTHER_RUNTIMES):
        say(f"Targets take LiteRT files; with {' and '.join(task.formats)} alone none is judged.")
    return contents


def _make_files(task: Task, formats: Sequence[str], contents: Mapping[str, bytes]) -> list[File]:
    """One file for each format, class names within, then the targets' own."""
    files = []
    for kind in formats:
        inputs = task.network(kind).inputs
        if kind == ONNX:
            files.append(File(f"{task.name}.onnx", kind, contents[kind], task.targets, inputs))
        elif kind == SAVED_MODEL:
            files.append(File(f"{task.name}{SAVED_MODEL_FILE}", kind, contents[kind], task.targets, inputs))
        else:
            limit = task.limit(kind, contents[kind])
            content = write_labels(contents[kind], task.class_names, inputs, limit)
            files.append(File(f"{task.name}_{kind}.tflite", kind, content, task.targets, inputs, limit))
    adapted = [_adapt(target, files) for target in task.targets]
    return files + [file for file in adapted if file is not None]


def _adapt(target: str, files: Sequence[File]) -> File | None:
    """The file that a target asks for, made of the smallest that can be; None where it takes files as they are."""
    adapt = TARGETS[target].adapt
    if adapt is None:
        return None
    for file in sorted(files, key=lambda file: PREFERRED.index(file.format)):
        with contextlib.suppress(InputError):
            if file.format not in OTHER_RUNTIMES:
                content = adapt(file.content)
                inputs = read_inputs(content) or file.inputs
                return File(f"{target}/model.tflite", file.format, content, (target,), inputs, file.limit)
    return None


def _answer(task: Task, contents: dict[str, bytes]) -> Answers:
    """All files, with their answers and those of the Keras model on the proof split."""
    files = _make_files(task, task.formats, contents)
    known = task.options.get("keras_probabilities")
    known = known() if callable(known) else known
    takes = inputs_by_name(files)
    expected, answers = run_files(task.model, contents_by_name(files), task.proof, task.inputs, known, takes)
    return Answers(files, contents, expected, answers)


def _repair(task: Task, before: Answers, validation: "Split", remedies: tuple[str, ...]) -> Answers:
    """The answers after the int8 file was repaired, where it lost more than the tolerance."""
    name = f"{task.name}_int8.tflite"
    compared = compare(before.expected, before.answers[name], task.labels, task.class_names)
    arrays = task.calibration_arrays
    if compared["accuracy_drop"] <= task.tolerance or arrays is None or task.calibration is None:
        return before
    say(f"int8 loses {100 * compared['accuracy_drop']:.1f} points: repairing, by the validation split")
    contents = dict(before.contents)
    model, inputs = task.quantized_part
    conversion = Conversion(
        model,
        {**contents, "float32": task.reference(contents)},
        inputs,
        task.class_names,
        task.calibration,
        arrays,
        seed=task.options.get("seed", 0),
        input_dtype=task.input_dtype,
        per_tensor_dense=task.per_tensor_dense,
        limit=task.rejection.limit if task.rejection is not None else None,
    )
    repaired = repair_quantization(conversion, validation, len(task.labels), task.tolerance, remedies)
    contents[repaired.format] = repaired.content
    repaired.steps[0]["test_accuracy"] = compared["test_accuracy"]
    files = _make_files(task, tuple(repaired.format if kind == "int8" else kind for kind in task.formats), contents)
    old = contents_by_name(before.files)
    changed = {file.name: file.content for file in files if old.get(file.name) != file.content}
    answers = dict(before.answers)
    if changed:
        takes = inputs_by_name(files)
        answers |= run_files(task.model, changed, task.proof, task.inputs, before.expected, takes)[1]
    if repaired.format != "int8":  # the file that failed must not be mistaken for the repaired one
        for stale in (task.out / name, (task.out / name).with_suffix(".json")):
            stale.unlink(missing_ok=True)
    return Answers(files, contents, before.expected, answers, repaired.steps)
