"""What a model takes, said once: each input tensor, and how a raw item becomes it."""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"
Array: TypeAlias = np.ndarray[Any, Any]
Arrays: TypeAlias = Array | tuple[Array, ...]
"""One array where a model has one input, else a tuple of arrays in the inputs' order: as Keras takes them."""


Labels: TypeAlias = "NDArray[np.int32] | NDArray[np.float32]"
"""Class indices `[n]`, or `[n, classes]` of 0 and 1 where an item may have several labels."""
Indices: TypeAlias = "Sequence[int] | NDArray[np.int64]"
"""Which items, by their places."""


def as_tuple(arrays: Arrays) -> tuple[Array, ...]:
    """The arrays, one by one, whether there is one or several."""
    return arrays if isinstance(arrays, tuple) else (arrays,)


def only(arrays: Arrays) -> Array:
    """The one array of a model with one input.

    Raises:
        InputError: there are several.
    """
    if isinstance(arrays, tuple):
        raise InputError(f"This needs a model with one input. Received: {len(arrays)} inputs.")
    return arrays


def in_range(values: Array, tensor: "TensorSpec") -> Array:
    """Values as an input holds them: of its dtype and in its range; rounded where it holds whole numbers.

    >>> in_range(np.array([-3.0, 7.6]), TensorSpec("gray", (2,), "uint8", 0, 255)).tolist()
    [0, 8]
    """
    if values.dtype == tensor.dtype:
        return values
    whole = np.rint(values) if np.issubdtype(tensor.dtype, np.integer) else values
    return np.clip(whole, tensor.low, tensor.high).astype(tensor.dtype)


def stacked(items: Sequence[Arrays]) -> Arrays:
    """Items as one batch: `[b, ...]` of each input.

    >>> stacked([np.zeros(3), np.ones(3)]).shape
    (2, 3)
    """
    if isinstance(items[0], tuple):
        return tuple(np.stack(arrays) for arrays in zip(*items, strict=True))
    return np.stack([array for array in items if not isinstance(array, tuple)])


