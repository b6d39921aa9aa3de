"""What augmentations share: the settings of a strength, and the augmentation that changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, Strength

Settings = Mapping[str, tuple[str, float]]
"""Name of a setting -> what it is, and its largest value; the least is 0."""
AUTO = ((50, "strong"), (500, "medium"), (float("inf"), "light"))
"""`auto` takes the first row whose number of items a class is not reached."""


def chosen_settings(
    strength: Strength,
    per_class: float | None,
    settings: Settings,
    strengths: Mapping[str, Mapping[str, float]],
    auto: Sequence[tuple[float, str]] = AUTO,
) -> dict[str, float]:
    """The settings of a strength.

    Args:
        strength: `"auto"`, a name of `strengths`, or settings, which may start from one as `"strength"`.
        per_class: training items of each class, for `"auto"`; None for many.
        settings: those that there are.
        strengths: name -> settings.
        auto: below how many items of a class which strength serves; ends with infinity.

    Raises:
        InputError: an unknown strength or setting, or a value out of its range.

    >>> chosen_settings({"strength": "auto", "gain": 3}, 7, {"gain": ("dB", 20)}, {"light": {}}, [(9, "light")])
    {'gain': 3.0}
    """
    wanted: dict[str, bool | float | str] = {"strength": "none"}
    wanted |= {"strength": strength} if isinstance(strength, str) else strength
    name = wanted.pop("strength")
    if name == "auto":
        many = float("inf") if per_class is None else per_class
        name = next(row for limit, row in auto if many < limit or limit == float("inf"))
    if name not in strengths:
        raise InputError(f"`strength` must be 'auto', {', '.join(map(repr, strengths))} or a dict. Received: {name!r}")
    chosen = dict(strengths[str(name)])
    for setting, value in wanted.items():
        if setting not in settings:
            raise InputError(f"Augmentation has no setting {setting!r}. It has: {', '.join(settings)}, strength.")
        what, largest = settings[setting]
        if not isinstance(value, int | float) or not 0 <= value <= largest:
            raise InputError(f"`{setting}` ({what}) must be from 0 to {largest}. Received: {setting}={value!r}")
        chosen[setting] = float(value)
    return {setting: value for setting, value in chosen.items() if value}


def mixup(items: Array, labels: Array, alpha: float, classes: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Blends each item of a batch with another one (Zhang et al. 2018, https://arxiv.org/abs/1710.09412).

    Args:
        items: `[b, ...]`.
        labels: class indices `[b]`, or `[b, classes]`.
        alpha: of the Beta distribution that shares are drawn from.
        classes: how many.
        random: draws shares and partners.

    Returns:
        The items, and their labels as `float32 [b, classes]`.
    """
    rows = labels.astype(np.float32) if labels.ndim == 2 else np.eye(classes, dtype=np.float32)[labels]
    share = random.beta(alpha, alpha, (len(items), 1)).astype(np.float32)
    partner = random.permutation(len(items))
    own = share.reshape(-1, *[1] * (items.ndim - 1))
    return own * items + (1 - own) * items[partner], share * rows + (1 - share) * rows[partner]


@dataclass(frozen=True)
class SettingsAugmenter:
    """What augmentations of arrays by settings share; see `keras_transfer.inputs.Augmenter`.

    Attributes:
        settings: what is done, by name.
        classes: number of classes, for MixUp.
    """

    settings: Mapping[str, float]
    classes: int

    @property
    def mixes(self) -> bool:
        """Whether it mixes items."""
        return "mixup" in self.settings

    def __bool__(self) -> bool:
        """That it changes something."""
        return bool(self.settings)


class NoAugmenter:
    """A `keras_transfer.inputs.Augmenter` that changes nothing."""

    mixes = False

    @property
    def settings(self) -> dict[str, float]:
        """None."""
        return {}

    def __bool__(self) -> bool:
        """That it changes nothing."""
        return False

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """The arrays and the labels as they are."""
        return arrays, labels
