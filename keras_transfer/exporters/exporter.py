"""From a Keras model to proven files."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from keras_transfer.errors import GateError, InputError
from keras_transfer.exporters.checks import ONNX, check_call, check_repair
from keras_transfer.exporters.diagnose import diagnose
from keras_transfer.exporters.gate import SAME, DropVerdict, ExportGateError, advise, judge_drop, recommend, refusals
from keras_transfer.exporters.heads import two_columns
from keras_transfer.exporters.onnx import convert_onnx, describe_onnx
from keras_transfer.exporters.proof import compare, describe, run_files
from keras_transfer.exporters.repair import REMEDIES, Patient, mend
from keras_transfer.exporters.targets import TARGETS, Kit, check_targets, kit_writer
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.geometry import LEGACY
from keras_transfer.inputs import InputSpec, TensorSpec, only, open_preparer
from keras_transfer.litert import convert
from keras_transfer.litert.convert import CALIBRATED, CALIBRATION_ITEMS, DEFAULT_FORMATS
from keras_transfer.litert.labels import GEOMETRY_FILE, INPUTS_FILE, LABELS_FILE, labels_text, write_labels
from keras_transfer.models import as_classifier
from keras_transfer.models.graph import model_inputs
from keras_transfer.progress import say

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_PROMISED = ("int8",)  # of the default formats: the others are there to fall back on
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
    gate: dict[str, Any]  # outcome ("pass", "warn" or "fail"), ok (it did not fail), asked, sentence
    test_label_accuracy: NotRequired[float]  # of single labels, where an image may have several


class Artifacts(list[Artifact]):
    """What `export` returns: the files, each with the outcome of its gate.

    Attributes:
        recommended: path of the file to use, see `keras_transfer.exporters.gate.recommend`.
        problems: one sentence for each file asked for that failed its gate, each target that takes none of the files,
            and each target's test that failed.
        notes: one sentence for each other file that failed, and each that is a warning.
    """

    recommended: str | None = None
    problems: Sequence[str] = ()
    notes: Sequence[str] = ()


def export(
    model: "keras.Model",
    out: str | Path,
    *,
    calibration: "Split | None" = None,
    proof: "Split",
    formats: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    tolerance: float = 0.01,
    targets: Sequence[str] = ("android",),
    target_options: Mapping[str, Mapping[str, Any]] | None = None,
    input_dtype: str = "uint8",
    per_tensor_dense: bool | None = None,
    calibration_items: int = CALIBRATION_ITEMS,
    keras_probabilities: np.ndarray | Callable[[], np.ndarray] | None = None,
    converted: Mapping[str, bytes] | None = None,
    repair: bool | Sequence[str] = False,
    validation: "Split | None" = None,
    name: str = "model",
    seed: int = 0,
    on_frozen: Callable[[], object] | None = None,
    strict: bool = False,
    image_size: int | tuple[int, int] | None = None,
    pixels: str | None = None,
) -> Artifacts:
    """Writes a classifier as LiteRT files and proves each on the whole test split.

    Each file is `NAME_FORMAT.tflite`, with the class names and the geometry of `proof` inside, and its proof
    `NAME_FORMAT.json`; `labels.txt` and `geometry.json` stand beside them. A target that takes none of them as it is
    gets its own, `TARGET/model.tflite`, proved alike. A binary head of one sigmoid unit becomes two outputs.

    Args:
        model: an image classifier from anywhere; see `keras_transfer.as_classifier`.
        out: the folder to write to.
        calibration: the *training* `Split`; a stratified part of it calibrates the int8 file.
        proof: the test `Split`: `batches((height, width, channels), batch_size)`, `labels`, `class_names`, `geometry`
            and a length.
        formats: any of `"float32"`, `"float16"`, `"dynamic"`, `"int8"`, `"16x8"`, and `"onnx"`: `NAME.onnx`, by Keras's
            own exporter, proved by ONNX Runtime. None makes the first four, of which int8 alone counts as asked for.
        class_names: in the order of the outputs; those of `proof` unless given.
        tolerance: accuracy that a file may lose against the Keras model, 0..1.
        targets: names of `TARGETS`; each must take at least one of the files; each has a folder written of
            what else its owner needs.
        target_options: target -> what `judge` is told beside the file, such as
            `{"microcontroller": {"board": "rp2040"}}`.
        input_dtype: of the int8 file: `"uint8"`, or `"int8"` for microcontrollers.
        per_tensor_dense: see `keras_transfer.convert`; None does what `targets` want.
        calibration_items: how many items calibrate.
        keras_probabilities: `float32 [n, classes]` of the Keras model on `proof`, if they are known already; or what
            gives them, asked once the files are converted.
        converted: format -> a LiteRT file of this model that is there already (of quantization-aware training, say).
        repair: where the int8 file loses more than `tolerance`, try remedies from cheap to dear, or those named out of
            `keras_transfer.exporters.repair.REMEDIES`, and prove the first that `validation` says will do. Where that
            is 16x8, its file takes the int8 file's place.
        validation: the validation `Split`, which `repair` chooses by.
        name: start of the files' names.
        seed: of the choice of calibration images.
        on_frozen: see `keras_transfer.convert`.
        strict: raise where there are `problems`, once all is written.
        image_size: for a model that takes pictures of any size; that of the pictures where all have one, unless given.
        pixels: for a model whose pixels were prepared outside of it, such as `"0..1"`; see `as_classifier`.

    Returns:
        One entry for each file, in the order of `formats`, then the targets' own; with each its gate's outcome, and
        with all of them the file recommended, `problems` and `notes`.

    Raises:
        InputError: an argument is wrong, or the model cannot be converted.
        ExportGateError: with `strict`: a file asked for failed its gate, or a target takes none of the files.
    """
    names = list(class_names if class_names is not None else proof.class_names)
    if _modality(proof) == "image":
        size = image_size if image_size is not None else getattr(proof, "common_shape", None)
        model = as_classifier(model, image_size=size, pixels=pixels, multi_label=np.ndim(proof.labels) == 2)
    kinds = DEFAULT_FORMATS if formats is None else formats
    check_call(model, names, tolerance, proof, kinds, calibration)
    check_targets(targets)
    if repair:
        check_repair(repair, kinds, validation, converted)
    labels_text(names)  # raises now what cannot be written
    if per_tensor_dense is None:
        per_tensor_dense = any(TARGETS[target].per_tensor_dense for target in targets)
    task = _Task(
        model=two_columns(model) if model.outputs[0].shape[-1] == 1 and len(names) == 2 else model,
        class_names=names,
        formats=tuple(dict.fromkeys(kinds)),
        asked=frozenset(_PROMISED if formats is None else formats),
        trained=frozenset(converted or ()),
        targets=tuple(targets),
        target_options=target_options or {},
        calibration=calibration,
        calibration_items=calibration_items,
        proof=proof,
        conversion={"input_dtype": input_dtype, "per_tensor_dense": per_tensor_dense, "item": _item(model, proof)},
        tolerance=tolerance,
        name=name,
        seed=seed,
        out=Path(out),
    )
    contents = _convert(task, converted or {}, on_frozen)
    results = _answer(task, contents, keras_probabilities)
    if repair and validation is not None:  # which `check_repair` has made sure of
        results = _repair(task, results, validation, tuple(REMEDIES) if repair is True else tuple(repair))
    artifacts = _write(task, results)
    if artifacts.problems and strict:
        raise ExportGateError(" ".join(artifacts.problems), artifacts)
    for sentence in (*artifacts.problems, *artifacts.notes):
        say(f"Note: {sentence}")
    return artifacts


def _modality(split: "Split") -> str:
    """What the items of a split are; pictures where it has no preparer, as those in memory."""
    preparer = getattr(split, "preparer", None)
    return preparer.modality if preparer is not None else "image"


def _item(model: "keras.Model", split: "Split") -> TensorSpec | None:
    """What the model's input holds, where that is no pixels."""
    return None if _modality(split) == "image" else split.spec(model_inputs(model)).tensor


