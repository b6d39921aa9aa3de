"""What each target asks of a file, and what is written for its owner: a small module and a row of `TARGETS` each."""

from collections.abc import Sequence
from importlib import import_module

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets import android, edgetpu, ethos_u, mediapipe, microcontroller, web
from keras_transfer.exporters.targets.base import Kit, KitWriter, Target
from keras_transfer.inputs import open_modality
from keras_transfer.litert import read_flatbuffer
from keras_transfer.schemas import TargetVerdict

__all__ = ["TARGETS", "Kit", "KitWriter", "Target", "check_targets", "judge", "kit_writer"]

TARGETS: dict[str, Target] = {
    "android": android.TARGET,
    "edgetpu": edgetpu.TARGET,
    "ethos-u": ethos_u.TARGET,
    "mediapipe": mediapipe.TARGET,
    "microcontroller": microcontroller.TARGET,
    "web": web.TARGET,
}


def check_targets(targets: Sequence[str]) -> None:
    """Raises `InputError` on a target that is not in the table, or whose tool is missing."""
    for target in targets:
        if target not in TARGETS:
            raise InputError(f"`targets` must be out of {', '.join(TARGETS)}. Received: {target!r}.")
        require = TARGETS[target].require
        if require is not None:
            require()


def judge(content: bytes, target: str, **options: str | None) -> TargetVerdict:
    """Says whether a target takes a file.

    Args:
        content: a LiteRT file.
        target: a name of `TARGETS`.
        **options: of this target, such as `board`.

    Returns:
        `{"target", "ok", "operators", "mapped", "cpu", "why"}`: how many operators there are, how many of them the
        target's own hardware or runtime takes, and for each of the others `{"index", "op", "why"}`; `why` is empty
        where all is fine. A target may add figures of its own.

    Raises:
        InputError: there is no such target, its tool is missing, or this is not a sound LiteRT file.
    """
    check_targets([target])
    return TARGETS[target].judge(content, read_flatbuffer(content), **options)


def kit_writer(target: str, modality: str) -> KitWriter | None:
    """What writes a target's folder for models of a modality; None where there is nothing beside the file.

    Args:
        target: a name of `TARGETS`.
        modality: the name of the modality, whose own kits are looked up where the target's row has none.

    >>> kit_writer("ethos-u", "text").__module__
    'keras_transfer.exporters.targets.ethos_u'
    """
    own = TARGETS[target].write
    if own is not None:
        return own
    module = open_modality(modality).kits.get(target)
    if module is None:
        return None
    writer: KitWriter = import_module(module).write
    return writer
