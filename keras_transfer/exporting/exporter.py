"""From a Keras model to proven files."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from keras_transfer.errors import GateError, InputError
from keras_transfer.exporting.checks import ONNX, check_call, check_repair
from keras_transfer.exporting.diagnose import diagnose
from keras_transfer.exporting.gate import ADVICE, MORE_ADVICE, ExportGateError, failures
from keras_transfer.exporting.heads import two_columns
from keras_transfer.exporting.onnx import convert_onnx, describe_onnx
from keras_transfer.exporting.proof import compare, describe, run_files
from keras_transfer.exporting.repair import REMEDIES, Patient, mend
from keras_transfer.exporting.targets import TARGETS, Kit, check_targets
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.litert import convert
from keras_transfer.litert.convert import CALIBRATED, CALIBRATION_IMAGES, DEFAULT_FORMATS
from keras_transfer.litert.labels import LABELS_FILE, labels_text, write_labels
from keras_transfer.progress import say

_DIAGNOSED_IMAGES = 8
_DIAGNOSED_LAYERS = 5


class Artifact(TypedDict):
    """One exported file, as `result.json` lists it; its whole proof is the JSON file beside it."""

    path: str  # relative to the folder that holds the export folder
    format: str
    bytes: int
    zipped_bytes: int
    test_accuracy: float
    agreement: float
    accuracy_drop: float
    latency_ms: float
    targets: dict[str, Any]


def export(
    model: Any,
    out: str | Path,
    *,
    calibration: Any = None,
    proof: Any,
    formats: Sequence[str] = DEFAULT_FORMATS,
    class_names: Sequence[str] | None = None,
    tolerance: float = 0.01,
    targets: Sequence[str] = ("android",),
    target_options: Mapping[str, Mapping[str, Any]] | None = None,
    input_dtype: str = "uint8",
    per_tensor_dense: bool | None = None,
    calibration_images: int = CALIBRATION_IMAGES,
    keras_probabilities: np.ndarray | Callable[[], np.ndarray] | None = None,
    converted: Mapping[str, bytes] | None = None,
    repair: bool | Sequence[str] = False,
    validation: Any = None,
    name: str = "model",
    seed: int = 0,
    on_frozen: Callable[[], object] | None = None,
) -> list[Artifact]:
    """Writes a classifier as LiteRT files and proves each on the whole test split.

    Each file is `NAME_FORMAT.tflite`, with the class names inside, and its proof `NAME_FORMAT.json`; `labels.txt`
    stands beside them. A target that takes none of them as it is gets its own, `TARGET/model.tflite`, proved alike. A
    binary head of one sigmoid unit becomes two outputs.

    Args:
        model: `keras.Model` on pixels `[batch, H, W, 3]` in 0..255 that gives probabilities.
        out: the folder to write to.
        calibration: the *training* `Split`; a stratified part of it calibrates the int8 file.
        proof: the test `Split`: `batches(image_size, batch_size)`, `labels`, `class_names` and a length.
        formats: any of `"float32"`, `"float16"`, `"dynamic"`, `"int8"`, `"16x8"`, and `"onnx"`: `NAME.onnx`, by Keras's
            own exporter, proved by ONNX Runtime.
        class_names: in the order of the outputs; those of `proof` unless given.
        tolerance: accuracy that a file may lose against the Keras model, 0..1.
        targets: names of `TARGETS`; each must take at least one of the files; each has a folder written of
            what else its owner needs.
        target_options: target -> what `judge` is told beside the file, such as
            `{"microcontroller": {"board": "rp2040"}}`.
        input_dtype: of the int8 file: `"uint8"`, or `"int8"` for microcontrollers.
        per_tensor_dense: see `keras_transfer.convert`; None does what `targets` want.
        calibration_images: how many images calibrate.
        keras_probabilities: `float32 [n, classes]` of the Keras model on `proof`, if they are known already; or what
            gives them, asked once the files are converted.
        converted: format -> a LiteRT file of this model that is there already (of quantization-aware training, say).
        repair: where the int8 file loses more than `tolerance`, try remedies from cheap to dear, or those named out of
            `keras_transfer.exporting.repair.REMEDIES`, and prove the first that `validation` says will do. Where that
            is 16x8, its file takes the int8 file's place.
        validation: the validation `Split`, which `repair` chooses by.
        name: start of the files' names.
        seed: of the choice of calibration images.
        on_frozen: see `keras_transfer.convert`.

    Returns:
        One entry a file, in the order of `formats`, then the targets' own.

    Raises:
        InputError: an argument is wrong, or the model cannot be converted.
        ExportGateError: all is written, but a file lost more than `tolerance`, or a target takes none of the files.
    """
    names = list(class_names if class_names is not None else proof.class_names)
    check_call(model, names, tolerance, proof, formats, calibration)
    check_targets(targets)
    remedies = tuple(REMEDIES) if repair is True else tuple(repair or ())
    if repair:
        check_repair(repair, formats, validation, converted)
    labels = labels_text(names)
    size = (int(model.inputs[0].shape[1]), int(model.inputs[0].shape[2]))
    shown = two_columns(model) if model.outputs[0].shape[-1] == 1 and len(names) == 2 else model
    images = None
    if not set(CALIBRATED).isdisjoint(formats):
        images = calibration.stratified(min(calibration_images, len(calibration)), seed).pixels(size)
    if per_tensor_dense is None:
        per_tensor_dense = any(TARGETS[target].per_tensor_dense for target in targets)
    say(f"Converting to {', '.join(formats)}")
    plain = dict(converted or {})
    wanted = [kind for kind in formats if kind not in (ONNX, *plain)]
    if wanted:
        plain |= convert(
            shown,
            wanted,
            calibration=images,
            calibration_images=calibration_images,
            input_dtype=input_dtype,
            per_tensor_dense=per_tensor_dense,
            on_frozen=on_frozen,
        )
    if targets and set(formats) == {ONNX}:
        say("Targets take LiteRT files; with onnx alone none is judged.")
    if ONNX in formats:
        plain[ONNX] = convert_onnx(shown, names)
    contents, asked = _name_files(plain, formats, names, name, targets)
    known = keras_probabilities() if callable(keras_probabilities) else keras_probabilities
    expected, results = run_files(model, _bytes(contents), proof, size, known)
    out = Path(out)
    steps: list[dict[str, Any]] = []
    if repair and images is not None:
        file, tested = f"{name}_int8.tflite", np.asarray(proof.labels)
        found = compare(expected, results[file], tested, names)
        if not _within(found["accuracy_drop"], tolerance):
            say(f"int8 loses {100 * found['accuracy_drop']:.1f} points: repairing, by the validation split")
            plain |= convert(shown, ["float32"]) if "float32" not in plain else {}
            told = {"input_dtype": input_dtype, "per_tensor_dense": per_tensor_dense}
            patient = Patient(shown, dict(plain), calibration, images, seed, told)
            kind, plain[kind], steps = mend(patient, validation, len(tested), tolerance, remedies)
            steps[0]["test_accuracy"] = found["test_accuracy"]
            before = _bytes(contents)
            formats = list(dict.fromkeys(kind if old == "int8" else old for old in formats))
            contents, asked = _name_files(plain, formats, names, name, targets)
            changed = {file: content for file, content in _bytes(contents).items() if before.get(file) != content}
            results |= run_files(model, changed, proof, size, expected)[1] if changed else {}
            if kind != "int8":  # what failed is not to be taken for an answer
                for stale in (out / file, (out / file).with_suffix(".json")):
                    stale.unlink(missing_ok=True)
    files = _bytes(contents)

    proofs, artifacts = [], []
    write_text(out / LABELS_FILE, labels)
    for file, (kind, content) in contents.items():
        found = {
            "file": file,
            "format": kind,
            **compare(expected, results[file], np.asarray(proof.labels), names),
            **(describe_onnx(content) if kind == ONNX else describe(content, asked[file], target_options)),
            "calibration_images": len(images) if kind in CALIBRATED and images is not None else 0,
        }
        if kind in CALIBRATED and steps and images is not None:
            found["repair"] = steps
            found["calibration_images"] = next(
                (step.get("calibration_images", len(images)) for step in steps if step.get("chosen")), 0
            )
        found["gate"] = _gate(found, tolerance, shown, plain, images)
        write_bytes(out / file, content)
        write_json((out / file).with_suffix(".json"), found)
        proofs.append(found)
        listed = {key: found[key] for key in Artifact.__annotations__ if key != "path"}
        artifacts.append(Artifact(path=f"{out.resolve().name}/{file}", **listed))  # type: ignore[typeddict-item]
    problems = [problem for target in targets for problem in _write_kit(target, proofs, files, names, proof, out)]
    problems += failures(proofs)
    if problems:
        raise ExportGateError(" ".join(problems), artifacts)
    return artifacts


def _within(drop: float, tolerance: float) -> bool:
    return drop <= tolerance + 1e-9  # 5 of 500 images are 0.01, whatever binary fractions make of it


def _bytes(contents: Mapping[str, tuple[str, bytes]]) -> dict[str, bytes]:
    return {file: content for file, (_, content) in contents.items()}


def _name_files(
    plain: Mapping[str, bytes], formats: Sequence[str], names: list[str], name: str, targets: Sequence[str]
) -> tuple[dict[str, tuple[str, bytes]], dict[str, tuple[str, ...]]]:
    """File -> its format and content, class names within; and file -> the targets that it is judged for."""
    contents: dict[str, tuple[str, bytes]] = {}
    for kind in formats:
        if kind == ONNX:
            contents[f"{name}.onnx"] = kind, plain[kind]
        else:
            contents[f"{name}_{kind}.tflite"] = kind, write_labels(plain[kind], names)
    asked = dict.fromkeys(contents, tuple(targets))
    for target in targets:
        made = _adapt(target, (entry for entry in contents.values() if entry[0] != ONNX))
        if made is not None:
            contents[f"{target}/model.tflite"], asked[f"{target}/model.tflite"] = made, (target,)
    return contents, asked


def _adapt(target: str, files: Iterable[tuple[str, bytes]]) -> tuple[str, bytes] | None:
    """Format and content of the file that a target asks for, made of one that is there; None where there is none."""
    adapt = TARGETS[target].adapt
    for kind, content in files if adapt is not None else ():
        with contextlib.suppress(InputError):
            return kind, adapt(content)  # type: ignore[misc]
    return None


def _write_kit(
    target: str, proofs: list[dict[str, Any]], files: dict[str, bytes], names: list[str], split: Any, out: Path
) -> list[str]:
    """Writes what a target's owner needs, around the smallest file that it takes; returns what went wrong."""
    write = TARGETS[target].write
    taken = [found for found in proofs if found["targets"].get(target, {}).get("ok")]
    if write is None or not taken:
        return []
    best = min(taken, key=lambda found: found["bytes"])
    kit = Kit(Path(best["file"]).stem, files[best["file"]], names, best, split)
    try:
        write(kit, out / target)
    except GateError as error:
        return [str(error)]
    return []


def _gate(
    found: dict[str, Any], tolerance: float, model: Any, plain: dict[str, bytes], images: np.ndarray | None
) -> dict[str, Any]:
    ok = _within(found["accuracy_drop"], tolerance)
    advice = MORE_ADVICE if "repair" in found else ADVICE
    gate: dict[str, Any] = {"ok": ok, "tolerance": tolerance, "layers": [], "advice": "" if ok else advice}
    if not ok and found["format"] == "int8" and images is not None:
        reference = plain.get("float32") or convert(model, ["float32"])["float32"]
        layers = diagnose(reference, plain["int8"], images[:_DIAGNOSED_IMAGES], {layer.name for layer in model.layers})
        gate["layers"] = [layer._asdict() for layer in layers[:_DIAGNOSED_LAYERS]]
    return gate