@dataclass(frozen=True)
class _Task:
    """What a call of `export` asks for, checked."""

    model: Any  # with one output for each class
    class_names: list[str]
    formats: tuple[str, ...]
    asked: frozenset[str]  # formats whose failure is the export's
    trained: frozenset[str]  # formats whose files come from the caller
    targets: tuple[str, ...]
    target_options: Mapping[str, Mapping[str, Any]]
    calibration: Any
    calibration_items: int
    proof: Any
    conversion: dict[str, Any]  # options of `convert`
    tolerance: float
    name: str
    seed: int
    out: Path

    @cached_property
    def inputs(self) -> InputSpec:
        """What the files take; pictures are fitted to them as to the proof."""
        geometry = getattr(self.proof, "geometry", LEGACY)  # of pictures in memory there is none
        preparer = getattr(self.proof, "preparer", None) or open_preparer("image", {"geometry": geometry.to_dict()})
        return preparer.spec(model_inputs(self.model))

    @cached_property
    def calibration_pixels(self) -> np.ndarray | None:
        """A stratified part of the training split, `uint8 [n, H, W, channels]`; None where no format is calibrated."""
        if set(CALIBRATED).isdisjoint(self.formats):
            return None
        count = min(self.calibration_items, len(self.calibration))
        pixels: np.ndarray = only(self.calibration.stratified(count, self.seed).arrays(model_inputs(self.model)))
        return pixels


