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
SIZE: Final = "image_size"
"""The key of a picture's height and width, which the image modality adds to what is known of a run."""
NEW_ITEMS: Final = "photographs"
"""The key of the place where new items lie, in what `shift` and `adapt` write."""
N_CALIBRATION_ITEMS: Final = "calibration_images"
"""The key of the number of items that calibrated a file."""


class Mark(TypedDict):
    """A piece of a text, and how much it spoke for an answer: -1..1, below 0 against it."""

    piece: str
    weight: float


class ItemView(TypedDict):
    """How an item is shown on a page: a picture, or a text of at most 200 characters; and what explains the answer.

    Attributes:
        picture: a `data:` address.
        heat: where on the picture the answer was seen, a `data:` address.
        sound: to listen to, a `data:` address.
        text: the beginning of a text.
        marks: that text in pieces.
    """

    picture: NotRequired[str]
    heat: NotRequired[str]
    sound: NotRequired[str]
    text: NotRequired[str]
    marks: NotRequired[list[Mark]]


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
    recall: float | None  # clinicians' sensitivity
    specificity: float | None  # the share of items of other classes that are not taken for this one
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
    # Where items are windows of longer files:
    files: NotRequired["FileScores"]
    # Of `evaluate` on items that the model was trained on:
    seen: NotRequired["Seen"]


class FileScores(TypedDict):
    """Figures by file: the probabilities of its windows averaged."""

    count: int
    accuracy: float
    macro_f1: float | None


class Seen(TypedDict):
    """How many of the evaluated items a model was trained and validated on, and its figures without them."""

    train: int
    val: int
    without: Metrics | None


class EventFigures(TypedDict):
    """Of events in long recordings, how many a model missed, and how many it heard that were none."""

    events: int
    misses: int
    missed: Share | None  # of the events; None where there are none
    false_accepts: int
    an_hour: Interval  # false accepts


class EventPoint(EventFigures):
    """The same at a threshold."""

    threshold: float


class EventScores(TypedDict):
    """What `evaluate --stream` finds, see `keras_transfer.evaluation.events`."""

    threshold: float
    hop: float  # seconds
    tolerance: float  # seconds
    nothing: list[str]  # classes that are no events
    recordings: int
    hours: float
    trained_on: list[str]  # recordings that the model was trained on
    all: EventFigures
    per_class: dict[str, EventFigures]
    per_group: dict[str, EventFigures]  # where groups are known; false accepts belong to none
    curve: list[EventPoint]


class PhaseSummary(TypedDict):
    """One phase of training."""

    name: str
    epochs: int
    seconds: float
    val_accuracy: float | None


class HistoryRow(TypedDict):
    """One epoch, a row of `history.csv`; a figure that is not known is missing."""

    epoch: int  # from 1; 0 before a training that compares with its start
    seconds: float
    loss: NotRequired[float]
    accuracy: NotRequired[float]
    val_loss: NotRequired[float]
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
    notes: NotRequired[list[str]]  # of some targets


class GateSummary(TypedDict):
    """The outcome of a file's gate."""

    outcome: Outcome
    ok: bool  # it did not fail
    asked: bool  # its failure is the export's
    sentence: str


class LayerError(TypedDict):
    """How far a layer's int8 output is from its float output."""

    layer: str
    operator: str
    error: float  # root mean square of the difference over that of the float output; 0 is exact
    added: float  # the part that the layer's inputs do not have yet


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
    ece: NotRequired[float]
    latency_ms: float
    targets: dict[str, TargetVerdict]
    gate: GateSummary
    test_label_accuracy: NotRequired[float]  # of single labels, where an item may have several
    rejection: NotRequired["FileRejection"]


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
    ece: NotRequired[float]  # expected calibration error, with one label per item
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


class FileDescription(TypedDict):
    """What a file is, apart from its answers."""

    sha256: str
    bytes: int
    zipped_bytes: int
    input: Mapping[str, object]  # a `Tensor`, and how its values are made; of several inputs the first
    other_inputs: NotRequired[list[Mapping[str, object]]]
    output: Tensor
    operators: dict[str, int]
    opset: NotRequired[int]  # of an ONNX file
    signatures: NotRequired[list[str]]  # of a SavedModel
    latency_ms: float
    latency: Latency
    targets: dict[str, TargetVerdict]
    versions: dict[str, str]


class TflmComparison(TypedDict):
    """How TFLM answers test items beside LiteRT's reference kernels: `tflm.json` of a microcontroller's folder."""

    tflite_micro: str | None
    arena_bytes: int | None
    images: int  # how many items, of whatever modality
    different: int
    largest_difference: int
    compared_with: str
    rounding_steps: int


