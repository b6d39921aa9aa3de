"""Whether a file fits on a board, and what would."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypedDict

from keras_transfer.errors import InputError

KIB, MIB = 1 << 10, 1 << 20
# What a program needs beside the file and its arena. Both are estimates, stated with every verdict.
CODE_BYTES = 128 * KIB  # of flash: TFLM with its kernels, the C library and a board's start-up code
MARGIN_BYTES = 32 * KIB  # of RAM: stack, globals and drivers; a camera's frame buffer is more
ARENAS = Path(__file__).with_name("arena.csv")
_SUGGESTIONS = 3


@dataclass(frozen=True)
class Board:
    """What a board offers to one program.

    Attributes:
        what: its processor.
        flash: bytes for code and constants.
        ram: bytes for data in one piece, since the arena is one array.
        mhz: of the core that runs the program.
        source: the maker's page with these figures.
        note: how they are to be read.
    """

    what: str
    flash: int
    ram: int
    mhz: int
    source: str
    note: str = ""


BOARDS = {
    "arduino-nano-33-ble": Board(
        "nRF52840, Cortex-M4F", 1 * MIB, 256 * KIB, 64, "https://docs.arduino.cc/hardware/nano-33-ble/"
    ),
    "coral-dev-micro": Board(
        "i.MX RT1176, Cortex-M7", 128 * MIB, 64 * MIB, 800, "https://coral.ai/docs/dev-board-micro/datasheet/",
        "RAM is the external SDRAM; the chip's own 2 MB are faster",
    ),
    "esp32-s3": Board(
        "ESP32-S3-WROOM-1-N8, Xtensa LX7", 8 * MIB, 320 * KIB, 240,
        "https://github.com/espressif/arduino-esp32/blob/master/boards.txt (maximum_data_size) and "
        "https://www.espressif.com/sites/default/files/documentation/esp32-s3_datasheet_en.pdf",
        "of 512 KB SRAM so much is left for data; modules with PSRAM (R2, R8) have megabytes more, slower",
    ),
    "rp2040": Board(
        "Raspberry Pi Pico, Cortex-M0+", 2 * MIB, 264 * KIB, 133,
        "https://datasheets.raspberrypi.com/pico/pico-datasheet.pdf",
    ),
    "stm32h747": Board(
        "STM32H747XI (Arduino Portenta H7), Cortex-M7", 2 * MIB, 512 * KIB, 480,
        "https://www.st.com/resource/en/datasheet/stm32h747xi.pdf",
        "of 1 MB RAM the AXI SRAM is the largest piece; flash is shared with the Cortex-M4",
    ),
}  # fmt: skip

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)(i?b)?\s*", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": 1 << 30}


def parse_size(text: str) -> int:
    """Reads a size of memory in bytes; KB and MB are 1024 and 1024 times 1024 bytes, as in memories' data sheets.

    Raises:
        InputError: it is none.

    >>> parse_size("1MB"), parse_size("1.5 KiB"), parse_size("2048")
    (1048576, 1536, 2048)
    """
    match = _SIZE.fullmatch(text)
    if match is None or ((match[3] or "").lower() == "ib" and not match[2]):
        raise InputError(f"A size must be a number with B, KB or MB. Received: {text!r}.")
    return round(float(match[1]) * _UNITS[match[2].lower()])


def parse_fit(text: str) -> dict[str, int]:
    """Reads what there is room for.

    Args:
        text: `"flash=1MB,ram=256KB"`, or one of the two.

    Returns:
        `"flash"` and `"ram"` in bytes, those that are given.

    Raises:
        InputError: it is of another form.

    >>> parse_fit("flash=1MB,ram=256KB")
    {'flash': 1048576, 'ram': 262144}
    """
    room: dict[str, int] = {}
    for part in text.split(","):
        name, equals, size = part.partition("=")
        name = name.strip().lower()
        if not equals or name not in ("flash", "ram") or name in room:
            raise InputError(f"`fit` must be like flash=1MB,ram=256KB. Received: {text!r}.")
        room[name] = parse_size(size)
    return room


def room_of(fit: str | None, board: str | None) -> dict[str, int]:
    """The room that is asked about; nothing where neither is given, and `fit` wins over the board's own figures."""
    room: dict[str, int] = {}
    if board is not None:
        if board not in BOARDS:
            raise InputError(f"`board` must be out of {', '.join(BOARDS)}. Received: {board!r}.")
        room = {"flash": BOARDS[board].flash, "ram": BOARDS[board].ram}
    return room | (parse_fit(fit) if fit is not None else {})