@dataclass(frozen=True)
class TensorSpec:
    """One input tensor of a model, the batch left out.

    Attributes:
        name: of the input.
        shape: its axes; None where any length will do.
        dtype: NumPy's name of the values' type, such as `"uint8"`.
        low: the least value, None where nothing bounds it.
        high: the largest value.
        meaning: what it holds, in a few words.
        padding: the value that fills the first axis up where an item is shorter; None where items are not filled up.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    low: float | None = None
    high: float | None = None
    meaning: str = ""
    padding: int | None = None


def item_lengths(values: Array, padding: int) -> NDArray[np.int64]:
    """How long each item is without the padding behind it, at least 1.

    Args:
        values: `[n, length]`.
        padding: what fills items up.

    >>> item_lengths(np.array([[5, 0, 7, 0], [0, 0, 0, 0]]), 0).tolist()
    [3, 1]
    """
    behind = (values[:, ::-1] != padding).argmax(axis=1)
    return np.where((values != padding).any(axis=1), values.shape[1] - behind, 1).astype(np.int64)


def rounded_length(lengths: Array, most: int) -> int:
    """The length to which items are filled up that are computed together: a multiple of 8, and no more than `most`.

    >>> rounded_length(np.array([3, 9]), 64), rounded_length(np.array([3, 9]), 12)
    (16, 12)
    """
    return min(-(-int(lengths.max()) // 8) * 8, most)


MAX_ASSET = 64 << 20
"""Bytes of a file that preparing needs, such as a vocabulary; one from outside that is larger is refused."""
DAMAGED_ARCHIVE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    zipfile.BadZipFile,
)
"""What reading a forged zip archive can raise (RuntimeError: it is encrypted)."""
_assets: dict[str, bytes] = {}


def keep_asset(content: bytes) -> str:
    """Keeps a file that preparing needs for as long as the process lives, so that specs need only name it.

    It travels inside each model's file; who reads one keeps it here.

    Returns:
        Its SHA-256, as `InputSpec.assets` has it.

    >>> open_asset(keep_asset(b"[PAD]"))
    b'[PAD]'
    """
    digest = hashlib.sha256(content).hexdigest()
    _assets[digest] = content
    return digest


def keep_assets(file: str | Path | BinaryIO, spec: "InputSpec", prefix: str = "") -> None:
    """Keeps the assets of a spec that lie in its model's file; what is missing, damaged or too large is left out.

    Args:
        file: a zip archive.
        spec: what it says of its inputs.
        prefix: of the assets' names.
    """
    for name in spec.assets:
        with suppress(*DAMAGED_ARCHIVE), zipfile.ZipFile(file) as archive:
            if archive.getinfo(prefix + name).file_size <= MAX_ASSET:
                keep_asset(archive.read(prefix + name))


def open_asset(digest: str) -> bytes:
    """The file of a SHA-256 that `keep_asset` was given.

    Raises:
        InputError: there is none.
    """
    if digest not in _assets:
        raise InputError(f"A file that items are prepared with is missing (SHA-256 {digest}): get the model again.")
    return _assets[digest]


@dataclass(frozen=True)
class InputSpec:
    """The inputs of a model, in order, and how a raw item becomes them.

    Attributes:
        modality: the name of the modality, a key of `MODALITIES`.
        tensors: the inputs.
        preparation: the settings of the modality's `Preparer`, as data: a geometry, a tokenizer, a sample rate.

    >>> spec = InputSpec("series", (TensorSpec("signal", (64, 1), "float32", -1, 1),), {"sample_rate": 100})
    >>> InputSpec.from_dict(spec.to_dict()) == spec
    True
    """

    modality: str
    tensors: tuple[TensorSpec, ...]
    preparation: Mapping[str, Json] = field(default_factory=dict)

    @property
    def tensor(self) -> TensorSpec:
        """The only tensor.

        Raises:
            InputError: there are several.
        """
        if len(self.tensors) != 1:
            names = ", ".join(tensor.name for tensor in self.tensors)
            raise InputError(f"This needs a model with one input. Received: {len(self.tensors)} inputs ({names}).")
        return self.tensors[0]

    @property
    def assets(self) -> dict[str, str]:
        """The files that preparing needs, such as a vocabulary: name -> SHA-256; see `keep_asset`."""
        assets = self.preparation.get("assets")
        return {str(name): str(digest) for name, digest in assets.items()} if isinstance(assets, Mapping) else {}

    @property
    def padded(self) -> TensorSpec | None:
        """The first tensor in which items are filled up, if any: by it the length of an item is known."""
        return next((tensor for tensor in self.tensors if tensor.padding is not None), None)

    def holds_same(self, other: "InputSpec") -> bool:
        """Whether items become the same arrays by another spec, whatever its tensors are called."""
        own, theirs = ([(t.shape, t.dtype) for t in spec.tensors] for spec in (self, other))
        return own == theirs and dict(self.preparation) == dict(other.preparation)

    def to_dict(self) -> dict[str, Json]:
        """As JSON has it."""
        tensors = [
            {name: value for name, value in asdict(tensor).items() if name != "padding" or value is not None}
            | {"shape": list(tensor.shape)}
            for tensor in self.tensors
        ]
        return {"modality": self.modality, "tensors": tensors, "preparation": dict(self.preparation)}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Json]) -> "InputSpec":
        """From what `to_dict` gave.

        Raises:
            InputError: it is something else.
        """
        try:
            known: Any = fields  # checked by what follows
            tensors = tuple(TensorSpec(**{**tensor, "shape": tuple(tensor["shape"])}) for tensor in known["tensors"])
            return cls(str(known["modality"]), tensors, dict(known["preparation"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"These are no model inputs ({error}). Received: {str(fields)[:200]}") from error


def like_lengths(
    arrays: tuple[Array, ...], spec: InputSpec, size: int
) -> Iterator[tuple[NDArray[np.int64], tuple[Array, ...]]]:
    """Batches of items of like length, cut to the longest, so that little padding is computed.

    Args:
        arrays: of every input, `[n, length, ...]`.
        spec: of these inputs, one of which is padded.
        size: items a batch.

    Yields:
        Which items, and their arrays.

    >>> spec = InputSpec("text", (TensorSpec("ids", (16,), "int32", padding=0),))
    >>> ids = np.array([[1] * 12 + [0] * 4, [1] * 3 + [0] * 13])
    >>> [(items.tolist(), part.shape) for items, (part,) in like_lengths((ids,), spec, 1)]
    [([1], (1, 8)), ([0], (1, 16))]
    """
    padded = spec.padded
    assert padded is not None and padded.padding is not None
    lengths = item_lengths(arrays[spec.tensors.index(padded)], padded.padding)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), size):
        items = order[start : start + size]
        end = rounded_length(lengths[items], padded.shape[0] or lengths.max())
        yield items, tuple(values[items, :end] for values in arrays)


Strength: TypeAlias = str | Mapping[str, bool | float | str]
"""How strong an augmentation is: a name, or settings."""

Inputs: TypeAlias = InputSpec | Sequence[TensorSpec] | Sequence[int] | int
"""What items are to become: a spec, a model's input tensors, or a modality's short form, such as a side's length."""