@dataclass(frozen=True)
class _File:
    """One file to prove and write: its name below the output folder, and the targets that it is judged for."""

    name: str
    format: str
    content: bytes
    targets: tuple[str, ...]


@dataclass(frozen=True)
class _Results:
    """The files and their answers on the proof split.

    Attributes:
        files: in the order in which they are listed.
        contents: format -> LiteRT or ONNX file as converted, without class names.
        expected: the Keras model's probabilities, `float32 [n, classes]`.
        answers: file name -> its probabilities.
        repair: what each remedy gave; empty where none was tried.
    """

    files: list[_File]
    contents: dict[str, bytes]
    expected: np.ndarray
    answers: dict[str, np.ndarray]
    repair: list[dict[str, Any]] = field(default_factory=list)


def _convert(task: _Task, converted: Mapping[str, bytes], on_frozen: Callable[[], object] | None) -> dict[str, bytes]:
    """Format -> file, without class names; those of `converted` as they are."""
    say(f"Converting to {', '.join(task.formats)}")
    contents = dict(converted)
    missing = [kind for kind in task.formats if kind not in (ONNX, *contents)]
    if missing:
        images = task.calibration_pixels
        count = len(images) if images is not None else CALIBRATION_ITEMS
        contents |= convert(
            task.model,
            missing,
            calibration=images,
            calibration_items=count,
            on_frozen=on_frozen,
            **task.conversion,
        )
    if ONNX in task.formats:
        contents[ONNX] = convert_onnx(task.model, task.class_names, task.inputs)
        if task.targets and len(task.formats) == 1:
            say("Targets take LiteRT files; with onnx alone none is judged.")
    return contents


def _make_files(task: _Task, formats: Sequence[str], contents: Mapping[str, bytes]) -> list[_File]:
    """One file for each format, class names within, then the targets' own."""
    files = []
    for kind in formats:
        if kind == ONNX:
            files.append(_File(f"{task.name}.onnx", kind, contents[kind], task.targets))
        else:
            content = write_labels(contents[kind], task.class_names, task.inputs)
            files.append(_File(f"{task.name}_{kind}.tflite", kind, content, task.targets))
    adapted = [_adapt(target, files) for target in task.targets]
    return files + [file for file in adapted if file is not None]


def _adapt(target: str, files: Sequence[_File]) -> _File | None:
    """The file that a target asks for, made of the first that can be; None where the target takes files as they are."""
    adapt = TARGETS[target].adapt
    for file in files if adapt is not None else ():
        with contextlib.suppress(InputError):
            if file.format != ONNX:
                return _File(f"{target}/model.tflite", file.format, adapt(file.content), (target,))  # type: ignore[misc]
    return None


def _answer(
    task: _Task, contents: dict[str, bytes], keras_probabilities: np.ndarray | Callable[[], np.ndarray] | None
) -> _Results:
    """All files, with what they and the Keras model say of the proof split."""
    files = _make_files(task, task.formats, contents)
    known = keras_probabilities() if callable(keras_probabilities) else keras_probabilities
    expected, answers = run_files(task.model, _contents(files), task.proof, model_inputs(task.model), known)
    return _Results(files, contents, expected, answers)


