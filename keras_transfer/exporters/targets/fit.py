"""Whether what a file needs is within a budget."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import TypedDict  # that of `schemas`, with which it is combined

from keras_transfer.budget import KIB, Budget, kilobytes
from keras_transfer.exporters.targets.devices import Latency, latency_of
from keras_transfer.litert import FileInfo

if TYPE_CHECKING:
    import keras

# What a program needs beside the file and its arena. Both are estimates, stated with every verdict.
CODE_BYTES = 128 * KIB  # of flash: TFLM with its kernels, the C library and a board's start-up code
MARGIN_BYTES = 32 * KIB  # of RAM: stack, globals and drivers; a camera's frame buffer is more
_KERNELS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Needs:
    """What a file needs of a device; None where that is not known.

    Attributes:
        flash: bytes of the file and the code that runs it; None where files lie on a disk.
        ram: bytes of the arena and what a program has beside it; None where it was not measured.
        multiply_adds: of one item.
        zip: bytes of the file when it is zipped.
        latency: of one item, where the target's own tool estimates it.
    """

    flash: int | None
    ram: int | None
    multiply_adds: int
    zip: int
    latency: Latency | None = None


class Memory(TypedDict):
    """One kind of resource: how much there is, how much is needed, and whether that fits; None where it is not known.

    Bytes; milliseconds of `latency`.
    """

    room: float
    needs: float | None
    fits: bool | None


class Fit(TypedDict, total=False):
    """Whether a file fits on a device, with the estimates that this rests on."""

    code_bytes: int
    margin_bytes: int
    flash: Memory
    ram: Memory
    latency: Memory
    latency_error: float | None  # by what share measurements were off such an estimate at most
    zip: Memory


class Excess(NamedTuple):
    """By how much a file misses a limit: what, and how many times the room it needs."""

    what: str
    times: float


def file_multiply_adds(info: FileInfo) -> int:
    """Multiplications and additions of a file's convolutions and dense layers, for one item.

    Args:
        info: of a file whose sizes are fixed.
    """
    total = 0
    for operator in info.operators:
        if operator.name in _KERNELS:
            places = 1
            for side in info.tensors[operator.outputs[0]].shape[:-1]:
                places *= side
            for side in info.tensors[operator.inputs[1]].shape:
                places *= side
            total += places
    return total


def needs_of(content: bytes, info: FileInfo, verdict: Mapping[str, object], mhz: float | None = None) -> Needs:
    """What a file needs, by what its target says of it.

    Args:
        content: the file.
        info: what it holds.
        verdict: of the target that it is for, see `targets.judge`.
        mhz: the clock of an NPU whose time is estimated; None for that of the estimate.
    """

    def measured(name: str) -> int | None:
        value = verdict.get(name)
        return value if isinstance(value, int) else None

    work, zipped = file_multiply_adds(info), len(zlib.compress(content))
    if verdict["target"] == "edgetpu":
        held = (measured("parameter_bytes"), measured("activation_bytes"))
        return Needs(None, sum(held) if None not in held else None, work, zipped)  # type: ignore[arg-type]
    if verdict["target"] == "ethos-u":
        sram, clock, ms = measured("sram_bytes"), measured("clock_hz"), verdict.get("inference_ms")
        known = isinstance(ms, float) and clock is not None
        latency = Latency(ms * (clock / (mhz * 1e6) if mhz else 1), None) if known else None  # type: ignore[operator]
        return Needs(len(content) + CODE_BYTES, _more(sram, MARGIN_BYTES), work, zipped, latency)
    if verdict["target"] == "microcontroller":
        return Needs(len(content) + CODE_BYTES, _more(measured("arena_bytes"), MARGIN_BYTES), work, zipped)
    return Needs(None, None, work, zipped)


def least_needs(model: "keras.Model", target: str) -> Needs:
    """What a file of a network needs at least on a target, from the graph alone; see `least_bytes`.

    Args:
        model: with inputs of fixed size.
        target: a name of `TARGETS`; of others than microcontrollers only the multiply-adds are known.
    """
    from keras_transfer.models import multiply_adds
    from keras_transfer.models.cost import least_bytes

    work, least = multiply_adds(model), least_bytes(model)
    if target != "microcontroller":
        return Needs(None, None, work, 0)
    return Needs(least.file + CODE_BYTES, least.arena + MARGIN_BYTES, work, 0)


def _more(size: int | None, beside: int) -> int | None:
    return None if size is None else size + beside


def judge_fit(budget: Budget, needs: Needs) -> tuple[Fit, str]:
    """Says whether a file fits.

    Args:
        budget: what must hold.
        needs: of the file.

    Returns:
        Per resource `{"room", "needs", "fits"}` (`needs` and `fits` None where the need is not known) with the
        estimates it rests on; and the reason against the file, empty where it fits or nothing is known.

    >>> judge_fit(Budget(flash=1000), Needs(2000, None, 0, 0))[1]
    'needs 2 KiB of flash where there are 1 KiB'
    """
    latency = needs.latency or latency_of(needs.multiply_adds, budget.core, budget.mhz)
    fit = Fit(code_bytes=CODE_BYTES, margin_bytes=MARGIN_BYTES)
    if budget.flash is not None:
        fit["flash"] = _memory(budget.flash, needs.flash)
    if budget.ram is not None:
        fit["ram"] = _memory(budget.ram, needs.ram)
    if budget.latency is not None:
        fit["latency"] = _memory(budget.latency, latency and round(latency.ms, 3))
        fit["latency_error"] = latency and latency.error
    if budget.zip is not None:
        fit["zip"] = _memory(budget.zip, needs.zip)
    reasons = []
    for name, words in (("flash", "of flash"), ("ram", "of ram"), ("latency", ""), ("zip", "zipped")):
        memory: Memory | None = fit.get(name)  # type: ignore[assignment]
        if memory is not None and memory["fits"] is False and memory["needs"] is not None:
            if name == "latency":
                reasons.append(f"takes about {memory['needs']:.0f} ms where {memory['room']:g} ms are allowed")
            else:
                need, room = kilobytes(int(memory["needs"])), kilobytes(int(memory["room"]))
                reasons.append(f"needs {need} {words} where there are {room}")
    return fit, " and ".join(reasons)


def excess_of(fit: Fit) -> Excess:
    """The limit that a file misses by most, and how many times the room it needs.

    >>> excess_of({"flash": {"room": 100, "needs": 150, "fits": False}})
    Excess(what='flash', times=1.5)
    """
    limits: dict[str, Memory] = {name: limit for name, limit in fit.items() if isinstance(limit, dict)}  # type: ignore[misc]
    shares = [Excess(name, (limit["needs"] or 0) / max(limit["room"], 1e-9)) for name, limit in limits.items()]
    return max(shares, key=lambda share: share.times, default=Excess("", 0.0))


def _memory(room: float, needs: float | None) -> Memory:
    return {"room": room, "needs": needs, "fits": None if needs is None else needs <= room}
