"""How many augmented views of each item are worth computing."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer.data import Split
from keras_transfer.inputs import Augmenter, Strength, open_modality
from keras_transfer.models import multiply_adds
from keras_transfer.models.graph import start_of
from keras_transfer.recipe import Phase
from keras_transfer.training.phases import phase_tensors

_MOST = 8


def plan_views(
    model: keras.Model,
    phases: Sequence[Phase],
    train: Split,
    augmentation: Strength,
    views: int | None = None,
    n_items: int | None = None,
) -> tuple[Augmenter, int]:
    """The augmentation for a number of training items, and how many views of each are computed.

    Args:
        model: the classifier that trains; which of its layers are marked as trainable may change.
        phases: how it trains.
        train: the training split.
        augmentation: as for `fit`.
        views: this many; None chooses.
        n_items: how many items train, where others than those of `train` do.
    """
    n_items = n_items or len(train)
    augmenter = train.augmenter(augmentation, n_items)
    if views is None or not augmenter:
        few = augmentation == "auto" and all(phase.frozen for phase in phases)
        if few and not open_modality(train.preparer.modality).head_views:
            return augmenter, 1
        views = choose_views(augmenter, n_items, few, _affordable(model, phases) if augmenter else 1)
    return augmenter, views


def choose_views(augmenter: Augmenter, n_items: int, few: bool = False, most: int = _MOST) -> int:
    """How many views of each item are worth computing: more while there are few items and epochs are cheap.

    Args:
        augmenter: what draws them.
        n_items: how many items train.
        few: half as many, and none beside the item itself from 450 items on: a head on frozen features gains nothing
            measurable by them (`docs/results/views.csv`). For where nobody asked for augmentation.
        most: no more than these, but two where not `few`.
    """
    if not augmenter:
        return 1
    least = 1 if few else 2
    return int(np.clip((900 if few else 1800) // max(1, n_items), least, max(least, min(most, _MOST))))


def _affordable(model: keras.Model, phases: Sequence[Phase]) -> int:
    """The most views whose computing takes no more multiply-adds than fine-tuning on them, forward and twice back."""
    if all(phase.frozen for phase in phases):
        return _MOST
    tensors = phase_tensors(model, phases)
    below = [multiply_adds(keras.Model(start_of(model), tensor)) for tensor in tensors]
    whole = multiply_adds(model)
    tuning = sum(3 * p.epochs * (whole - cost) for p, cost in zip(phases, below, strict=True) if not p.frozen)
    return tuning // max(1, *below)
