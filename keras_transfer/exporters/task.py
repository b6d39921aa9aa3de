"""What a call of `export` asks for, and what comes of it: the records that its steps hand on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import RejectionLimit
from keras_transfer.inputs import Array, Arrays, InputSpec, as_tuple, open_modality
from keras_transfer.litert import open_litert
from keras_transfer.litert.convert import CALIBRATION_ITEMS, convert
from keras_transfer.litert.frozen import CALIBRATED
from keras_transfer.models.rejection import Rejection, with_rejection
from keras_transfer.models.silent import ModelOptions, preparer_of
from keras_transfer.schemas import RepairStep

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_BATCH = 64
TargetOptions = Mapping[str, str | None]
Probabilities = NDArray[np.float32]


class ExportOptions(ModelOptions, total=False):
    """Options of `export` that few need.

    Attributes:
        target_options: target -> what `judge` is told beside the file, such as
            `{"microcontroller": {"board": "rp2040"}}`.
        input_dtype: of the int8 file: `"uint8"` (the default), or `"int8"` for microcontrollers.
        per_tensor_dense: see `keras_transfer.convert`; None (the default) does what `targets` want.
        calibration_items: how many items calibrate, 100 unless given.
        keras_probabilities: `float32 [n, classes]` of the Keras model on `proof`, if they are known already; or what
            gives them, called once the files are converted.
        converted: format -> a LiteRT file of this model that is there already (of quantization-aware training, say).
        name: start of the files' names, `"model"` unless given.
        seed: of the choice of calibration items.
        on_frozen: see `keras_transfer.convert`.
        strict: raise where there are `problems`, once all is written.
        rejection: the score of unknown items, which LiteRT files then give as their second output.
    """

    target_options: Mapping[str, TargetOptions] | None
    input_dtype: str
    per_tensor_dense: bool | None
    calibration_items: int
    keras_probabilities: Probabilities | Callable[[], Probabilities] | None
    converted: Mapping[str, bytes] | None
    name: str
    seed: int
    on_frozen: Callable[[], object] | None
    strict: bool
    rejection: Rejection | None


class Network(NamedTuple):
    """A Keras model that files are converted from, and what it takes."""

    model: "keras.Model"
    inputs: InputSpec


@dataclass(frozen=True)
class Task:
    """A call of `export`, checked.

    Attributes:
        model: the classifier, with one output for each class.
        class_names: in the order of its outputs.
        formats: of the files.
        asked: the formats whose failure is the export's.
        targets: the devices that files are for.
        calibration: the training split, if there is one.
        proof: the test split.
        tolerance: the accuracy that a file may lose, 0..1.
        per_tensor_dense: see `convert`.
        out: the folder.
        options: all others.
        validation: the validation split, if there is one: by it the limits of quantized files' scores are set.
    """

    model: "keras.Model"
    class_names: list[str]
    formats: tuple[str, ...]
    asked: frozenset[str]
    targets: tuple[str, ...]
    calibration: "Split | None"
    proof: "Split"
    tolerance: float
    per_tensor_dense: bool
    out: Path
    options: ExportOptions
    validation: "Split | None" = None

    @property
    def name(self) -> str:
        """Start of the files' names."""
        return self.options.get("name", "model")

    @property
    def converted(self) -> Mapping[str, bytes]:
        """Format -> file that came with the call."""
        return self.options.get("converted") or {}

    @property
    def input_dtype(self) -> str:
        """Of the int8 file."""
        return self.options.get("input_dtype", "uint8")

    @property
    def rejection(self) -> Rejection | None:
        """The score of unknown items, if the files have one."""
        return self.options.get("rejection")

    def limit(self, kind: str, content: bytes) -> RejectionLimit | None:
        """From which such score on an item is "none of these" to a file; quantizing moves scores, so it has its own."""
        if self.rejection is None or kind in ("float32", "float16") or self.validation is None:
            return self.rejection.limit if self.rejection is not None else None
        inputs = self.network(kind).inputs
        opened = open_litert(content, inputs=inputs)
        batches = self.validation.batches(inputs.tensors, _BATCH)
        scores = [opened.predict_with_scores(arrays)[1] for arrays, _ in batches]
        return RejectionLimit.of(np.concatenate(scores), self.rejection.limit.acceptance)

    @cached_property
    def scored(self) -> "keras.Model":
        """The classifier with that score as its second output, or as it is."""
        return self.model if self.rejection is None else with_rejection(self.model, self.rejection)

    @cached_property
    def labels(self) -> Array:
        """Of the proof split."""
        return np.asarray(self.proof.labels)

    @cached_property
    def inputs(self) -> InputSpec:
        """What the model takes, prepared as in the proof."""
        return self._spec(self.model)

    def _spec(self, model: "keras.Model") -> InputSpec:
        from keras_transfer.models.graph import model_inputs

        return preparer_of(self.proof).spec(model_inputs(model))

    @cached_property
    def quantized_part(self) -> "Network":
        """What calibrated files hold; see `keras_transfer.modalities.Modality.quantized_part`."""
        part = open_modality(self.inputs.modality).quantized_part(self.model)
        if part is self.model:
            return Network(self.scored, self.inputs)
        return Network(part if self.rejection is None else with_rejection(part, self.rejection), self._spec(part))

    def reference(self, contents: Mapping[str, bytes]) -> bytes:
        """The float32 file of what calibrated files hold.

        Args:
            contents: format -> file, of those that are there.
        """
        own = contents.get("float32") if self.quantized_part.model is self.scored else None
        return own or self._quantized_part_in_float

    @cached_property
    def _quantized_part_in_float(self) -> bytes:
        model, inputs = self.quantized_part
        return convert(model, ["float32"], item=inputs.tensors)["float32"]

    def network(self, kind: str) -> "Network":
        """What a file of a format holds."""
        return self.quantized_part if kind in CALIBRATED else Network(self.scored, self.inputs)

    @cached_property
    def calibration_arrays(self) -> Arrays | None:
        """A stratified part of the training split, `[n, ...]`; None where no format is calibrated."""
        if self.calibration is None or set(CALIBRATED).isdisjoint(self.formats):
            return None
        count = min(self.options.get("calibration_items", CALIBRATION_ITEMS), len(self.calibration))
        return self.calibration.stratified(count, self.options.get("seed", 0)).arrays(
            self.quantized_part.inputs.tensors
        )

    @property
    def n_calibration_items(self) -> int:
        """How many items calibrate."""
        return len(as_tuple(self.calibration_arrays)[0]) if self.calibration_arrays is not None else 0


@dataclass(frozen=True)
class File:
    """One file to prove and write.

    Attributes:
        name: below the output folder.
        format: from which it was made.
        content: of the file.
        targets: that it is judged for.
        inputs: what it takes.
        limit: of its score of unknown items, if it has one.
    """

    name: str
    format: str
    content: bytes
    targets: tuple[str, ...]
    inputs: InputSpec
    limit: RejectionLimit | None = None


@dataclass(frozen=True)
class Answers:
    """The files and their answers on the proof split.

    Attributes:
        files: in the order in which they are listed.
        contents: format -> LiteRT or ONNX file as converted, without class names.
        expected: the Keras model's probabilities, `float32 [n, classes]`.
        answers: file name -> its probabilities.
        repair: what each remedy gave; empty where none was tried.
    """

    files: list[File]
    contents: dict[str, bytes]
    expected: Probabilities
    answers: dict[str, Probabilities]
    repair: list[RepairStep] = field(default_factory=list)


def inputs_by_name(files: Sequence[File]) -> dict[str, InputSpec]:
    """File name -> what it takes."""
    return {file.name: file.inputs for file in files}


def contents_by_name(files: Sequence[File]) -> dict[str, bytes]:
    """File name -> content."""
    return {file.name: file.content for file in files}
