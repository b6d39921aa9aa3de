"""Writing files with their proofs and the targets' folders, and listing them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_transfer.errors import GateError
from keras_transfer.exporters.checks import ONNX
from keras_transfer.exporters.gate import SAME, DropVerdict, advise, judge_drop, recommend, refusals
from keras_transfer.exporters.layer_errors import diagnose
from keras_transfer.exporters.onnx import describe_onnx
from keras_transfer.exporters.proof import compare, describe
from keras_transfer.exporters.rejection import file_rejections, judge_rejection
from keras_transfer.exporters.saved_model import SAVED_MODEL, describe_saved_model, write_saved_model
from keras_transfer.exporters.targets import Kit, kit_writer
from keras_transfer.exporters.task import Answers, File, Task
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.inputs import as_tuple
from keras_transfer.litert.frozen import CALIBRATED
from keras_transfer.litert.labels import GEOMETRY_FILE, INPUTS_FILE, LABELS_FILE, labels_text
from keras_transfer.progress import say
from keras_transfer.schemas import (
    N_CALIBRATION_ITEMS,
    N_ITEMS,
    Artifact,
    Comparison,
    FileDescription,
    FileRejection,
    Gate,
    GateSummary,
    LayerError,
    Proof,
    RejectionFields,
    RepairFields,
)

_DIAGNOSED_ITEMS = 8
_DIAGNOSED_LAYERS = 5


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


class ExportGateError(GateError):
    """A file lost more accuracy than the tolerance, or a target takes none of the files.

    Attributes:
        artifacts: all files that were written, the failed ones among them.
    """

    def __init__(self, message: str, artifacts: Artifacts) -> None:
        super().__init__(message)
        self.artifacts = artifacts


def write_artifacts(task: Task, answers: Answers) -> Artifacts:
    """Writes all files with their proofs, and the targets' folders; lists them, with the problems."""
    write_json(task.out / INPUTS_FILE, task.inputs.to_dict())
    if "geometry" in task.inputs.preparation:
        write_json(task.out / GEOMETRY_FILE, task.inputs.preparation["geometry"])
    proofs = _prove_all(task, answers)
    artifacts = _list(task, proofs)
    artifacts.problems = [
        *(problem for target in task.targets for problem in _write_kit(task, target, answers.files, proofs)),
        *(proof["gate"]["sentence"] for proof in proofs if not proof["gate"]["ok"] and proof["gate"]["asked"]),
        *refusals(proofs),
    ]
    return artifacts


def _judge_file(task: Task, compared: Comparison) -> DropVerdict:
    """The outcome of a file's gate."""
    same = compared["agreement"] == 1.0 and compared["mean_max_difference"] <= SAME
    return judge_drop(compared["lost"], compared["gained"], compared[N_ITEMS], task.tolerance, same=same)


def _prove_all(task: Task, answers: Answers) -> list[Proof]:
    """Judges all files, then writes each with its proof; returns the proofs."""
    compared = {
        file.name: compare(answers.expected, answers.answers[file.name], task.labels, task.class_names)
        for file in answers.files
    }
    verdicts = {name: _judge_file(task, comparison) for name, comparison in compared.items()}
    passed = dict.fromkeys(file.format for file in answers.files if verdicts[file.name].outcome == "pass")
    rejections = file_rejections(task, answers.files)
    return [
        _prove(task, file, answers, compared[file.name], verdicts[file.name], tuple(passed), rejections.get(file.name))
        for file in answers.files
    ]


def _prove(
    task: Task,
    file: File,
    answers: Answers,
    compared: Comparison,
    verdict: DropVerdict,
    passed: tuple[str, ...],
    rejection: FileRejection | None,
) -> Proof:
    """Writes a file and its proof, which is returned."""
    calibrated = file.format in CALIBRATED and task.n_calibration_items > 0
    chosen = next((step for step in answers.repair if step.get("chosen")), None) if calibrated else None
    count = task.n_calibration_items if calibrated else 0
    repair: RepairFields = {"repair": answers.repair} if calibrated and answers.repair else {}
    rejecting: RejectionFields = {}
    gate = _gate(task, file, compared, verdict, answers, passed)
    if rejection is not None:
        rejecting = {"rejection": rejection}
        if wrong := judge_rejection(rejection):
            gate |= {"ok": False, "outcome": "fail", "sentence": f"{gate['sentence']} {wrong}"}
    proof: Proof = {
        "file": file.name,
        "format": file.format,
        **compared,
        **_describe(task, file),
        "inputs": file.inputs.to_dict(),
        N_CALIBRATION_ITEMS: chosen.get(N_CALIBRATION_ITEMS, count) if chosen is not None else count,
        "gate": gate,
        **repair,
        **rejecting,
    }
    if file.format == SAVED_MODEL:
        write_saved_model(file.content, (task.out / file.name).parent)
    else:
        write_bytes(task.out / file.name, file.content)
    write_text((task.out / file.name).parent / LABELS_FILE, labels_text(task.class_names))
    write_json((task.out / file.name).with_suffix(".json"), proof)
    return proof