class RepairStep(TypedDict):
    """What one remedy for an int8 file gave, on the validation split."""

    remedy: str
    bytes: int
    val_accuracy: float
    val_accuracy_drop: float
    val_agreement: float
    val_mean_abs_difference: float
    val_expected_drop: float
    val_bound: float
    calibration_images: NotRequired[int]  # how many items, of whatever modality
    float_layers: NotRequired[list[str]]
    seconds: NotRequired[float]
    test_accuracy: NotRequired[float]  # of the file as it was
    chosen: NotRequired[bool]


class RepairFields(TypedDict, total=False):
    """How an int8 file was repaired, where remedies were tried."""

    repair: list[RepairStep]


class RejectionFields(TypedDict, total=False):
    """What an export adds to a proof where its files have a score of unknown items."""

    rejection: "FileRejection"


class Proof(Comparison, FileDescription, RepairFields, RejectionFields):
    """What is known of an exported file: the JSON file beside it."""

    file: str
    format: str
    inputs: Mapping[str, object]  # see `keras_transfer.inputs.InputSpec.to_dict`
    calibration_images: int  # how many items, of whatever modality
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


class LayoutFields(TypedDict, total=False):
    """How a source is arranged, where its user says so: see `keras_transfer.data.listing.Layout`."""

    group_by: str
    root: str
    path_column: str
    label_column: str
    classes_at_depth: int
    text_column: str
    window: float
    hop: float
    background: str
    rate: float


class AdaptationFigures(TypedDict, total=False):
    """What a method of `adapt` says of its work."""

    images: int  # new items that it used
    epochs: Sequence[Mapping[str, object]]  # of training
    share: float  # of the way to the fine-tuned weights
    tried: Sequence[Mapping[str, object]]


class NewItemsSource(TypedDict):
    """Where the new items of an adaptation lie."""

    photographs: str | None  # None where there are none
    layout: NotRequired[LayoutFields]


class AuditionScore(TypedDict):
    """How often a linear probe on frozen features, or another simple method, is right."""

    name: str
    accuracy: float  # cross-validated; with several labels per item, of single labels
    error: float  # its standard error


class AuditionRow(AuditionScore):
    """One candidate of an audition."""

    backbone: str
    alpha: float | None
    weights: str
    parameters: int
    multiply_adds: int
    seconds: float


class FitRow(TypedDict):
    """What a network needs on a device; None where that was not worked out."""

    name: str
    flash: int | None  # bytes of the file and the code
    ram: int | None  # bytes of the arena and what a program has beside it
    latency: float | None  # milliseconds, estimated
    zip: int | None  # bytes of the file, zipped
    measured: bool  # on a converted file; else at least so much, from the graph alone
    why: str  # against it; empty where it fits


class Fitting(TypedDict):
    """What was ruled out before training, and why."""

    budget: str  # as `--fit` takes it
    device: str | None
    target: str
    considered: int  # networks, sizes and depths
    measured: int
    fits: list[FitRow]  # of each network the deepest that fits, at the largest size
    ruled_out: list[FitRow]  # the nearest first, of each network and limit one
    sentence: str
    latency_error: float | None  # by what share measurements were off such estimates at most
    seconds: float
    file: NotRequired[FitRow]  # what was exported


class Audition(TypedDict):
    """How a run came by its backbone, see `keras_transfer.audition`."""

    images: int  # training and validation items that it was held on
    folds: int
    chosen: str  # a candidate's name
    best: str
    candidates: list[AuditionRow]  # the most accurate first
    left_out: list[str]  # sentences
    rival: AuditionScore | None  # the simple method that needs no pretrained features
    random_split: float | None  # the chosen one's accuracy with groups on both sides, where there are groups
    sentences: list[str]
    seconds: float
    fit: NotRequired[Fitting]  # where a budget had to hold
    finals: NotRequired[list[AuditionScore]]  # of those that fit the first by probes, trained; the best first


class SearchNetwork(AuditionScore):
    """A network, size and depth among which a search chooses; its accuracy is that of a probe on frozen features."""

    parameters: int
    multiply_adds: int


class SearchTrial(TypedDict):
    """What a search tried at one place."""

    place: int
    rung: Literal["short", "whole"]
    network: str
    choices: dict[str, str | int | float]
    accuracy: float | None  # of the folds together; None where it was refused
    error: float | None  # its standard error
    by_fold: list[float]
    seconds: float
    why: str  # against it; else empty


