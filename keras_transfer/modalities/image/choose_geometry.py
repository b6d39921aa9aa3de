"""Which geometry suits some photographs: judged by a frozen backbone, before anything is trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Literal

import keras
import numpy as np

from keras_transfer.data import Dataset, Split
from keras_transfer.data.folds import item_groups, joined, stratified_folds
from keras_transfer.data.split import stratified_order
from keras_transfer.decisions import correct
from keras_transfer.errors import InputError
from keras_transfer.geometry import MODES, Geometry
from keras_transfer.inputs import Array, Json
from keras_transfer.modalities.image.examine import image_size
from keras_transfer.modalities.image.preparer import ImagePreparer
from keras_transfer.recipe import Phase
from keras_transfer.training.features import compute_features
from keras_transfer.training.phases import phase_tensors

DEFAULT = MODES["crop"]
"""The default where no other is better: jobs on photographs end better with it where the probe sees no
difference (`benchmarks/geometry_runs.py`)."""
SURE = 1.645
"""Standard errors by which another must be better: one-sided 95%."""
_LEAST, _MOST, _SHARE = 300, 1500, 4  # photographs that are examined: one in so many of all
_TOO_FEW = 40
_FOLDS = 5
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
_SHARPNESS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)  # by which scores become log probabilities
_SQUARE = 1.05  # aspect ratios up to this, relative to the input's, leave no room for bars
Choice = Literal["recipe", "before", "size", "default", "validation"]


@dataclass(frozen=True)
class Candidate:
    """How well a geometry did: a linear probe on frozen features, cross-validated.

    Attributes:
        geometry: it.
        images: number of photographs it was judged on; fewer than others where it was dropped early.
        accuracy: share that the probe got right (all labels, where there are several).
        loss: mean log loss, or squared error where there are several labels.
        better: by how many standard errors its loss is below that of `DEFAULT` on the same photographs.
    """

    geometry: Geometry
    images: int
    accuracy: float
    loss: float
    better: float = 0.0


@dataclass(frozen=True)
class Chosen:
    """The geometry that was chosen, and why.

    Attributes:
        geometry: it.
        chosen_by: `"recipe"`: the recipe has it. `"before"`: the run is older than the choice. `"size"`: all pictures
            have the input's size. `"default"`: there are too few photographs, or no pretrained features to judge by.
            `"validation"`: by the candidates.
        candidates: those that were judged, `DEFAULT` first.
    """

    geometry: Geometry
    chosen_by: Choice
    candidates: list[Candidate] = field(default_factory=list)

    def to_dict(self) -> dict[str, Json]:
        """JSON-ready: the geometry's fields, `words`, `chosen_by`, `candidates` and `sentence`."""
        rows: list[dict[str, Json]] = [{**asdict(row), "geometry": row.geometry.to_dict()} for row in self.candidates]
        about: dict[str, Json] = {"words": self.geometry.describe(), "chosen_by": self.chosen_by, "candidates": rows}
        return {**self.geometry.to_dict(), **about, "sentence": self.sentence()}

    def sentence(self) -> str:
        """What was chosen and by how much.

        >>> Chosen(MODES["crop"], "recipe").sentence()
        "Pictures: crop (the centred window of the input's shape, 87.5% of the largest), as the recipe has it."
        """
        what = f"Pictures: {self.geometry.mode} ({self.geometry.describe().partition(';')[0]})"
        if self.chosen_by != "validation":
            return f"{what}, {_WHY[self.chosen_by]}."
        default, *others = self.candidates
        compared = "; ".join(_compared(row, default) for row in others)
        if self.geometry == default.geometry:
            compared += f": no other is better by over {SURE:g} standard errors"
        return f"{what}, by a linear probe on {default.images} training and validation photographs: {compared}."


_WHY = {
    "recipe": "as the recipe has it",
    "before": "as this run was begun before there was a choice",
    "size": "as all have the size of the input already",
    "default": "as ImageNet networks are evaluated: there was nothing to judge by",
}


