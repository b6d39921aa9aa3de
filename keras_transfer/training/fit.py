"""Training as a whole: the head to convergence on frozen features, then the top of the backbone, never ending worse."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer.cache import Arrays
from keras_transfer.data import Augmenter, ImageData, Split, build_augmenter, cached_pixels
from keras_transfer.errors import InputError
from keras_transfer.models import boundary, freeze_backbone, stages, unfreeze_top
from keras_transfer.progress import say
from keras_transfer.recipe import Phase, Strategy
from keras_transfer.training.features import compute_features, one_hot
from keras_transfer.training.feed import Samples
from keras_transfer.training.phases import PhaseResult, train_phase
from keras_transfer.training.plan import make_phases, resolve_strategy


@dataclass
class History:
    """What `fit` did.

    Args:
        phases: the phases' figures, in order.
        strategy: the strategy, never `"auto"`.
        views: cached views an image.
        kept: the name of the phase whose weights the model has.
        remarks: what a person should know, such as a rolled-back phase.
    """

    phases: list[PhaseResult]
    strategy: Strategy
    views: int
    kept: str
    remarks: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row an epoch over all phases."""
        return [{"phase": phase.name, **row} for phase in self.phases for row in phase.rows]


def fit(
    model: keras.Model,
    data: ImageData,
    *,
    strategy: Strategy = "auto",
    phases: Sequence[Phase] | None = None,
    gradual: bool = False,
    pretrained: bool = True,
    augmentation: str | dict[str, Any] = "auto",
    mix: str | None = None,
    views: int | None = None,
    label_smoothing: float = 0.0,
    class_weights: bool = True,
    seed: int = 0,
    checkpoints: Path | None = None,
    on_epoch: Callable[[str, dict[str, Any]], None] | None = None,
) -> History:
    """Trains a classifier on `data.train` with early stopping on `data.val`; `data.test` is not touched.

    What is frozen is computed once for every image and view and kept in a cache on disk; each phase then trains only
    the layers above it. A phase that does not beat the one before it on validation is rolled back.

    Args:
        model: from `build_classifier`, or any functional classifier on pixels in 0..255. Trained in place.
        data: from `load_images`.
        strategy: `"feature-extraction"` (head only), `"fine-tuning"` (head, then the top stage), `"full"` (head, then
            everything), `"scratch"` (everything at once), or `"auto"`: one of the first three by the number of images.
        phases: the phases themselves, instead of a strategy's.
        gradual: unfreeze one stage after another.
        pretrained: whether the backbone's weights are pretrained; `"auto"` trains from scratch where they are not.
        augmentation: see `build_augmenter`.
        mix: `"mixup"`, `"cutmix"` or None.
        views: augmented views an image that are computed once and drawn from in each epoch; None chooses.
        label_smoothing: share of each target spread over all classes, in [0, 1).
        class_weights: weigh classes inversely to their frequency where they are uneven.
        seed: of orders, views and dropout.
        checkpoints: a folder in which every epoch is saved; a fit with the same arguments goes on from there.
        on_epoch: called with the phase's name and each epoch's figures.

    Returns:
        The figures of all phases.

    Raises:
        InputError: `data` does not fit the model, has no validation images, or the loss is not a number.
    """
    _check(model, data)
    classes = len(data.class_names)
    concrete = resolve_strategy(strategy, len(data.train), classes, pretrained)
    if phases is None:
        phases = make_phases(concrete, stage_count=len(stages(model)), gradual=gradual)
    augmenter = build_augmenter(augmentation, images_per_class=len(data.train) / classes, mix=mix)
    views = (choose_views(augmenter, len(data.train))) if views is None else views
    if not augmenter.layers and not augmenter.mixes:
        views = 1
    keras.utils.set_random_seed(seed)
    weights = _sample_weights(data) if class_weights else None

    tensors = _tensors(model, phases)
    cached = [tensor for tensor in dict.fromkeys(tensors) if tensor is not model.input]
    opened: list[Arrays] = []
    results: list[PhaseResult] = []
    remarks: list[str] = []
    kept = ""
    best: PhaseResult | None = None
    try:
        train_features = val_features = None
        if cached:
            train_features = compute_features(model, cached, data.train, augmenter=augmenter, views=views, seed=seed)
            opened.append(train_features)
            val_features = compute_features(model, cached, data.val)
            opened.append(val_features)
        train_pixels = val_pixels = None
        if model.input in tensors:
            train_pixels, val_pixels = (cached_pixels(split, _size(model)) for split in (data.train, data.val))
            opened += [train_pixels, val_pixels]
        for index, (phase, tensor) in enumerate(zip(phases, tensors, strict=True)):
            _unfreeze(model, phase)
            if tensor is model.input:
                assert train_pixels is not None and val_pixels is not None
                transform = augmenter if augmenter.layers or augmenter.mixes else None
                train = Samples(train_pixels, "pixels", _targets(model, data.train), 1, weights, transform)
                val = Samples(val_pixels, "pixels", _targets(model, data.val))
            else:
                assert train_features is not None and val_features is not None
                name = f"tensor{cached.index(tensor)}"
                targets = train_features["labels"] if "labels" in train_features else _targets(model, data.train)
                train = Samples(train_features, name, np.asarray(targets), views, weights)
                val = Samples(val_features, name, _targets(model, data.val))
            before = model.get_weights()
            result = train_phase(
                model,
                phase,
                tensor,
                train,
                val,
                seed=seed,
                multi_label=data.multi_label,
                label_smoothing=label_smoothing,
                checkpoint=checkpoints / f"{index}.npz" if checkpoints else None,
                on_epoch=None if on_epoch is None else lambda row, name=phase.name: on_epoch(name, row),
            )
            results.append(result)
            if best is None or (result.val_accuracy, -result.val_loss) > (best.val_accuracy, -best.val_loss):
                best, kept = result, phase.name
            else:
                model.set_weights(before)
                remarks.append(
                    f"{phase.name} reached {result.val_accuracy:.3f} on validation, which does not beat the "
                    f"{best.val_accuracy:.3f} of {kept}: rolled back."
                )
                say(remarks[-1])
    finally:
        for arrays in opened:
            arrays.close()
    return History(results, concrete, views, kept, remarks)


