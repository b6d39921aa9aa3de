"""For the twins of `updates` and `log` in other languages: manifests with what a device says of them, and lines."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.files import write_bytes, write_text
from keras_transfer.operations.log import Entry, line_of
from keras_transfer.operations.updates import UpdateError, make_update, public_key, read_update

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_APP = 7
_SINCE = 1_790_000_000


def golden_vectors(folder: str | Path, count: int = 24, seed: int = 0) -> Path:
    """Writes made manifests, whole and spoilt in many ways.

    `cases.csv` has a row for each: name, app, since, and `ok` or the reason of `UpdateError`. The manifest is
    `NAME.update`, the public key `key.txt`; `file.bytes` and `torn.bytes` are what a whole manifest's `model.tflite`
    is, and half of it; `single.update` and `newer.update` have that file alone.

    Args:
        folder: where to.
        count: whole manifests, each with seven spoilt ones.
        seed: of what is random.

    Raises:
        InputError: `cryptography` is missing.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    folder, chance = Path(folder), random.Random(seed)
    own, other = (Ed25519PrivateKey.from_private_bytes(chance.randbytes(32)) for _ in range(2))
    content = chance.randbytes(5000)
    write_bytes(folder / "file.bytes", content)
    write_bytes(folder / "torn.bytes", content[:2500])
    write_text(folder / "key.txt", public_key(own))
    for serial, name in enumerate(("single", "newer"), _SINCE):
        manifest = make_update({"model.tflite": content}, ["cat", "dog"], own, model="cats@3", serial=serial)
        write_bytes(folder / f"{name}.update", manifest)
    rows = ["name,app,since,verdict"]
    for turn in range(count):
        for kind, manifest in _manifests(chance, own, other, content):
            name = f"{turn:02d}_{kind}"
            write_bytes(folder / f"{name}.update", manifest)
            rows.append(f"{name},{_APP},{_SINCE},{_verdict(manifest, public_key(own))}")
    return write_text(folder / "cases.csv", "\n".join([*rows, ""]))


def _manifests(
    chance: random.Random, own: "Ed25519PrivateKey", other: "Ed25519PrivateKey", content: bytes
) -> Iterator[tuple[str, bytes]]:
    files = {"model.tflite": content, "model.json": chance.randbytes(chance.randrange(300))}
    labels = ["".join(chance.choices("abc é漢🍕,;\"'", k=chance.randrange(1, 12))) + "." for _ in range(5)]
    whole = make_update(files, labels, own, model="cats@3", app=chance.randrange(_APP + 1), serial=_SINCE + 1)
    yield "whole", whole
    yield "other_key", make_update(files, labels, other, model="cats@3", serial=_SINCE + 1)
    yield "old", make_update(files, labels, own, model="cats@2", serial=_SINCE)
    yield "newer_app", make_update(files, labels, own, model="cats@3", app=_APP + 1, serial=_SINCE + 1)
    yield "cut", whole[: chance.randrange(len(whole))]
    yield "longer", whole + b"\n"
    at = chance.randrange(len(whole))
    yield "bit", whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
    line = chance.choice([b"\napp ", b"\nserial ", b"\nmodel ", b" model."])
    yield "changed", whole.replace(line, line + b"1", 1)


def _verdict(manifest: bytes, key: str) -> str:
    try:
        read_update(manifest, key, app=_APP, since=_SINCE)
    except UpdateError as error:
        return error.reason
    return "ok"


def log_vectors(folder: str | Path, count: int = 200, seed: int = 0) -> Path:
    """Writes made predictions and their lines of a log.

    `entries.csv` has a row for each: time in milliseconds, model, score and ms, each empty where there is none, and
    `top`: class names in hexadecimal UTF-8 and probabilities, `HEX:NUMBER` separated by blanks. `lines.jsonl` has the
    lines.

    Args:
        folder: where to.
        count: how many.
        seed: of what is random.
    """
    folder, chance = Path(folder), random.Random(seed)
    rows, lines = ["time,model,score,ms,top"], []
    for turn in range(count):
        names = [
            "".join(chance.choices('abc é漢🍕,;"\\/\n\t\x01\x7f', k=chance.randrange(1, 8)))
            for _ in range(turn % 4 + 1)
        ]
        top = tuple((name, chance.choice([chance.random(), chance.randrange(20001) / 20000])) for name in names)
        entry = Entry(
            f"{chance.randrange(1 << 64):016x}",
            top,
            chance.choice([None, chance.randrange(4_102_444_800_000)]),
            chance.choice([None, chance.gauss(0, 10 ** chance.randrange(-4, 5)), chance.randrange(-999, 999) / 2000]),
            chance.choice([None, chance.expovariate(0.01)]),
        )
        pairs = " ".join(f"{name.encode().hex()}:{value!r}" for name, value in top)
        known = ("" if value is None else repr(value) for value in (entry.score, entry.ms))
        rows.append(",".join(["" if entry.time is None else str(entry.time), entry.model, *known, pairs]))
        lines.append(line_of(entry))
    write_text(folder / "lines.jsonl", "\n".join([*lines, ""]))
    return write_text(folder / "entries.csv", "\n".join([*rows, ""]))
