"""Augmentation of texts: tokens, or a stretch of them, left out at random, by choice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, Augmenter, Strength, only
from keras_transfer.modalities.augmenter import NoAugmenter

STRENGTHS = {"auto": {}, "none": {}, "light": {"drop": 0.05}, "medium": {"drop": 0.1}, "strong": {"drop": 0.2}}
"""What a strength's name stands for: `drop` is the share of the tokens that are replaced; `cutoff`, which none has, is
that of one stretch of them (Shen et al. 2020, https://arxiv.org/abs/2009.13818). `auto` is none: on pretrained
encoders augmentation gains little or harms (Longpre et al. 2020, https://arxiv.org/abs/2010.01764)."""


@dataclass(frozen=True)
class TokenDropout:
    """Replaces random tokens by the unknown or the mask token, but not the marks around a text nor its padding.

    Attributes:
        share: of the tokens.
        cutoff: share of a text's tokens that one stretch of it has, which is replaced as well.
        padding: the token that fills texts up.
        replacement: what stands in their place.
    """

    share: float
    padding: int
    replacement: int
    cutoff: float = 0.0
    mixes: bool = False

    @property
    def settings(self) -> Mapping[str, float]:
        """The shares."""
        return {"drop": self.share, **({"cutoff": self.cutoff} if self.cutoff else {})}

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
        random = np.random.default_rng(seed)
        dropped = inside & (random.random(ids.shape) < self.share)
        if self.cutoff:
            length = np.rint(self.cutoff * inside.sum(axis=1, keepdims=True))
            start = 1 + random.random((len(ids), 1)) * (last[:, None] - length)
            places = np.arange(ids.shape[1])
            dropped |= inside & (places >= np.floor(start)) & (places < np.floor(start) + length)
        return np.where(dropped, self.replacement, ids).astype(ids.dtype), labels


def build_augmenter(strength: Strength, padding: int, replacement: int) -> Augmenter:
    """The augmentation of a strength: a name of `STRENGTHS`, or a dictionary of `drop` and `cutoff`, and `strength`.

    Raises:
        InputError: there is no such strength, or a share is not from 0 to 0.9.

    >>> build_augmenter({"drop": 0.1, "cutoff": 0.2}, 0, 100).settings
    {'drop': 0.1, 'cutoff': 0.2}
    """
    wanted: dict[str, object] = {"strength": strength} if isinstance(strength, str) else dict(strength)
    name = wanted.pop("strength", "none")
    if name not in STRENGTHS:
        raise InputError(f"Augmentation of texts must be one of {', '.join(STRENGTHS)}. Received: {name!r}.")
    settings = {**STRENGTHS[str(name)], **wanted}
    shares = {key: value for key, value in settings.items() if key in ("drop", "cutoff")}
    if len(shares) < len(settings) or not all(_is_share(share) for share in shares.values()):
        raise InputError(
            f"Augmentation of texts has the settings `drop` and `cutoff`, each from 0 to 0.9. Received: {settings}."
        )
    drop, cutoff = (float(str(shares.get(key, 0.0))) for key in ("drop", "cutoff"))
    return TokenDropout(drop, padding, replacement, cutoff) if drop or cutoff else NoAugmenter()


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 0.9
