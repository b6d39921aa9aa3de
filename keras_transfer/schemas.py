"""What stands in the JSON files of a run and of an exported file: one type for each record, with named fields.

The records are plain dictionaries, as `json` reads and writes them. `docs/result.schema.json` is the JSON Schema of
`RUN/result.json`, and `json_schema` makes it from the types here. Fields are added, never renamed.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NotRequired

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

Outcome = Literal["pass", "warn", "fail"]
N_ITEMS: Final = "images"
"""The key of a number of items: files of every modality have the name that it got when there were only images."""
N_CALIBRATION_ITEMS: Final = "calibration_images"
"""The key of the number of items that calibrated a file."""


class Interval(TypedDict):
    """A figure with the ends of its 95% interval; None where there is none."""

    value: float | None
    low: float | None
    high: float | None


class Share(TypedDict):
    """A share of the items, in 0..1, with the ends of its 95% interval."""

    value: float
    low: float
    high: float


class Difference(TypedDict):
    """A difference of two shares, in -1..1, with the ends of its 95% interval."""

    value: float
    low: float
    high: float
    p: NotRequired[float]  # of the test that there is none


class ClassMetrics(TypedDict):
    """The figures of one class; None where a figure is not defined."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    auc_roc: float | None


class Metrics(TypedDict):
    """The figures of a classifier on some items, see `keras_transfer.evaluation.metrics`."""

    images: int  # how many items, of whatever modality
    accuracy: float  # with several labels per item: all of them right
    macro_precision: float | None
    macro_f1: float | None
    auc_roc: float | None
    log_loss: float
    per_class: dict[str, ClassMetrics]
    # With one label per item:
    balanced_accuracy: NotRequired[float | None]
    top_3: NotRequired[float]
    top_5: NotRequired[float]
    ece: NotRequired[float]
    confusion_matrix: NotRequired[list[list[int]]]
    # With several:
    label_accuracy: NotRequired[float]
    macro_recall: NotRequired[float | None]
    micro_f1: NotRequired[float | None]
    mean_average_precision: NotRequired[float | None]
    # Of `evaluate` on items that the model was trained on:
    seen: NotRequired["Seen"]


class Seen(TypedDict):
    """How many of the evaluated items a model was trained and validated on, and its figures without them."""

    train: int
    val: int
    without: Metrics | None


class PhaseSummary(TypedDict):
    """One phase of training."""

    name: str
    epochs: int
    seconds: float
    val_accuracy: float | None


class HistoryRow(TypedDict):
    """One epoch, a row of `history.csv`."""

    epoch: int
    seconds: float
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float


class CpuOperator(TypedDict):
    """An operator that a target leaves to the CPU, or refuses."""

    index: int
    op: str
    why: str


class TargetVerdict(TypedDict):
    """What a target says of a file; a target may add figures of its own."""

    target: str
    ok: bool | None  # None: its tool is missing
    operators: int
    mapped: int | None
    cpu: list[CpuOperator]
    why: str


class GateSummary(TypedDict):
    """The outcome of a file's gate."""

    outcome: Outcome
    ok: bool  # it did not fail
    asked: bool  # its failure is the export's
    sentence: str


class LayerError(TypedDict):
    """How far a layer's int8 output is from its float output."""

    layer: str
    error: float


class Gate(GateSummary):
    """A file's gate with its figures."""

    tolerance: float
    p: float
    layers: list[LayerError]
    advice: str


class Artifact(TypedDict):
    """One exported file, as `result.json` lists it; its whole proof is the JSON file beside it."""

    path: str  # relative to the folder that holds the export folder
    format: str
    bytes: int
    zipped_bytes: int
    test_accuracy: float
    agreement: float
    accuracy_drop: float
    latency_ms: float
    targets: dict[str, TargetVerdict]
    gate: GateSummary
    test_label_accuracy: NotRequired[float]  # of single labels, where an item may have several


class Comparison(TypedDict):
    """A file's answers beside those of the Keras model."""

    images: int  # how many items, of whatever modality
    test_accuracy: float
    keras_accuracy: float
    accuracy_drop: float
    lost: int  # items that only the Keras model answers right
    gained: int  # items that only the file answers right
    agreement: float
    mean_abs_difference: float
    mean_max_difference: float
    class_drops: dict[str, float]
    test_label_accuracy: NotRequired[float]
    keras_label_accuracy: NotRequired[float]