def one_tensor(inputs: "Sequence[TensorSpec] | Sequence[int] | int", name: str, items: str) -> TensorSpec:
    """The one input of a model whose short form is a length.

    Args:
        inputs: a model's input tensors, or a length.
        name: of the input, where a length is given.
        items: what the modality calls its items.

    Raises:
        InputError: there are several inputs, or none.

    >>> one_tensor(16000, "waveform", "recordings").shape
    (16000,)
    """
    parts: list[TensorSpec | int] = [inputs] if isinstance(inputs, int) else list(inputs)
    if len(parts) != 1:
        raise InputError(f"A model of {items} has one input. Received: {len(parts)} inputs.")
    return TensorSpec(name, (parts[0],)) if isinstance(parts[0], int) else parts[0]


class Preparer(Protocol):
    """How a raw item becomes a model's inputs: one definition for training, prediction, calibration and proofs.

    It is immutable and pure: the same content and spec give the same bits.
    """

    @property
    def modality(self) -> str:
        """The name of the modality."""
        ...

    @property
    def settings(self) -> Mapping[str, Json]:
        """Everything that changes what comes out: `InputSpec.preparation`, and part of the keys of caches."""
        ...

    def spec(self, inputs: Inputs) -> InputSpec:
        """What items become for these inputs.

        Args:
            inputs: such as `keras_transfer.models.model_inputs(model)`.

        Raises:
            InputError: no item can become such inputs.
        """
        ...

    def load(self, source: str) -> bytes:
        """The content of an item, of which `Split.hashes` holds the SHA-256.

        Raises:
            InputError: it cannot be read.
        """
        ...

    def prepare(self, content: bytes, spec: InputSpec) -> Arrays:
        """The inputs that one item becomes, without the batch axis.

        Raises:
            InputError: the content is damaged, or of no kind that the modality reads.
        """
        ...

    def adapt(self, values: Array, spec: InputSpec) -> Array:
        """Items of one spec, `[n, ...]`, as a smaller one has them, such as resized.

        Raises:
            InputError: the modality knows no way.
        """
        ...

    def augmenter(self, strength: Strength, per_class: float | None, classes: int) -> "Augmenter":
        """The augmentation of a strength.

        Args:
            strength: `"auto"`, `"none"`, or what else the modality knows.
            per_class: training items of each class, for `"auto"`; None for many.
            classes: number of classes.

        Raises:
            InputError: an unknown strength.
        """
        ...


class Augmenter(Protocol):
    """Random views of items, pure in its arguments: the same inputs and seed give the same bits."""

    @property
    def settings(self) -> Mapping[str, float]:
        """What it does; empty where it does nothing."""
        ...

    @property
    def mixes(self) -> bool:
        """Whether it mixes items, so that labels come out as `float32 [b, classes]`."""
        ...

    def __bool__(self) -> bool:
        """Whether it changes anything at all."""
        ...

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """One random view of each item of a batch, as `Split.batches` has it, and the labels."""
        ...


MODALITIES: dict[str, str] = {
    "image": "keras_transfer.modalities.image",
    "text": "keras_transfer.modalities.text.modality",
    "audio": "keras_transfer.modalities.audio.modality",
    "series": "keras_transfer.modalities.series.modality",
}
"""The name of each modality, and the module whose `MODALITY` it is. The first has the sources that no other knows."""