def _contents(files: Sequence[_File]) -> dict[str, bytes]:
    return {file.name: file.content for file in files}


def _repair(task: _Task, results: _Results, validation: "Split", remedies: tuple[str, ...]) -> _Results:
    """The results with the int8 file mended, where it lost more than the tolerance."""
    name, labels = f"{task.name}_int8.tflite", np.asarray(task.proof.labels)
    found = compare(results.expected, results.answers[name], labels, task.class_names)
    if _judge(task, found).outcome != "fail" or task.calibration_pixels is None:
        return results
    say(f"int8 loses {100 * found['accuracy_drop']:.1f} points: repairing, by the validation split")
    contents = dict(results.contents)
    if "float32" not in contents:
        contents |= convert(task.model, ["float32"])
    patient = Patient(
        task.model, dict(contents), task.calibration, task.calibration_pixels, task.seed, dict(task.conversion)
    )
    kind, contents[kind], steps = mend(patient, validation, len(labels), task.tolerance, remedies)
    steps[0]["test_accuracy"] = found["test_accuracy"]
    files = _make_files(task, tuple(kind if old == "int8" else old for old in task.formats), contents)
    before = _contents(results.files)
    changed = {file.name: file.content for file in files if before.get(file.name) != file.content}
    answers = dict(results.answers)
    if changed:
        answers |= run_files(task.model, changed, task.proof, model_inputs(task.model), results.expected)[1]
    if kind != "int8":  # what failed is not to be taken for an answer
        for stale in (task.out / name, (task.out / name).with_suffix(".json")):
            stale.unlink(missing_ok=True)
    return _Results(files, contents, results.expected, answers, steps)


def _write(task: _Task, results: _Results) -> Artifacts:
    """Writes all files with their proofs, and the targets' folders; lists them, with what is wrong."""
    write_json(task.out / INPUTS_FILE, task.inputs.to_dict())
    if "geometry" in task.inputs.preparation:
        write_json(task.out / GEOMETRY_FILE, task.inputs.preparation["geometry"])
    proofs = _prove_all(task, results)
    artifacts = _list(task, proofs)
    artifacts.problems = [
        *(problem for target in task.targets for problem in _write_kit(task, target, results.files, proofs)),
        *(found["gate"]["sentence"] for found in proofs if not found["gate"]["ok"] and found["gate"]["asked"]),
        *refusals(proofs),
    ]
    return artifacts


def _prove_all(task: _Task, results: _Results) -> list[dict[str, Any]]:
    """Judges all files, then writes each with its proof; returns the proofs."""
    labels = np.asarray(task.proof.labels)
    compared = {
        file.name: compare(results.expected, results.answers[file.name], labels, task.class_names)
        for file in results.files
    }
    verdicts = {name: _judge(task, found) for name, found in compared.items()}
    passed = dict.fromkeys(file.format for file in results.files if verdicts[file.name].outcome == "pass")
    return [
        _prove(task, file, results, compared[file.name], verdicts[file.name], tuple(passed)) for file in results.files
    ]


def _judge(task: _Task, found: Mapping[str, Any]) -> DropVerdict:
    same = found["agreement"] == 1.0 and found["mean_max_difference"] <= SAME
    return judge_drop(found["lost"], found["gained"], found["images"], task.tolerance, same=same)


def _prove(
    task: _Task,
    file: _File,
    results: _Results,
    compared: Mapping[str, Any],
    verdict: DropVerdict,
    passed: tuple[str, ...],
) -> dict[str, Any]:
    """Writes a file and its proof, which is returned."""
    calibrated = file.format in CALIBRATED and task.calibration_pixels is not None
    count = len(task.calibration_pixels) if calibrated else 0  # type: ignore[arg-type]
    about = (
        describe_onnx(file.content, task.inputs)
        if file.format == ONNX
        else describe(file.content, task.inputs, file.targets, task.target_options)
    )
    found = {"file": file.name, "format": file.format, **compared, **about, "inputs": task.inputs.to_dict()}
    found["calibration_images"] = count
    if calibrated and results.repair:
        chosen = next((step for step in results.repair if step.get("chosen")), None)
        found |= {"repair": results.repair}
        found["calibration_images"] = chosen.get("calibration_images", count) if chosen else 0
    found["gate"] = _gate(task, found, verdict, results, passed)
    write_bytes(task.out / file.name, file.content)
    write_text((task.out / file.name).parent / LABELS_FILE, labels_text(task.class_names))
    write_json((task.out / file.name).with_suffix(".json"), found)
    return found