def _compared(row: Candidate, default: Candidate) -> str:
    """A candidate against the default, on as many photographs as it was judged on."""
    way = "better" if row.better > 0 else "worse"
    return (
        f"{row.geometry.mode} reads {row.accuracy:.1%}, {default.geometry.mode} {default.accuracy:.1%} "
        f"(loss {way} by {abs(row.better):.1f} standard errors)"
    )


def choose_geometry(
    model: keras.Model,
    data: Dataset,
    phases: Sequence[Phase],
    *,
    pretrained: bool = True,
    views: int = 1,
    seed: int = 0,
) -> Chosen:
    """Tries crop, squash and letterbox on training and validation photographs; `data.test` is not touched.

    Each is judged by the log loss of a ridge classifier on the frozen backbone's features, cross-validated with like
    photographs in one fold. Another than `DEFAULT` is chosen where it is better by `SURE` standard errors of the paired
    differences. One in four photographs is looked at, 300 to 1,500, the validation ones first: what is no better on the
    first part is not looked at on the others. Features of the validation photographs serve the training that follows.

    Args:
        model: the classifier that will train, with its pretrained backbone.
        data: from `load_images`.
        phases: how it will train, so that features are computed as the training wants them.
        pretrained: whether its weights know anything yet.
        views: views an image that the training will compute.
        seed: of the choice of photographs and of the folds.

    Returns:
        The choice, with the figures of each candidate.
    """
    rivals = _rivals(data, model.input_shape[1:3])
    if not rivals:
        return Chosen(MODES["squash"], "size")  # as none was cropped, none is to be from now on
    tensors = [tensor for tensor in phase_tensors(model, phases) if tensor is not model.input]
    parts = _parts(data, seed)
    if not pretrained or not tensors or sum(map(len, parts)) < _TOO_FEW:
        return Chosen(DEFAULT, "default")
    expected = sum(map(len, parts)) + views * len(data.train)
    judged: dict[str, tuple[Array, Array]] = {}
    rows: dict[str, list[Array]] = {geometry.mode: [] for geometry in (DEFAULT, *rivals)}
    alive = [DEFAULT, *rivals]
    candidates: dict[str, Candidate] = {}
    for count in range(1, len(parts) + 1):
        seen = joined(parts[:count])
        for geometry in alive:
            part = parts[count - 1].prepared_by(ImagePreparer(geometry))
            rows[geometry.mode].append(_features(model, tensors, part, expected))
        try:
            folds = stratified_folds(seen.labels, item_groups(data, seen), _FOLDS, seed)
        except InputError:  # a part in which some class or group of like pictures is too large
            continue
        for geometry in alive:
            judged[geometry.mode] = probe_losses(np.concatenate(rows[geometry.mode]), seen.labels, folds)
            candidates[geometry.mode] = _candidate(geometry, judged, len(seen))
        alive = [
            DEFAULT,
            *(geometry for geometry in rivals if geometry in alive and candidates[geometry.mode].better > 0),
        ]
        if len(alive) == 1:
            break
    return _decide(candidates)


def _decide(candidates: Mapping[str, Candidate]) -> Chosen:
    if not candidates:
        return Chosen(DEFAULT, "default")
    best = max(candidates.values(), key=lambda row: row.better)
    return Chosen(best.geometry if best.better > SURE else DEFAULT, "validation", list(candidates.values()))


def _candidate(geometry: Geometry, judged: Mapping[str, tuple[Array, Array]], images: int) -> Candidate:
    losses, right = judged[geometry.mode]
    gains = judged[DEFAULT.mode][0] - losses
    error = float(gains.std(ddof=1)) / sqrt(images)
    better = float(gains.mean()) / error if error > 0 else 0.0
    return Candidate(geometry, images, float(right.mean()), float(losses.mean()), better)


def _rivals(data: Dataset, size: tuple[int, int]) -> list[Geometry]:
    """The geometries that could differ from `DEFAULT` on these photographs."""
    sides = [image_size(record) for record in data.records if record.split in ("train", "val")]
    if all(pair == (size[1], size[0]) for pair in sides):
        return []
    ratios = np.array([width * size[0] / (height * size[1]) for width, height in sides if width and height])
    stretched = np.maximum(ratios, 1 / ratios)
    return [MODES["squash"], *([MODES["letterbox"]] if np.median(stretched) > _SQUARE else [])]