class SearchEffect(TypedDict):
    """How much a choice moves the expected accuracy, against the mean of its field's values, in -1..1."""

    field: str
    value: str
    difference: float


class SearchRun(TypedDict):
    """A training on all training items that was judged by the test split, once."""

    run: str
    network: str
    choices: dict[str, str | int | float]
    cross_validated: float | None
    test: Interval
    file: float | None  # accuracy of the recommended file
    bytes: int | None
    gate: str | None


class Search(TypedDict):
    """`OUT/search.json`: what a search found, see `keras_transfer.search`."""

    format: Literal[1]
    data: str
    study: str
    images: int  # training and validation items
    folds: int  # that whole trainings are judged by
    short_folds: int
    networks: list[SearchNetwork]  # the most accurate first
    left_out: list[str]  # sentences
    fit: Fitting | None  # where a budget had to hold
    usual_choices: dict[str, str | int | float]
    trials: list[SearchTrial]
    front: list[int]  # places of whole trainings that no other beats in accuracy and multiply-adds
    effects: list[SearchEffect]
    optimism: float | None  # of the best one's cross-validated accuracy, estimated, in 0..1
    best: SearchRun
    usual: SearchRun | None  # None where the best is the usual one
    difference: Difference | None
    sentences: list[str]
    command: str
    seconds: float  # of this process


class Adaptation(AdaptationFigures, NewItemsSource):
    """What `adapt` did to a run."""

    method: str
    what: str
    base: str | None
    before: float | None  # accuracies on the new items, where they have labels
    after: float | None


class OtherClasses(TypedDict):
    """The test items of the classes that a run had before one was added, and how many are right."""

    images: int  # items, of whatever modality
    before: float
    after: float
    lost: int
    difference: Difference


class AddedClass(TypedDict):
    """What `add-class` did."""

    name: str
    examples: int
    recognized: int | None  # of the examples, by a fit without them; None of a single one
    others: NotRequired[OtherClasses]


class Acceptance(TypedDict):
    """The share of one's own items that is accepted, with the ends of its 95% interval, and on how many items."""

    share: float
    low: float
    high: float
    n: int


class RejectionFigures(TypedDict):
    """How well "none of these" is told, see `keras_transfer.evaluation.rejection`."""

    left_out: float | None  # AUROC for classes that were left out in turn; None for two classes
    permuted: float  # AUROC for features of which each comes from another item
    threshold: float  # scores above it are rejected
    promise: Acceptance  # from the validation split


class FileRejection(TypedDict):
    """How well a file tells items of unknown classes, beside the Keras model."""

    accepted: float  # share of the test items
    auroc: float  # for items made of pieces of several test items
    keras_auroc: float
    drop: float  # of that area
    drop_low: float  # the least that it is with 95% certainty, by resampling


class Rejecting(RejectionFigures):
    """How well a run's model tells items of unknown classes."""

    accepted: Share  # of the test items


class Result(TypedDict):
    """`RUN/result.json`. What a modality says of its inputs stands beside these fields, such as `geometry`."""

    backbone: str
    alpha: float | None
    weights: str
    image_size: NotRequired[list[int] | None]  # of pictures: height, width
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
    added: NotRequired[AddedClass]
    audition: NotRequired[Audition]  # where the backbone was left open
    temperature: NotRequired[float]  # by which the last layer was divided, see `Calibration`
    fitted_to_val: NotRequired[bool]  # whether the model has learned from validation items, too
    rejection: NotRequired[Rejecting]  # of `--reject`


class ClassIntervals(TypedDict):
    """The figures of one class with their intervals."""

    precision: Interval
    recall: Interval
    specificity: Interval
    f1: Interval
    auc_roc: Interval
    support: int


class Example(TypedDict):
    """One test item, and what the model says of it."""

    index: int
    file: str
    true: list[str]
    predicted: list[str]
    asked: str  # the class that a heat map asks about
    confidence: float
    of_truth: float | None  # the probability of the true class; None where it has none


class ConfusedPair(TypedDict):
    """A class that is often taken for another, with items where it happened."""

    true: str
    predicted: str
    count: int
    of: int  # items of the true class
    images: list[Example]


class Confusion(TypedDict):
    """The confusion matrix (rows: true classes, columns: predicted ones) and its largest errors."""

    matrix: list[list[int]]
    pairs: list[ConfusedPair]


