"""What a model may cost on a device: memory, time and bytes over the air, as people write it and as data."""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, TypeVar

from keras_transfer.errors import InputError

KIB, MIB = 1 << 10, 1 << 20
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)(i?b)?\s*", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": 1 << 30}
_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(us|ms|s)\s*", re.IGNORECASE | re.ASCII)
_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
_PLACE = re.compile(r"\s*([a-z0-9_.+-]+)-(\d+(?:\.\d+)?)(mhz|ghz)\s*", re.IGNORECASE | re.ASCII)
_EXAMPLE = "flash=1MB,ram=256KB,latency=80ms@m7-480MHz,zip=300KB"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Budget:
    """What must hold on a device; None where anything goes.

    Attributes:
        flash: bytes for the file and the code that runs it.
        ram: bytes for the tensor arena and what a program has beside it.
        latency: milliseconds for one item, on `core` at `mhz`.
        zip: bytes of the file when it is zipped: what an update sends.
        core: the processor core that `latency` is meant on, such as `"m7"`; None for the device's own.
        mhz: its clock.

    Raises:
        ValueError: a value is out of its range.

    >>> str(Budget(flash=1 << 20, latency=80, core="m7", mhz=480))
    'flash=1MB,latency=80ms@m7-480MHz'
    """

    flash: int | None = None
    ram: int | None = None
    latency: float | None = None
    zip: int | None = None
    core: str | None = None
    mhz: float | None = None

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # of a recipe's field

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "core" and value is not None and not value >= 0:
                raise ValueError(f"`{field.name}` must be 0 or more. Received: {value!r}")
        if (self.core is None) != (self.mhz is None):
            raise ValueError(f"`core` and `mhz` go together. Received: core={self.core!r}, mhz={self.mhz!r}")

    def __str__(self) -> str:
        """As `parse_budget` reads it."""
        place = f"@{self.core}-{self.mhz:.10g}MHz" if self.core is not None else ""
        sizes = {name: size_words(size) for name in ("flash", "ram") if (size := getattr(self, name)) is not None}
        latency = {} if self.latency is None else {"latency": f"{self.latency:.10g}ms{place}"}
        zipped = {} if self.zip is None else {"zip": size_words(self.zip)}
        return ",".join(f"{name}={words}" for name, words in (sizes | latency | zipped).items())

    def within(self, device: "Budget") -> "Budget":
        """This budget with a device's own limits where it says nothing."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return Budget(**(asdict(device) | said))


def parse_budget(text: str) -> Budget:
    """Reads what must hold.

    Args:
        text: `"flash=1MB,ram=256KB,latency=80ms@m7-480MHz,zip=300KB"`, or some of these. KB and MB are 1024 and 1024
            times 1024 bytes. What stands after `@` is the core that the latency is meant on and its clock; without it
            the device must be named elsewhere.

    Raises:
        InputError: it is of another form; the message has the part that is wrong.

    >>> parse_budget("ram=256KB, latency=0.1s").latency
    100.0
    """
    values: dict[str, int | float | str] = {}
    for part in text.split(","):
        name, equals, words = part.partition("=")
        name = name.strip().lower()
        if not equals or name not in ("flash", "ram", "latency", "zip"):
            raise InputError(f"A budget (--fit) must be like {_EXAMPLE}, or a part of that. Received: {part!r}.")
        if name in values:
            raise InputError(f"A budget (--fit) says {name} once. Received: {text!r}.")
        if name != "latency":
            values[name] = parse_size(words)
            continue
        time, at, place = words.partition("@")
        values[name] = _parse(time, _TIME, lambda m: float(m[1]) * _MILLISECONDS[m[2].lower()], "A latency", "80ms")
        if at:
            core, mhz = _parse(place, _PLACE, _core_of, "What a latency is meant on", "m7-480MHz")
            values |= {"core": core, "mhz": mhz}
    return Budget(**values)  # type: ignore[arg-type]


def as_budget(value: object) -> object:
    """A budget that is written as text, read; anything else as it is."""
    return parse_budget(value) if isinstance(value, str) else value


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


def size_words(size: int) -> str:
    """A size as `parse_size` reads it, exactly.

    >>> size_words(262144), size_words(1000)
    ('256KB', '1000B')
    """
    unit, name = next(
        ((unit, name) for unit, name in ((MIB, "MB"), (KIB, "KB")) if size and size % unit == 0), (1, "B")
    )
    return f"{size // unit}{name}"


def kilobytes(size: int) -> str:
    """A size for people.

    >>> kilobytes(210272)
    '206 KiB'
    """
    return f"{-(-size // KIB)} KiB"


def _core_of(match: re.Match[str]) -> tuple[str, float]:
    return match[1].lower(), float(match[2]) * (1e3 if match[3].lower() == "ghz" else 1.0)


def _parse(
    text: str, pattern: re.Pattern[str], read: Callable[[re.Match[str]], _Value], what: str, example: str
) -> _Value:
    match = pattern.fullmatch(text)
    if match is None:
        raise InputError(f"{what} must be like {example}. Received: {text!r}.")
    return read(match)
