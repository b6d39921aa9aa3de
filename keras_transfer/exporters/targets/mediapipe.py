"""MediaPipe Tasks: ready classifiers for phones, browsers and desktops, which make a file's inputs themselves."""

from keras_transfer.errors import InputError
from keras_transfer.exporters.targets.base import Target, custom_operators, dynamic, ends, not_built_in, verdict
from keras_transfer.inputs import InputSpec, open_modality
from keras_transfer.litert import FileInfo, read_flatbuffer
from keras_transfer.litert.io_types import with_unused_inputs
from keras_transfer.litert.labels import read_inputs, read_labels, read_limit, write_labels
from keras_transfer.models.silent import inputs_of_file
from keras_transfer.schemas import TargetVerdict

_TYPES = {"float32", "int32", "uint8"}  # that its classifiers give and take


def judge(content: bytes, info: FileInfo) -> TargetVerdict:
    """Judges a file; see `targets.judge`."""
    others = ends(info) - _TYPES
    why = f"takes or gives {' and '.join(sorted(others))}, which MediaPipe refuses" if others else ""
    why = not_built_in(info) or dynamic(info) or why or _against(content, info)
    return verdict("mediapipe", info, why, custom_operators(info))


def _against(content: bytes, info: FileInfo) -> str:
    """A reason where MediaPipe gives a file other inputs than it takes."""
    try:
        wanted = _inputs(content)[1].tensors
    except InputError as error:
        return f"is none for MediaPipe: {str(error).rstrip('.')}"
    if len(wanted) != len(info.inputs):
        names = ", ".join(tensor.name for tensor in wanted)
        return f"has {len(info.inputs)} input, and MediaPipe gives {len(wanted)} ({names}): take mediapipe/model.tflite"
    return ""


def _adapt(content: bytes) -> bytes:
    """The file with the inputs that MediaPipe gives beside those that it takes, which nothing reads."""
    (own, wanted), names = _inputs(content), read_labels(content)
    if names is None or wanted == own:
        raise InputError("MediaPipe takes the file as it is.")
    widened = with_unused_inputs(content, wanted.tensors[len(own.tensors) :])
    return write_labels(widened, names, wanted, read_limit(content))


def _inputs(content: bytes) -> tuple[InputSpec, InputSpec]:
    """What a file takes, and what MediaPipe gives it."""
    info, own = read_flatbuffer(content), read_inputs(content)
    shape = info.tensors[info.inputs[0]].shape[1:]
    if own is None and len(shape) != 3:  # no picture either
        raise InputError("The file does not say what its inputs are.")
    own = inputs_of_file(own, shape)
    return own, open_modality(own.modality).mediapipe_inputs(own)


TARGET = Target("MediaPipe Tasks", judge, adapt=_adapt)