class Tensor(TypedDict):
    """An input or output of a file. An input says beside it how its values are made."""

    name: str
    shape: list[int]
    dtype: str
    scale: float | None
    zero_point: int | None


class Latency(TypedDict):
    """Single inferences of a file, timed on the machine that exported it."""

    median_ms: float
    p95_ms: float
    runs: int
    warm_up: int
    threads: int
    runtime: str
    machine: str


class Proof(Comparison):
    """What is known of an exported file: the JSON file beside it."""

    file: str
    format: str
    sha256: str
    bytes: int
    zipped_bytes: int
    input: Mapping[str, object]  # a `Tensor`, and how its values are made
    output: Tensor
    operators: dict[str, int]
    opset: NotRequired[int]  # of an ONNX file
    latency_ms: float
    latency: Latency
    targets: dict[str, TargetVerdict]
    versions: dict[str, str]
    inputs: Mapping[str, object]  # see `keras_transfer.inputs.InputSpec.to_dict`
    calibration_images: int  # how many items, of whatever modality
    repair: NotRequired[list[Mapping[str, object]]]
    gate: Gate


class Step(TypedDict):
    """One step of a compression, or the model that it began with."""

    name: str
    what: str
    accuracy: float
    difference: Difference | None  # to the step before
    since_base: Difference | None
    parameters: int
    multiply_adds: int
    zeros: float
    seconds: NotRequired[float]
    val_accuracy: NotRequired[float | None]


class SplitSizes(TypedDict):
    """How many items each split has."""

    train: int
    val: int
    test: int


class Adaptation(TypedDict):
    """What `adapt` did to a run."""

    method: str
    what: str
    base: str | None
    before: float | None  # accuracies on the new items, where they have labels
    after: float | None
    photographs: str | None  # where the new items lie
    layout: NotRequired[dict[str, str | int]]


class Result(TypedDict):
    """`RUN/result.json`. What a modality says of its inputs stands beside these fields, such as `geometry`."""

    backbone: str
    alpha: float | None
    weights: str
    image_size: list[int] | None
    inputs: Mapping[str, object]  # see `keras_transfer.inputs.InputSpec.to_dict`
    classes: list[str]
    strategy: str
    kept: str
    views: int
    phases: list[PhaseSummary]
    images: SplitSizes  # items, of whatever modality
    wall_seconds: float
    seconds: float
    parts: dict[str, float]
    test: Metrics
    artifacts: Sequence[Artifact]
    recommended: str | None
    gate: str | None  # what failed, in sentences
    gate_notes: list[str]
    warnings: list[str]
    base: NotRequired[str | None]  # the run that this one was made from
    steps: NotRequired[list[Step]]
    adapted: NotRequired[Adaptation]


class Segment(TypedDict):
    """The accuracy on the items of one kind, against all others: see `keras_transfer.evaluation.segments`."""

    column: str
    name: str
    images: int  # how many items, of whatever modality
    accuracy: float
    low: float
    high: float
    rest: float  # the accuracy on the others
    expected: float | None  # of its mix of classes
    p: float
    adjusted_p: float
    worse: bool


class CurvePoint(TypedDict):
    """The accuracy after training on so many items: see `keras_transfer.evaluation.learning_curve`."""

    images: int  # how many items, of whatever modality
    mean: float
    spread: float | None
    least: float
    most: float
    draws: list[float]


class TwoSample(TypedDict):
    """How well a classifier sorts items into new and old: see `keras_transfer.evaluation.shift`."""

    accuracy: float
    images: int  # how many items it was asked about
    p_value: float
    typical: list[int]


class Verdict(TypedDict):
    """What figures say, in words: see `keras_transfer.evaluation.verdict`."""

    outcome: str
    title: str
    sentences: list[str]
    remarks: list[str]


def json_schema() -> dict[str, object]:
    """The JSON Schema of `RUN/result.json`.

    >>> json_schema()["title"]
    'Result'
    """
    from pydantic import TypeAdapter

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Result).json_schema()}
