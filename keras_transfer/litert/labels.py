"""Class names inside a LiteRT file, where MediaPipe and the TFLite Task Library look for them, and what its inputs are.

That is TFLite Metadata: a second flatbuffer in the buffer named `TFLITE_METADATA`, and the names as `labels.txt` in a
zip archive appended to the file, `geometry.json` beside them. Field numbers are those of `metadata_schema.fbs`
(tflite-support, Apache-2.0).
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers.table import Table

from keras_transfer.decisions import RejectionLimit
from keras_transfer.errors import InputError
from keras_transfer.inputs import InputSpec, Json, TensorNotes, inputs_of, keep_assets, open_asset, open_modality
from keras_transfer.inputs import Table as NestedTable
from keras_transfer.litert.flatbuffer import FileInfo, read_flatbuffer
from keras_transfer.litert.packing import pack
from keras_transfer.litert.trust import is_ours, mark_as_ours
from keras_transfer.models.silent import GeometryLike, inputs_of_file

T = TypeVar("T")

LABELS_FILE = "labels.txt"
GEOMETRY_FILE = "geometry.json"
INPUTS_FILE = "inputs.json"
LIMIT_FILE = "rejection.json"
_FIELD = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_DESCRIPTIONS = 1  # AssociatedFileType.DESCRIPTIONS
_AXIS_LABELS = 2  # AssociatedFileType.TENSOR_AXIS_LABELS
_VOCABULARY = 5  # AssociatedFileType.VOCABULARY
_NORMALIZATION = 1  # ProcessUnitOptions.NormalizationOptions
_BERT_TOKENIZER = 4  # ProcessUnitOptions.BertTokenizerOptions
_MOST_LABEL_BYTES = 1 << 24
_MOST_INPUT_BYTES = 1 << 16
# What reading forged offsets, archives and text can raise (RuntimeError: an encrypted archive).
_DAMAGE: tuple[type[Exception], ...] = (ValueError, LookupError, TypeError, OverflowError, RuntimeError, OSError)
_DAMAGE += (EOFError, RecursionError, struct.error, zlib.error, zipfile.BadZipFile)


def write_labels(
    content: bytes,
    class_names: Sequence[str],
    inputs: InputSpec | GeometryLike = None,
    limit: RejectionLimit | None = None,
) -> bytes:
    """Returns the file with its class names inside, and what its inputs are.

    Args:
        content: a classifier whose first output has `len(class_names)` values, and no other but with a `limit`.
        class_names: the names in the order of the output.
        inputs: what the model takes; see `keras_transfer.models.silent.inputs_of_file` for what else may stand here.
        limit: of the second output, the score of unknown items.

    Returns:
        The new file: same graph and constants, with metadata, `labels.txt`, `inputs.json`, and the files that the
        modality gives devices to know how to make inputs, such as `geometry.json`.

    Raises:
        InputError: a name is empty or holds a line break, or names and outputs, or specs and inputs, differ in number.
    """
    info = read_flatbuffer(content)
    text = labels_text(class_names)
    inputs = inputs_of_file(inputs, info.tensors[info.inputs[0]].shape[1:])
    _check_ends(info, inputs, class_names, 1 if limit is None else 2)
    notes = open_modality(inputs.modality).tensor_notes(inputs)
    inside = {LABELS_FILE: text}
    inside |= {name: written for note in notes for name, (_, written) in note.files.items()}
    inside[INPUTS_FILE] = json.dumps(inputs.to_dict())
    inside |= {name: open_asset(digest).decode() for name, digest in inputs.assets.items()}
    if limit is not None:
        inside[LIMIT_FILE] = json.dumps(limit.to_dict())
    archive = io.BytesIO(_with_metadata(content, _metadata(inputs.modality, notes, limit)))
    archive.seek(0, io.SEEK_END)
    with zipfile.ZipFile(archive, "a") as files:  # stored, not deflated: readers map it as it lies
        for name, written in inside.items():
            files.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), written)
    labelled = archive.getvalue()
    return mark_as_ours(labelled) if is_ours(content) else labelled


def _check_ends(info: FileInfo, inputs: InputSpec, class_names: Sequence[str], outputs: int) -> None:
    if len(info.outputs) != outputs:
        raise InputError(f"Labels go into a file of {outputs} output(s). Received: {len(info.outputs)} outputs.")
    if inputs.tensors and len(inputs.tensors) != len(info.inputs):
        raise InputError(f"The file has {len(info.inputs)} inputs, but {len(inputs.tensors)} are described.")
    output = info.tensors[info.outputs[0]]
    if not output.shape or output.shape[-1] != len(class_names):
        raise InputError(f"The file has outputs of shape {list(output.shape)}. Received: {len(class_names)} names.")


def _with_metadata(content: bytes, metadata: bytes) -> bytes:
    """The file with metadata in place of what it has, without an archive behind it."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    model.metadata = model.metadata or []
    entry = next((entry for entry in model.metadata if entry.name == _FIELD.encode()), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = _FIELD, len(model.buffers)
        model.metadata.append(entry)
        model.buffers.append(schema.BufferT())
    model.buffers[entry.buffer].data = np.frombuffer(metadata, np.uint8)
    return pack(model)


def read_labels(content: bytes) -> list[str] | None:
    """Returns the class names inside a LiteRT file, or None where it holds none that can be read.

    Args:
        content: a LiteRT file from anywhere.

    Raises:
        InputError: it is not a valid LiteRT file.
    """
    metadata = read_flatbuffer(content).metadata.get(_FIELD, b"")
    return _guarded(lambda: _read_labels(content, metadata))


def read_inputs(content: bytes) -> InputSpec | None:
    """Returns what the inputs of a LiteRT file are, or None where it does not say.

    Args:
        content: a LiteRT file from anywhere. Of one of an earlier release, which has a geometry alone, there are no
            tensors.

    Raises:
        InputError: what it says makes no sense.
    """

    try:
        spec = inputs_of(_read_first(content, {INPUTS_FILE: "inputs", GEOMETRY_FILE: "geometry"}))
    except InputError as error:
        raise InputError(f"The file does not say what its input is: {error} Export it again.") from error
    if spec is not None:
        keep_assets(io.BytesIO(content), spec)
    return spec


def read_limit(content: bytes) -> RejectionLimit | None:
    """Returns from which score of its second output on an item is "none of these", or None where the file has none.

    Raises:
        InputError: what it says makes no sense.
    """
    said = _read_first(content, {LIMIT_FILE: "limit"})
    return RejectionLimit.from_dict(said["limit"]) if said else None


def _read_first(content: bytes, names: Mapping[str, str]) -> dict[str, Json]:
    """The first of some JSON files that are inside, by what it is called here; empty where there is none."""

    def read() -> dict[str, Json]:
        with zipfile.ZipFile(io.BytesIO(content)) as files:
            members = {member.filename: member for member in files.infolist()}
            for name, key in names.items():
                if name in members and members[name].file_size <= _MOST_INPUT_BYTES:
                    return {key: json.loads(files.read(name))}
        return {}

    return _guarded(read) or {}


def read_normalization(info: FileInfo) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the mean and deviation that normalize a float input, `float32 [1]` or `[channels]`, or None."""
    metadata = info.metadata.get(_FIELD, b"")
    return _guarded(lambda: _read_normalization(metadata))


def labels_text(class_names: Sequence[str]) -> str:
    """Returns the content of `labels.txt`: one name per line, in the order of the model's outputs.

    >>> labels_text(["cat", "dog"])
    'cat\\ndog\\n'
    """
    for name in class_names:
        if not name.strip() or name.splitlines() != [name]:  # also one that ends in a line break
            raise InputError(f"A class name must be one line of text. Received: {name!r}.")
    return "".join(f"{name}\n" for name in class_names)


class _Writer:
    """Writes flatbuffer tables, whose fields are known by their numbers."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(512)

    def string(self, text: str) -> int:
        return int(self.builder.CreateString(text))

    def table(self, *fields: int | tuple[str, int] | None) -> int:
        """A table: integers are offsets of what was made before, (type, value) pairs are scalars, None is left out."""
        self.builder.StartObject(len(fields))
        for slot, field in enumerate(fields):
            if isinstance(field, tuple):
                getattr(self.builder, f"Prepend{field[0]}Slot")(slot, field[1], 0)
            elif field is not None:
                self.builder.PrependUOffsetTRelativeSlot(slot, field, 0)
        return int(self.builder.EndObject())

    def vector(self, *offsets: int) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def file(self, name: str, description: str, kind: int) -> int:
        return self.table(self.string(name), self.string(description), ("Int8", kind))

    def tensor(self, name: str, description: str, content: int | None = None, files: Sequence[int] = ()) -> int:
        name_, description_ = self.string(name), self.string(description)
        return self.table(name_, description_, None, content, None, None, self.vector(*files) if files else None)

    def noted(self, note: TensorNotes, files: Sequence[int]) -> int:
        """What is said of an input, and the files that belong to it."""
        own = [self.file(name, words, _DESCRIPTIONS) for name, (words, _) in note.files.items()]
        content = None
        if note.content is not None:
            kind, properties = note.content
            content = self.table(("Uint8", kind), self.nested(properties))
        return self.tensor(note.name, note.description, content, [*files, *own])

    def tokenizer(self, vocabulary: str) -> int:
        """That BERT's tokenizer makes the inputs, by a file inside."""
        files = self.vector(self.file(vocabulary, "The tokenizer's vocabulary, one entry per line", _VOCABULARY))
        return self.table(("Uint8", _BERT_TOKENIZER), self.table(files))

    def nested(self, table: NestedTable) -> int:
        """A table that is given as data."""
        return self.table(*(x if x is None or isinstance(x, tuple) else self.nested(x) for x in table))

    def finish(self, root: int) -> bytes:
        self.builder.Finish(root, _IDENTIFIER)
        return bytes(self.builder.Output())


def _metadata(modality: str, notes: Sequence[TensorNotes], limit: RejectionLimit | None) -> bytes:
    """The metadata of a classifier."""
    writer = _Writer()
    described = writer.file(INPUTS_FILE, "What the inputs are", _DESCRIPTIONS)  # which stands at the first input
    tensors = [writer.noted(note, () if place else (described,)) for place, note in enumerate(notes)]
    labels = writer.file(LABELS_FILE, "Class names, one per line", _AXIS_LABELS)
    scores = [writer.tensor("probability", "A probability for each class", None, [labels])]
    if limit is not None:
        words = f"How unlike all classes it is: none of these above {limit.threshold:.4g}"
        own = writer.file(LIMIT_FILE, "The threshold, and scores of validation items", _DESCRIPTIONS)
        scores.append(writer.tensor("unlikeness", words, None, [own]))
    units = [writer.tokenizer(note.vocabulary) for note in notes if note.vocabulary]
    ends = writer.vector(*tensors), writer.vector(*scores)
    graph = writer.table(None, None, *ends, None, writer.vector(*units) if units else None)
    name, graphs, parser = (
        writer.string(f"{modality.capitalize()} classifier"),
        writer.vector(graph),
        writer.string("1.0.0"),
    )
    return writer.finish(writer.table(name, None, None, graphs, None, None, None, parser))


def _guarded(read: Callable[[], T]) -> T | None:
    """What `read` returns, or None where metadata is damaged: the model runs without it."""
    try:
        return read()
    except _DAMAGE:
        return None


def _read_labels(content: bytes, metadata: bytes) -> list[str] | None:
    for tensor in _tensors(metadata, 3):
        for file in _tables(tensor, 6):
            offset = file.Offset(4 + 2 * 2)
            if not offset or file.Get(flatbuffers.number_types.Int8Flags, file.Pos + offset) != _AXIS_LABELS:
                continue
            name = file.String(file.Pos + file.Offset(4)).decode()
            with zipfile.ZipFile(io.BytesIO(content)) as files:
                if files.getinfo(name).file_size > _MOST_LABEL_BYTES:
                    return None
                return files.read(name).decode("utf-8-sig").splitlines()
    return None


def _read_normalization(metadata: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    for tensor in _tensors(metadata, 2):
        for unit in _tables(tensor, 4):
            kind, options = unit.Offset(4), unit.Offset(6)
            if not options or unit.Get(flatbuffers.number_types.Uint8Flags, unit.Pos + kind) != _NORMALIZATION:
                continue
            table = Table(metadata, unit.Indirect(unit.Pos + options))
            mean, std = (
                table.GetVectorAsNumpy(flatbuffers.number_types.Float32Flags, table.Offset(slot)) for slot in (4, 6)
            )
            valid = len(mean) == len(std) > 0 and np.all(np.isfinite(mean)) and np.all(np.isfinite(std)) and np.all(std)
            return (mean.copy(), std.copy()) if valid else None
    return None


def _tensors(metadata: bytes, slot: int) -> list[Table]:
    """Metadata of the input (slot 2) or output (slot 3) tensors of the main graph."""
    if metadata[4:8] != _IDENTIFIER:
        return []
    root = Table(metadata, struct.unpack_from("<I", metadata)[0])
    graphs = _tables(root, 3)
    return _tables(graphs[0], slot) if graphs else []


def _tables(table: Table, slot: int) -> list[Table]:
    offset = table.Offset(4 + 2 * slot)
    if not offset:
        return []
    start, count = table.Vector(offset), table.VectorLen(offset)
    if count > len(table.Bytes) // 4:
        raise ValueError("a list longer than the metadata")
    return [Table(table.Bytes, table.Indirect(start + 4 * i)) for i in range(count)]