def inputs_of(entry: Mapping[str, Json]) -> InputSpec | None:
    """What a file's metadata says of its inputs; None where it says nothing.

    Args:
        entry: `inputs`, as `InputSpec.to_dict` gave it; or, in files of earlier releases, `geometry` alone: then the
            spec has no tensors.

    Raises:
        InputError: it says something that makes no sense.

    >>> inputs_of({"geometry": {"mode": "crop"}}).modality
    'image'
    """
    spec: InputSpec | None = None
    if isinstance(entry.get("inputs"), Mapping):
        spec = InputSpec.from_dict(entry["inputs"])  # type: ignore[arg-type]
    elif "geometry" in entry:
        spec = InputSpec("image", (), {"geometry": entry["geometry"]})
    if spec is not None:
        open_preparer(spec.modality, spec.preparation)  # which checks it
    return spec


Table: TypeAlias = "Sequence[tuple[str, int] | Table | None]"
"""A table of a flatbuffer: in each field a scalar with its type (`("Uint32", 5)`), a table, or None for nothing."""


@dataclass(frozen=True)
class TensorNotes:
    """What a file's metadata says of one input, where other programs look for it (TFLite Metadata).

    Attributes:
        name: of the input.
        description: what it holds, in words.
        content: a `ContentProperties` union's type and table; None where there is none for such content.
        files: name -> (description, text) of what lies inside the file for it.
        vocabulary: the asset by which BERT's tokenizer makes it; empty where nothing of the kind does.
    """

    name: str
    description: str
    content: tuple[int, Table] | None = None
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    vocabulary: str = ""


class ModalityInputs(Protocol):
    """What rooms below the modalities ask of one; all of it is `keras_transfer.modalities.Modality`."""

    @property
    def kits(self) -> Mapping[str, str]:
        """Target -> the module that writes that target's folder for models of this modality."""
        ...

    def input_contract(self, inputs: InputSpec) -> list[dict[str, Json]]:
        """What a file's proof says of the values that each of its inputs takes."""
        ...

    def tensor_notes(self, inputs: InputSpec) -> list[TensorNotes]:
        """What a file's metadata says of each of its inputs."""
        ...

    def mediapipe_inputs(self, inputs: InputSpec) -> InputSpec:
        """What MediaPipe's classifier of such items gives a file, beginning with the file's own inputs."""
        ...

    def encoded_input(self, inputs: InputSpec) -> "Callable[[tf.Tensor], tf.Tensor] | None":
        """What makes the model's input of an item's bytes in TensorFlow's own operators, if anything does."""
        ...

    def quantized_part(self, model: "keras.Model") -> "keras.Model":
        """The part of a model that files in whole numbers hold."""
        ...

    def preparer_with(self, model: "keras.Model", preparer: Preparer) -> Preparer:
        """The preparer with what a model's own layers say of inputs of its parts."""
        ...

    def parts(self, source: str, inputs: InputSpec, hop: float | None = None) -> Sequence[str]:
        """The names of the items that a file is for a model: itself, or windows of a long recording."""
        ...

    @property
    def many(self) -> int:
        """Items of each class from which on all of a pretrained network trains."""
        ...

    @property
    def head_views(self) -> bool:
        """Whether a head that trains alone gains by augmented views of few items."""
        ...

    def tuning(self, strategy: str, stage_count: int) -> Mapping[str, Json]:
        """Fields of the phase of a strategy that trains a backbone, where they are not those of photographs."""
        ...

    def preparer(self, preparation: Mapping[str, Json]) -> Preparer:
        """See `open_preparer`."""
        ...


def open_modality(name: str) -> ModalityInputs:
    """The modality of a name, imported when it is first needed.

    Raises:
        InputError: there is no such modality.
    """
    if name not in MODALITIES:
        known = ", ".join(MODALITIES)
        raise InputError(f"There is no modality {name!r}, only {known}. Is the file of a later release?")
    modality: ModalityInputs = import_module(MODALITIES[name]).MODALITY
    return modality


def open_preparer(modality: str, preparation: Mapping[str, Json]) -> Preparer:
    """The preparer of a modality with these settings, as `InputSpec.preparation` has them.

    Args:
        modality: a name of `MODALITIES`.
        preparation: see `Preparer.settings`; what is missing has its default.

    Raises:
        InputError: there is no such modality, or the settings are none of its preparer's.
    """
    return open_modality(modality).preparer(preparation)
