"""Augmentation of texts: tokens left out at random, by choice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, Augmenter, Strength, only
from keras_transfer.modalities.augmenter import NoAugmenter

STRENGTHS = {"auto": {}, "none": {}, "light": {"drop": 0.05}, "medium": {"drop": 0.1}, "strong": {"drop": 0.2}}
"""What a strength's name stands for: `drop` is the share of the tokens that are replaced. `auto` is none: on pretrained
encoders augmentation gains little or harms (Longpre et al. 2020, https://arxiv.org/abs/2010.01764)."""


@dataclass(frozen=True)
class TokenDropout:
    """Replaces random tokens by the unknown or the mask token, but not the marks around a text nor its padding.

    Attributes:
        share: of the tokens.
        padding: the token that fills texts up.
        replacement: what stands in their place.
    """

    share: float
    padding: int
    replacement: int
    mixes: bool = False

    @property
    def settings(self) -> Mapping[str, float]:
        """The share."""
        return {"drop": self.share}

    def __bool__(self) -> bool:
        """That it changes something."""
        return True

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """Other texts `[b, length]`, the same for the same seed; and the labels."""
        ids = only(arrays)
        inside = ids != self.padding
        inside[:, :1] = False
        last = ids.shape[1] - 1 - (ids[:, ::-1] != self.padding).argmax(axis=1)
        inside[np.arange(len(ids)), last] = False
        dropped = inside & (np.random.default_rng(seed).random(ids.shape) < self.share)
        return np.where(dropped, self.replacement, ids).astype(ids.dtype), labels


def build_augmenter(strength: Strength, padding: int, replacement: int) -> Augmenter:
    """The augmentation of a strength: a name of `STRENGTHS`, or `{"drop": share}`, with `strength` beside if wanted.

    Raises:
        InputError: there is no such strength, or the share is not from 0 to 0.9.

    >>> build_augmenter({"drop": 0.1}, 0, 100).settings
    {'drop': 0.1}
    """
    wanted: dict[str, object] = {"strength": strength} if isinstance(strength, str) else dict(strength)
    name = wanted.pop("strength", "none")
    if name not in STRENGTHS:
        raise InputError(f"Augmentation of texts must be one of {', '.join(STRENGTHS)}. Received: {name!r}.")
    settings = {**STRENGTHS[str(name)], **wanted}
    share = settings.get("drop", 0.0)
    if (
        settings.keys() - {"drop"}
        or isinstance(share, bool)
        or not isinstance(share, int | float)
        or not 0 <= share <= 0.9
    ):
        raise InputError(f"Augmentation of texts has one setting, `drop`, from 0 to 0.9. Received: {settings}.")
    return TokenDropout(float(share), padding, replacement) if share else NoAugmenter()