class Bin(TypedDict):
    """Answers whose confidence lies between two edges."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class Reliability(TypedDict):
    """How far confidence is from accuracy."""

    ece: float
    log_loss: float
    bins: list[Bin]


class BeforeAfter(TypedDict):
    """Reliability without and with temperature scaling."""

    before: Reliability
    after: Reliability


class LearnedFrom(TypedDict):
    """What a run says of its calibration, see `Result`."""

    temperature: NotRequired[float]
    fitted_to_val: NotRequired[bool]


class Calibration(TypedDict):
    """`RUN/calibration.json`: temperatures, fitted on validation, and what both together do."""

    temperature: float  # still to be applied, see `predict --calibrated`
    folded: NotRequired[float]  # by which the model's last layer is divided already
    images: int  # validation items that it was fitted on
    val: NotRequired[BeforeAfter]  # unless the model has learned from them, too
    test: BeforeAfter


class BaselineRow(TypedDict):
    """A simpler way to an answer, on the same test split; figures are None where it could not be made."""

    name: str
    kind: str
    what: str
    seconds: float
    accuracy: Share | None
    macro_f1: float | None
    difference: Difference | None  # the run's accuracy less its own


class Segment(TypedDict):
    """The accuracy on one kind of items, see `keras_transfer.evaluation.segments.segments`."""

    column: str
    name: str
    images: int
    accuracy: float
    low: float
    high: float
    rest: float
    expected: float | None
    p: float
    adjusted_p: float
    worse: bool


class Segments(TypedDict):
    """All segments, and a sentence for each that is worse beyond chance."""

    rows: list[Segment]
    named: list[str]


class CorruptionRow(TypedDict):
    """The accuracy on items that were made worse in one way."""

    name: str
    words: str
    by_strength: list[float]
    mean: float
    drop: Difference  # at the middle strength


class Corruptions(TypedDict):
    """`RUN/corruptions.json`: the robustness table."""

    format: int
    images: int
    clean: Share
    rows: list[CorruptionRow]
    seconds: float


class CurvePoint(TypedDict):
    """The accuracy of models that were trained on so many items."""

    images: int
    mean: float
    spread: float | None  # the standard deviation over the draws
    least: float
    most: float
    draws: list[float]


class LearningCurve(TypedDict):
    """`RUN/learning_curve.json`."""

    format: int
    sizes: list[int]
    draws: int
    images: int  # items that could be drawn from
    ways: dict[str, list[CurvePoint]]
    names: dict[str, str]
    meeting: float | None  # items from which training from scratch is as good
    gain: Difference  # of the last doubling
    forecast: float | None  # the accuracy to expect of twice as many items
    unfreezing: Difference | None  # what fine-tuning gained over a head on frozen features
    sentences: list[str]
    seconds: float


class StageSimilarity(TypedDict):
    """How alike a stage's features are before and after fine-tuning: linear CKA, 0..1."""

    stage: str
    cka: float


class Verdict(TypedDict):
    """A judgement in words."""

    outcome: str
    title: str
    sentences: list[str]
    remarks: list[str]


class NextStep(TypedDict):
    """What to do now, and its command."""

    why: str
    command: str


class Epoch(TypedDict):
    """One epoch of a phase; None where the history lacks a figure."""

    phase: str
    epoch: int
    seconds: float | None
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None


class ReportSeconds(TypedDict):
    """How long the run and its report took."""

    run: float
    report: float


class ModelFigures(TypedDict):
    """What a report says of the trained model itself."""

    metrics: dict[str, Interval]
    per_class: dict[str, ClassIntervals]
    confusion: Confusion | None  # None where an item may have several labels
    mistakes: list[Example]
    least_confident: list[Example]
    calibration: Calibration
    segments: Segments
    changed: list[StageSimilarity]


class Noun(TypedDict):
    """What the items are called, for sentences."""

    one: str
    many: str


class Report(ModelFigures):
    """`RUN/report.json`. What a modality says of its inputs stands beside: `geometry`, of pictures `image_size`."""

    format: int
    run: str
    data: str
    noun: Noun
    backbone: str
    alpha: float | None
    weights: str
    classes: list[str]
    strategy: str
    kept: str
    inputs: Mapping[str, object] | None
    input: Mapping[str, object]  # `task`, `words` and `sentence`: the inputs in words
    multi_label: bool
    images: SplitSizes
    seconds: ReportSeconds
    phases: list[PhaseSummary]
    audition: Audition | None
    rejection: Rejecting | None
    steps: list[Step]
    files: Sequence[Artifact]
    recommended: str | None
    gate: str | None
    gate_notes: list[str]
    warnings: list[str]
    recipe: Mapping[str, object]
    baselines: list[BaselineRow]
    corruptions: Corruptions | None
    learning_curve: LearningCurve | None
    verdict: Verdict
    next: list[NextStep]
    history: list[Epoch]