def _parts(data: Dataset, seed: int) -> list[Split]:
    """The photographs that are examined, in two parts; the first are those of validation, if they are not too many."""
    count = int(np.clip((len(data.train) + len(data.val)) // _SHARE, _LEAST, _MOST))
    if len(data.val) >= count:
        order = stratified_order(data.val.labels, np.random.default_rng(seed))
        return [data.val.take(order[: count // 2]), data.val.take(order[count // 2 : count])]
    rest = count - len(data.val)
    return [split for split in (data.val, data.train.stratified(rest, seed) if len(data.train) else None) if split]


def _features(model: keras.Model, tensors: Sequence[keras.KerasTensor], split: Split, expected: int) -> Array:
    """What the first of `tensors` holds of each photograph, averaged over a map: float64 `[n, features]`."""
    entries = compute_features(model, tensors, split, expected=expected)
    try:
        values = np.asarray(entries[0]["values"], np.float64)
    finally:
        for arrays in entries:
            arrays.close()
    return values.mean(axis=tuple(range(1, values.ndim - 1))) if values.ndim > 2 else values


def probe_losses(rows: Array, labels: Array, folds: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Each photograph's loss under a ridge classifier that was fitted on the other folds, and whether it was right.

    The penalty, and the factor by which scores become logits, are the best for all of them.

    Args:
        rows: features, float `[n, features]`.
        labels: int `[n]` or 0/1 `[n, classes]`.
        folds: from `stratified_folds`.

    Returns:
        Losses, float64 `[n]` (log loss, or squared error with several labels), and bool `[n]`.

    >>> random = np.random.default_rng(0)
    >>> labels = np.arange(60) % 2
    >>> rows = random.normal(size=(60, 5)) + 3 * labels[:, None]
    >>> losses, right = probe_losses(rows, labels, stratified_folds(labels, np.arange(60), 3))
    >>> bool(right.mean() > 0.9), losses.shape
    (True, (60,))
    """
    several = labels.ndim == 2
    targets = labels.astype(np.float64) if several else np.eye(int(labels.max()) + 1)[labels]
    best: tuple[Array, Array] | None = None
    for scores in _ridge_scores(rows, targets, folds):
        if several:
            candidates = [((scores - targets) ** 2).sum(axis=1)]
        else:
            candidates = [_log_loss(scores * factor, labels) for factor in _SHARPNESS]
        right = correct(labels, scores)
        losses = min(candidates, key=lambda losses: float(losses.mean()))
        if best is None or losses.mean() < best[0].mean():
            best = losses, right
    assert best is not None
    return best


def _ridge_scores(rows: Array, targets: Array, folds: Sequence[tuple[Array, Array]]) -> Iterator[Array]:
    """For each penalty the out-of-fold scores `[n, classes]`, by one eigendecomposition a fold."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    scores = np.zeros((len(_PENALTIES), *targets.shape))
    with threadpool_limits(1, user_api="blas"):
        for rest, part in folds:
            mean, spread = rows[rest].mean(axis=0), rows[rest].std(axis=0) + 1e-6
            known, asked = (rows[rest] - mean) / spread, (rows[part] - mean) / spread
            values, vectors = np.linalg.eigh(known @ known.T / known.shape[1])
            middle = targets[rest].mean(axis=0)
            projected = vectors.T @ (targets[rest] - middle)
            across = asked @ known.T / known.shape[1] @ vectors
            for number, penalty in enumerate(_PENALTIES):
                shrunk = projected / (np.maximum(values, 0) + penalty)[:, None]
                scores[number][part] = middle + across @ shrunk
    yield from scores


def _log_loss(logits: Array, labels: Array) -> Array:
    logits = logits - logits.max(axis=1, keepdims=True)
    losses: Array = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return losses
