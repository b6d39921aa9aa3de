"""What the targets share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from keras_transfer.decisions import RejectionLimit
from keras_transfer.inputs import InputSpec
from keras_transfer.litert import FileInfo
from keras_transfer.schemas import CpuOperator, Proof, TargetVerdict

if TYPE_CHECKING:
    from keras_transfer.data.split import Split


@dataclass(frozen=True)
class Kit:
    """All that a target's folder is made from.

    Attributes:
        name: of the file, without folder and ending.
        content: the proven LiteRT file.
        class_names: in the order of its outputs.
        proof: the file's proof, as it stands in the JSON file beside it.
        split: the test split that proved it.
        inputs: what the file takes.
        limit: of its second output, the score of unknown items; None where it has none.
    """

    name: str
    content: bytes
    class_names: Sequence[str]
    proof: Proof
    split: "Split"
    inputs: InputSpec
    limit: RejectionLimit | None = None


KitWriter: TypeAlias = Callable[[Kit, Path], list[Path]]
"""Fills a folder with what a target's owner needs, and returns its files. A `GateError` from it is reported once all
files are written."""


@dataclass(frozen=True)
class Target:
    """One row of the table.

    Attributes:
        what: a line for listings.
        judge: `(content, info, **options)` to a `TargetVerdict`.
        write: writes the kit of a model of any modality. None where the kit depends on what an input is: then the
            modality has it (`Modality.kits`), or else the `.tflite` is all.
        adapt: makes of a LiteRT file the one that this target takes, or raises `InputError`; None where it takes files
            as they are. What it makes is proved like every other file and delivered as `TARGET/model.tflite`.
        per_tensor_dense: whether some of the target's runtimes know one scale a dense layer only.
        require: raises `InputError` where a tool that the target cannot do without is missing.
    """

    what: str
    judge: Callable[..., TargetVerdict]
    write: KitWriter | None = None
    adapt: Callable[[bytes], bytes] | None = None
    per_tensor_dense: bool = False
    require: Callable[[], object] | None = None


def verdict(target: str, info: FileInfo, why: str = "", refused: Mapping[int, str] | None = None) -> TargetVerdict:
    """A verdict from a reason against the whole file, and reasons against single operators by their index."""
    refused = refused or {}
    cpu = [CpuOperator(index=o.index, op=o.name, why=refused[o.index]) for o in info.operators if o.index in refused]
    mapped = len(info.operators) - len(cpu)
    return {"target": target, "ok": not why, "operators": len(info.operators), "mapped": mapped, "cpu": cpu, "why": why}


def mostly_mapped(target: str, info: FileInfo, refused: Mapping[int, str], why: str = "") -> TargetVerdict:
    """The verdict of an accelerator: it takes a file of which at least half of the operators are its own to compute.

    What is left to the CPU (the decoder behind a detector, say) is named in `why`, though the file is accepted.
    """
    judged = verdict(target, info, why, refused)
    cpu = judged["cpu"]
    if not why and cpu:
        first = cpu[0]
        judged["ok"] = 2 * len(cpu) <= judged["operators"]
        judged["why"] = (
            f"leaves {len(cpu)} of {judged['operators']} operators to the CPU; "
            f"the first, operator {first['index']} ({first['op']}), {first['why']}"
        )
    return judged


def ends(info: FileInfo) -> set[str]:
    """The element types of the file's inputs and outputs."""
    return {info.tensors[i].dtype for i in (*info.inputs, *info.outputs)}


def dynamic(info: FileInfo) -> str:
    """A reason where some size is unknown before the file runs."""
    unknown = any(tensor.dynamic for tensor in info.tensors)
    return "has tensors whose size is unknown before it runs" if unknown else ""


def custom_operators(info: FileInfo) -> dict[int, str]:
    """A reason for each operator that is not built into LiteRT."""
    return {operator.index: "is not built into LiteRT" for operator in info.operators if operator.custom}


def not_built_in(info: FileInfo) -> str:
    """A reason where the file uses operators that are not built into LiteRT."""
    custom = sorted({operator.name for operator in info.operators if operator.custom})
    return f"uses operators that are not built in: {', '.join(custom)}" if custom else ""