class Memory(TypedDict):
    """One kind of memory: how much there is, how much is needed, and whether that fits; None where it is not known."""

    room: int
    needs: int | None
    fits: bool | None


class Fit(TypedDict, total=False):
    """Whether a file fits on a board, with the estimates that this rests on."""

    code_bytes: int
    margin_bytes: int
    flash: Memory
    ram: Memory


class Measured(NamedTuple):
    """A row of the table of measured backbones."""

    backbone: str
    alpha: str
    side: int
    bytes: int
    arena_bytes: int


def judge_fit(room: dict[str, int], file_bytes: int, arena_bytes: int | None) -> tuple[Fit, str]:
    """Says whether a file fits.

    Args:
        room: of `room_of`.
        file_bytes: the file's size.
        arena_bytes: its measured arena, or None where it is not known.

    Returns:
        Per kind of memory `{"room", "needs", "fits"}` (`needs` and `fits` None where the arena is not known) with the
        estimates it rests on; and the reason against the file, empty where it fits or nothing is known.
    """
    ram = None if arena_bytes is None else arena_bytes + MARGIN_BYTES
    fit = Fit(code_bytes=CODE_BYTES, margin_bytes=MARGIN_BYTES)
    if "flash" in room:
        fit["flash"] = _memory(room["flash"], file_bytes + CODE_BYTES)
    if "ram" in room:
        fit["ram"] = _memory(room["ram"], ram)
    reasons = [
        f"needs {kilobytes(memory['needs'])} of {kind} where there are {kilobytes(memory['room'])}"
        for kind, memory in (("flash", fit.get("flash")), ("ram", fit.get("ram")))
        if memory is not None and memory["needs"] is not None and not memory["fits"]
    ]
    return fit, " and ".join(reasons)


def _memory(room: int, needs: int | None) -> Memory:
    return {"room": room, "needs": needs, "fits": None if needs is None else needs <= room}


def what_fits(room: dict[str, int]) -> list[Measured]:
    """Backbones of the measured table that fit into some room, the largest files first: the most capacity."""
    with ARENAS.open(newline="", encoding="utf-8") as file:
        _, *lines = csv.reader(file)
    rows = [Measured(name, alpha, int(side), int(size), int(arena)) for name, alpha, side, size, arena in lines]
    fitting = [row for row in rows if not judge_fit(room, row.bytes, row.arena_bytes)[1]]
    return sorted(fitting, key=lambda row: (row.bytes, row.side), reverse=True)


def suggestion(room: dict[str, int]) -> str:
    """A sentence that names what would fit.

    >>> suggestion({"ram": 1})
    'Nothing in the measured table (arena.csv) fits.'
    """
    seen: dict[tuple[str, str], Measured] = {}
    for row in what_fits(room):
        seen.setdefault((row.backbone, row.alpha), row)
    if not seen:
        return "Nothing in the measured table (arena.csv) fits."
    names = [
        f"{row.backbone}{' alpha ' + row.alpha if row.alpha else ''} at {row.side} x {row.side} "
        f"({kilobytes(row.bytes)} file, {kilobytes(row.arena_bytes)} arena)"
        for row in list(seen.values())[:_SUGGESTIONS]
    ]
    return f"What would fit: {'; '.join(names)}."


def kilobytes(size: int) -> str:
    """A size for people.

    >>> kilobytes(210272)
    '206 KiB'
    """
    return f"{-(-size // KIB)} KiB"