def _gate(
    task: _Task, found: Mapping[str, Any], verdict: DropVerdict, results: _Results, passed: tuple[str, ...]
) -> dict[str, Any]:
    """The gate's entry in a proof: outcome, the test's figures, the layers at fault, and what to do."""
    kind, failed = found["format"], verdict.outcome == "fail"
    label_drop = None
    if "keras_label_accuracy" in found:
        label_drop = found["keras_label_accuracy"] - found["test_label_accuracy"]
    advice = advise(
        kind,
        verdict.outcome,
        passed=passed,
        repaired="repair" in found,
        trained=kind in task.trained,
        label_drop=label_drop,
    )
    layers = _layers_at_fault(task, results.contents) if failed and kind == "int8" else []
    sentence = f"{found['file']}: {verdict.words()}"
    if layers:
        worst = ", ".join(f"{layer['layer']} ({layer['error']:.2f})" for layer in layers)
        sentence += f" Layers whose int8 outputs differ most: {worst}."
    return {
        "ok": not failed,
        "outcome": verdict.outcome,
        "asked": kind in task.asked or any(step.get("chosen") for step in found.get("repair", ())),
        "tolerance": task.tolerance,
        "p": round(verdict.p, 4),
        "layers": layers,
        "advice": advice,
        "sentence": f"{sentence} {advice}".strip(),
    }


def _layers_at_fault(task: _Task, contents: Mapping[str, bytes]) -> list[dict[str, Any]]:
    images = task.calibration_pixels
    if images is None:
        return []
    reference = contents.get("float32") or convert(task.model, ["float32"])["float32"]
    names = {layer.name for layer in task.model.layers}
    layers = diagnose(reference, contents["int8"], images[:_DIAGNOSED_IMAGES], names)
    return [layer._asdict() for layer in layers[:_DIAGNOSED_LAYERS]]


def _list(task: _Task, proofs: Sequence[dict[str, Any]]) -> Artifacts:
    """The entries of `result.json`, with the file recommended and notes on the others."""
    folder = task.out.resolve().name
    artifacts = Artifacts()
    for found in proofs:
        listed = {key: found[key] for key in Artifact.__annotations__ if key in found and key != "gate"}
        gate = {key: found["gate"][key] for key in ("outcome", "ok", "asked", "sentence")}
        artifacts.append(Artifact(path=f"{folder}/{found['file']}", gate=gate, **listed))  # type: ignore[typeddict-item]
    best = recommend(artifacts, task.targets)
    artifacts.recommended = best["path"] if best else None
    gates = [found["gate"] for found in proofs]
    artifacts.notes = [
        gate["sentence"] for gate in gates if gate["outcome"] == "warn" or not (gate["ok"] or gate["asked"])
    ]
    if best and not best["gate"]["ok"]:
        artifacts.notes = [*artifacts.notes, f"No file passed its gate: if one must be used, then {best['path']}."]
    return artifacts


def _write_kit(task: _Task, target: str, files: Sequence[_File], proofs: Sequence[dict[str, Any]]) -> list[str]:
    """Writes what a target's owner needs, around the file recommended for it; returns the problems."""
    best = recommend([found for found in proofs if found["targets"].get(target, {}).get("ok")], [target])
    write = kit_writer(target, task.inputs.modality)
    if best is None:
        return []
    if write is None:
        say(f"Note: {target} has no kit for {task.inputs.modality} models; its file is {best['file']} alone.")
        return []
    content = _contents(files)[best["file"]]
    kit = Kit(Path(best["file"]).stem, content, task.class_names, best, task.proof, task.inputs)
    try:
        write(kit, task.out / target)
    except GateError as error:
        return [str(error)]
    return []