class InspectedItem(TypedDict):
    """An item that an inspection shows."""

    index: int
    file: str
    labels: list[str]
    split: str
    problem: str


class Suspect(InspectedItem):
    """An item whose label is probably wrong."""

    suggested: list[str]
    suspicion: float
    probability: float


class Outlier(InspectedItem):
    """An item unlike all others."""

    deviations: float


class BrokenFile(TypedDict):
    """A file that cannot be used."""

    file: str
    problem: str


class Group(TypedDict):
    """Items that are copies of one another, or nearly."""

    count: int
    exact: bool
    leak: bool
    clash: bool
    rank: int
    images: list[InspectedItem]


class StageShift(TypedDict):
    """How far the inputs of a stage's BatchNorm lie from what it remembers: 0 the same, 1 nothing in common."""

    stage: str
    distance: float


class FoldMean(TypedDict):
    """A figure's mean over folds, with its 95% interval and the standard deviation of the folds."""

    value: float
    spread: float
    low: float
    high: float


class CrossValidatedRecipe(TypedDict):
    """How good a recipe is."""

    name: str
    strategy: str
    backbone: str
    geometry: NotRequired[str]  # of pictures, the mode
    accuracy: FoldMean
    macro_f1: FoldMean
    by_fold: list[float]  # accuracies
    seconds: float


class RecipeComparison(TypedDict):
    """A recipe against the first one: its accuracy less the first one's, by the corrected resampled t-test."""

    name: str
    difference: float
    spread: float
    low: float
    high: float
    p: float
    adjusted_p: float  # Holm's, over all comparisons


class CrossValidation(TypedDict):
    """What `keras_transfer.cross_validate` returns."""

    format: int
    data: str
    images: int  # items that the folds are made of
    classes: list[str]
    folds: int
    repeats: int
    held_out: int  # test items left alone
    train: int  # items of a fold to train on, validation among them
    part: int  # items of a fold to score on
    recipes: list[CrossValidatedRecipe]
    comparisons: list[RecipeComparison]


class RateSweep(TypedDict):
    """The learning-rate range test of one phase."""

    phase: str
    planned: float
    suggested: float
    rates: list[float]
    losses: list[float]


class OperatorTime(TypedDict):
    """How long one operator of a file takes."""

    op: str
    ms: float
    share: float


class OperatorTimes(TypedDict, total=False):
    """The operators of a timed file, where they were asked for."""

    operators: list[OperatorTime] | None  # None where they cannot be timed


class Timing(OperatorTimes):
    """A file, timed in turns with others, see `keras_transfer.exporters.benchmark`."""

    file: str
    bytes: int
    threads: int
    delegate: str
    median_ms: float
    p95_ms: float
    runs: int
    warm_up: int
    load_ms: float
    first_ms: float  # the first run, slower than all others
    peak_mb: float  # of the whole process
    added_mb: float  # what the file and its runs added to it
    ratio: float
    machine: str


class Sides(TypedDict):
    """The shorter sides of the pictures in use, in pixels; None where there are none."""

    smallest: int | None
    median: float | None
    largest: int | None


class Inspection(TypedDict):
    """`OUT/inspection.json`."""

    format: int
    data: str
    backbone: str
    weights: str
    multi_label: bool
    classes: dict[str, dict[str, int]]  # items by class and split
    images: dict[str, int]  # items by split
    sides: NotRequired[Sides]  # of pictures
    broken: list[BrokenFile]
    groups: list[Group]
    leaks: int
    clashes: int
    warnings: list[str]
    probe_accuracy: float | None
    label_error_rate: float
    suspects: list[Suspect]
    suspect_count: int
    outliers: list[Outlier]
    stages: Sequence[StageShift]


class SplitCounts(TypedDict):
    """How many items `shift` compares."""

    new: int
    held_back: int


class TwoSampleResult(TypedDict):
    """How well a classifier sorts items into new and old."""

    accuracy: float
    images: int  # how many items it was asked about
    p_value: float


class TwoSample(TwoSampleResult):
    """The same; and which of the new items are the most easily told, by their indices."""

    typical: list[int]


