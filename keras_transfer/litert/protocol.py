"""What the caller and the converting process say to each other: one line of JSON each."""

import json
from dataclasses import asdict, dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How quantized files are made.

    Attributes:
        input_dtype: type of the inputs and outputs of an int8 file: `"uint8"` or `"int8"`.
        per_tensor_dense: one scale for all weights of a dense layer.
        float_layers: layers whose inputs and outputs stay float.
        ranges: least and greatest value of each float input; None for bytes and other whole numbers.
    """

    input_dtype: str = "uint8"
    per_tensor_dense: bool = False
    float_layers: list[str] = field(default_factory=list)
    ranges: list[tuple[float, float] | None] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """Files to convert: `graphs` maps a format to the file of its frozen graph in `folder`.

    >>> Request.from_json(Request("folder", {"int8": "int8.pb"}, Options()).to_json()).graphs
    {'int8': 'int8.pb'}
    """

    folder: str
    graphs: dict[str, str]
    options: Options

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Request":
        """From what `to_json` gave."""
        fields = json.loads(line)
        return cls(fields["folder"], fields["graphs"], Options(**fields["options"]))


@dataclass(frozen=True)
class Answer:
    """`"ready"` once at the start; then `"done"`, or what is wrong with the input or is a fault, for each request."""

    kind: Literal["ready", "done", "input", "fault"]
    error: str = ""

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self))