def _describe(task: Task, file: File) -> FileDescription:
    if file.format == ONNX:
        return describe_onnx(file.content, file.inputs)
    if file.format == SAVED_MODEL:
        return describe_saved_model(file.content, file.inputs)
    return describe(file.content, file.inputs, file.targets, task.options.get("target_options"))


def _gate(
    task: Task, file: File, compared: Comparison, verdict: DropVerdict, answers: Answers, passed: tuple[str, ...]
) -> Gate:
    """The gate's entry in a proof: outcome, the test's figures, the layers at fault, and what to do."""
    failed = verdict.outcome == "fail"
    repaired = file.format in CALIBRATED and bool(answers.repair)
    label_drop = None
    if "keras_label_accuracy" in compared:
        label_drop = compared["keras_label_accuracy"] - compared["test_label_accuracy"]
    advice = advise(
        file.format,
        verdict.outcome,
        passed=passed,
        repaired=repaired,
        trained=file.format in task.converted,
        label_drop=label_drop,
    )
    layers = _layers_at_fault(task, answers.contents) if failed and file.format == "int8" else []
    sentence = f"{file.name}: {verdict.words()}"
    if layers:
        worst = ", ".join(f"{layer['layer']} ({layer['error']:.2f})" for layer in layers)
        sentence += f" Layers whose int8 outputs differ most: {worst}."
    return {
        "ok": not failed,
        "outcome": verdict.outcome,
        "asked": file.format in task.asked or (repaired and any(step.get("chosen") for step in answers.repair)),
        "tolerance": task.tolerance,
        "p": round(verdict.p, 4),
        "layers": layers,
        "advice": advice,
        "sentence": f"{sentence} {advice}".strip(),
    }


def _layers_at_fault(task: Task, contents: Mapping[str, bytes]) -> list[LayerError]:
    if task.calibration_arrays is None:
        return []
    reference = task.reference(contents)
    names = {layer.name for layer in task.quantized_part.model.layers}
    items = tuple(array[:_DIAGNOSED_ITEMS] for array in as_tuple(task.calibration_arrays))
    layers = diagnose(reference, contents["int8"], items, names)
    return [
        {"layer": layer.layer, "operator": layer.operator, "error": layer.error, "added": layer.added}
        for layer in layers[:_DIAGNOSED_LAYERS]
    ]


def _artifact(proof: Proof, folder: str) -> Artifact:
    """The entry of a file in `result.json`."""
    gate = proof["gate"]
    artifact: Artifact = {
        "path": f"{folder}/{proof['file']}",
        "format": proof["format"],
        "bytes": proof["bytes"],
        "zipped_bytes": proof["zipped_bytes"],
        "test_accuracy": proof["test_accuracy"],
        "agreement": proof["agreement"],
        "accuracy_drop": proof["accuracy_drop"],
        "latency_ms": proof["latency_ms"],
        "targets": proof["targets"],
        "gate": GateSummary(outcome=gate["outcome"], ok=gate["ok"], asked=gate["asked"], sentence=gate["sentence"]),
    }
    if "ece" in proof:
        artifact["ece"] = proof["ece"]
    if "test_label_accuracy" in proof:
        artifact["test_label_accuracy"] = proof["test_label_accuracy"]
    if "rejection" in proof:
        artifact["rejection"] = proof["rejection"]
    return artifact


def _list(task: Task, proofs: Sequence[Proof]) -> Artifacts:
    """The entries of `result.json`, with the file recommended and notes on the others."""
    folder = task.out.resolve().name
    artifacts = Artifacts(_artifact(proof, folder) for proof in proofs)
    best = recommend(artifacts, task.targets)
    artifacts.recommended = best["path"] if best else None
    gates = [proof["gate"] for proof in proofs]
    notes = [gate["sentence"] for gate in gates if gate["outcome"] == "warn" or not (gate["ok"] or gate["asked"])]
    if best and not best["gate"]["ok"]:
        notes.append(f"No file passed its gate: if one must be used, then {best['path']}.")
    artifacts.notes = notes
    return artifacts


def _write_kit(task: Task, target: str, files: Sequence[File], proofs: Sequence[Proof]) -> list[str]:
    """Writes what a target's owner needs, around the file recommended for it; returns the problems."""
    accepted = [proof for proof in proofs if target in proof["targets"] and proof["targets"][target]["ok"]]
    best = recommend(accepted, [target])
    if best is None:
        return []
    write = kit_writer(target, task.inputs.modality)
    if write is None:
        say(f"Note: {target} has no kit for {task.inputs.modality} models; its file is {best['file']} alone.")
        return []
    file = next(file for file in files if file.name == best["file"])
    kit = Kit(Path(file.name).stem, file.content, task.class_names, best, task.proof, file.inputs, file.limit)
    try:
        write(kit, task.out / target)
    except GateError as error:
        return [str(error)]
    return []
