"""Which devices take a file: a LiteRT file from anywhere, or what exporting a Keras model would make."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack, cast

from keras_transfer.errors import InputError
from keras_transfer.progress import say
from keras_transfer.run import recommended_file
from keras_transfer.schemas import TargetVerdict

if TYPE_CHECKING:
    from keras_transfer.models.silent import ModelOptions

OPTIONS = {"board": "microcontroller", "fit": "microcontroller", "accelerator": "ethos-u"}
"""Options beside the file: name -> the target that takes it."""


class FileVerdict(TargetVerdict):
    """What a target says of a file, and which file that is."""

    file: str
    sha256: str


def judge_file(
    file: Path,
    targets: Sequence[str] | None,
    options: Mapping[str, str],
    *,
    data: str | None = None,
    **own: "Unpack[ModelOptions]",
) -> list[FileVerdict]:
    """Judges a file for some targets, or all of them.

    Args:
        file: a LiteRT file from anywhere; a run directory, of which it is the file that it recommends; or a `.keras`
            file, which is converted to int8 as `export` would do it.
        targets: names of `TARGETS`; None for all, of which one whose tool is missing is left open (`ok` None).
        options: what the command line says beside the file, by the names of `OPTIONS`.
        data: for a `.keras`: items whose training part calibrates; made-up ones without.
        **own: of a `.keras`, what its file does not say.

    Returns:
        One verdict for each target, see `keras_transfer.exporters.judge`.

    Raises:
        InputError: the file cannot be read, is of no kind that is known here, or an option is wrong.
    """
    from keras_transfer.exporters.targets import TARGETS, check_targets

    wanted = list(dict.fromkeys(targets or TARGETS))
    if targets is not None:
        check_targets(wanted)
    for name in options:
        if OPTIONS[name] not in wanted:
            raise InputError(f"--{name} is for --target {OPTIONS[name]}. Received: --target {', '.join(wanted)}.")
    file = recommended_file(file)
    if _is_keras(file):
        contents = _converted(file, wanted, data, own)
    else:
        for option, value in {"data": data, **own}.items():
            if value is not None:
                raise InputError(f"--{option.replace('_', '-')} is for a .keras file. Received: {file}.")
        contents = dict.fromkeys(wanted, _read(file))
    verdicts = []
    for name in wanted:
        about = {option: value for option, value in options.items() if OPTIONS[option] == name}
        identity = {"file": str(file), "sha256": hashlib.sha256(contents[name]).hexdigest()}
        verdict = {**identity, **_verdict(contents[name], name, about, must=targets is not None)}
        verdicts.append(cast(FileVerdict, verdict))
    return verdicts


def _is_keras(file: Path) -> bool:
    """Whether a file is no LiteRT file, but another that holds a model."""
    if file.is_dir():
        return True
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}. Check the path.") from error
    return file.suffix != ".tflite" and (start[:4] == b"PK\x03\x04" or start == b"\x89HDF\r\n\x1a\n")


def _read(file: Path) -> bytes:
    from keras_transfer.litert import read_flatbuffer
    from keras_transfer.litert.probe import probe

    try:
        content = file.read_bytes()
        info = read_flatbuffer(content)
        if not any(operator.custom for operator in info.operators):  # those need libraries that are not here
            probe(content)
    except OSError as error:
        raise InputError(f"Cannot read {file}: {error.strerror or error}. Check the path.") from error
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    return content


def _converted(file: Path, targets: Sequence[str], data: str | None, own: "ModelOptions") -> dict[str, bytes]:
    """Target -> the file that `export` would make of a Keras model for it."""
    from keras_transfer.evaluation import load_keras
    from keras_transfer.exporters.preview import preview
    from keras_transfer.modalities import load
    from keras_transfer.models import as_classifier

    path = file / "model.keras" if (file / "model.keras").is_file() else file
    model = as_classifier(load_keras(path), **own, name=str(path))
    made = preview(model, targets, load(data).train if data is not None else None)
    how = f", calibrated on {made.calibration}" if made.calibration else ""
    say(f"Note: {path} is judged as the {made.format} file that `export` would make of it{how}; nothing is proved.")
    return made.contents


def _verdict(content: bytes, target: str, options: Mapping[str, str], must: bool) -> TargetVerdict:
    """What a target says; where its tool is missing and it need not be there, that the question is open."""
    from keras_transfer.exporters.targets import check_targets, judge
    from keras_transfer.litert import read_flatbuffer

    try:
        if not must and not options:
            check_targets([target])
    except InputError as error:
        operators = len(read_flatbuffer(content).operators)
        return {"operators": operators, "mapped": None, "cpu": [], "why": str(error), "target": target, "ok": None}
    return judge(content, target, **options)