class PropertyDifference(TypedDict):
    """One property in which new items may differ from those of a run."""

    property: str
    title: str  # its name and unit, for the page
    ours: float  # the median of the run's items
    theirs: float  # the median of the new ones
    size: float  # Cohen's d: the difference of the means in pooled standard deviations
    p_value: float  # of no difference
    words: str  # the difference in words; empty where it is small or may be chance
    augmentation: dict[str, float]  # settings that make training items look so; empty where none do


class Discrepancy(TypedDict):
    """Maximum mean discrepancy of two sets of features, see `keras_transfer.evaluation.shift.mmd`."""

    mmd2: float
    distance: float
    p_value: float


class StageDistances(TypedDict):
    """How far a stage's inputs lie from what its BatchNorm remembers."""

    stage: str
    new: float
    own: float


class ShiftFigures(TypedDict):
    """What a network makes of new items, beside those of its run."""

    two_sample: TwoSampleResult
    mmd: Discrepancy
    stages: list[StageDistances]
    own_accuracy: float
    expected_accuracy: float | None
    accuracy: Share | None  # on the new items, where they have labels
    differences: list[PropertyDifference]


class ShiftVerdict(TypedDict):
    """A judgement on new items in words."""

    outcome: Literal["same", "some", "far"]
    title: str
    sentences: list[str]


class Shift(ShiftFigures):
    """`OUT/shift.json`."""

    format: int
    run: str
    photographs: str  # where the new items lie
    images: SplitCounts
    problems: list[str]
    verdict: ShiftVerdict
    next: list[NextStep]


class Forgotten(TypedDict):
    """Accuracies of linear probes on other items, before and after fine-tuning."""

    data: str
    images: int
    before: float
    after: float
    difference: Difference


class EmbeddingMap(TypedDict):
    """How a map of items was made."""

    method: str
    images: int


class Sight(TypedDict):
    """`RUN/see.json`: what a network sees."""

    format: int
    run: str
    backbone: str
    images: int
    followed: list[str]  # titles of the items that are followed through the stages
    map: NotRequired[EmbeddingMap]
    cka: list[StageSimilarity]
    held_back: Forgotten | None


Cost = Literal["bytes", "zipped_bytes", "latency_ms"]


class ComparedFile(TypedDict):
    """A file of one of several runs, see `keras_transfer.jobs.compare`."""

    run: str
    name: str
    file: str
    path: str
    format: str
    steps: list[str]
    images: int
    accuracy: Share
    bytes: int
    zipped_bytes: int
    latency_ms: float
    ratio: float
    front: list[Cost]  # the costs by which no other file is both cheaper and at least as accurate


class RunComparison(TypedDict):
    """`OUT/comparison.json`."""

    images: int
    machine: str
    files: list[ComparedFile]


def json_schema() -> dict[str, object]:
    """The JSON Schema of `RUN/result.json`.

    >>> json_schema()["title"]
    'Result'
    """
    from pydantic import TypeAdapter

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TypeAdapter(Result).json_schema()}


class DriftTest(TypedDict):
    """One thing that may have changed, see `keras_transfer.evaluation.drift.drift_tests`."""

    name: str
    title: str
    reference: float | None  # a typical value of the run's own items
    window: float | None  # of the new ones
    p_value: float
    adjusted: float  # for how many tests there are (Holm)
    alarm: bool
    words: str


class EstimatedAccuracy(Share):
    """Accuracy without labels; `trust` is whether what can be checked of its assumption holds, None if nothing can."""

    trust: bool | None


class MonitorLook(TypedDict):
    """One look at a window of a log."""

    end: int  # how many items the log had
    items: int  # in the window
    since: str | None  # when the first of them was seen, ISO 8601
    until: str | None
    tests: list[DriftTest]
    estimate: EstimatedAccuracy | None  # None with several labels per item
    accuracy: Share | None  # of the items whose class somebody told
    alert: bool


class ClassShare(TypedDict):
    """How often a class is predicted."""

    name: str
    reference: float
    window: float


class Monitor(TypedDict):
    """`OUT/monitor.json`."""

    format: int
    run: str
    file: str  # of the run
    model: str  # its hash, as logs have it
    logs: list[str]
    reference_items: int
    own_accuracy: float | None
    items: int
    skipped: int  # lines that make no sense
    others: int  # predictions of other models
    window: int
    every: int
    alpha: float  # of all looks together
    looks_planned: int
    looks: list[MonitorLook]  # the oldest first
    classes: list[ClassShare]  # of the last look
    alert: bool
    title: str
    sentences: list[str]
    next: list[NextStep]