def choose_views(augmenter: Augmenter, images: int) -> int:
    """How many views an image are worth computing: more while there are few images and epochs are cheap."""
    if not augmenter.layers and not augmenter.mixes:
        return 1
    return int(np.clip(8000 // max(1, images), 2, 8))


def _check(model: keras.Model, data: ImageData) -> None:
    outputs = model.output_shape[-1]
    expected = len(data.class_names)
    if outputs != expected and not (outputs == 1 and expected == 2):
        raise InputError(
            f"The model has {outputs} outputs but the data {expected} classes: build it for the data's classes."
        )
    if len(data.train) == 0 or len(data.val) == 0:
        raise InputError(
            "Training needs training and validation images: give `load_images` a source with both, or val=0.15."
        )


def _size(model: keras.Model) -> tuple[int, int]:
    return tuple(model.input_shape[1:3])


def _unfreeze(model: keras.Model, phase: Phase) -> None:
    if phase.frozen:
        freeze_backbone(model)
    else:
        unfreeze_top(
            model, stages=phase.stages, layers=phase.layers, from_layer=phase.from_layer, batchnorm=phase.batchnorm
        )


def _tensors(model: keras.Model, phases: Sequence[Phase]) -> list[Any]:
    """The tensor below each phase's trainable layers."""
    tensors = []
    for phase in phases:
        _unfreeze(model, phase)
        tensors.append(boundary(model))
    return tensors


def _targets(model: keras.Model, split: Split) -> np.ndarray:
    """Labels as the loss wants them: one-hot or multi-hot rows, or one column for a single sigmoid."""
    if model.output_shape[-1] == 1:
        return split.labels.astype(np.float32).reshape(-1, 1)
    return one_hot(split.labels, len(split.class_names))


def _sample_weights(data: ImageData) -> np.ndarray | None:
    weights = data.class_weights()
    if weights is None or data.multi_label:
        return None
    return np.array([weights[int(label)] for label in data.train.labels], np.float32)
