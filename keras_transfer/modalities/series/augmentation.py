"""Augmentation of series: noise, other amplitudes, bent in size and in time, cut, without a channel, mixed."""

from dataclasses import dataclass

import numpy as np

from keras_transfer.inputs import Array, Arrays, Augmenter, Strength, only
from keras_transfer.modalities.augmenter import NoAugmenter, SettingsAugmenter, chosen_settings, mixup

SETTINGS = {
    "jitter": ("noise, as a share of each channel's standard deviation", 2),
    "scaling": ("each channel larger or smaller by at most this share", 1),
    "magnitude_warp": ("the same, changing smoothly over time", 1),
    "time_warp": ("at most this share of the length by which moments are moved, smoothly", 0.5),
    "slicing": ("at most this share of the length is cut off, and the rest stretched", 0.9),
    "channel_dropout": ("how likely a channel keeps its mean alone, where there are several", 0.9),
    "mixup": ("alpha of MixUp's Beta distribution; 0.2 is usual", 10),
}
"""What each setting is, and its largest sensible value: Um et al. 2017 (arXiv:1706.00527), Le Guennec et al. 2016;
MixUp is Zhang et al. 2018 (arXiv:1710.09412)."""
STRENGTHS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {"jitter": 0.03, "scaling": 0.05},
    "medium": {"jitter": 0.05, "scaling": 0.1, "time_warp": 0.03},
    "strong": {"jitter": 0.05, "scaling": 0.1, "magnitude_warp": 0.1, "time_warp": 0.05, "slicing": 0.1},
}
AUTO = ((50, "medium"), (float("inf"), "light"))
"""`auto` takes the first row whose number of series a class is not reached."""
_KNOTS = 4  # of the smooth curves


@dataclass(frozen=True)
class SeriesAugmenter(SettingsAugmenter):
    """A `keras_transfer.inputs.Augmenter` of series, by `SETTINGS`."""

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """Other series `float32 [b, time, channels]`, the same for the same seed; and the labels."""
        series = only(arrays)
        if not len(series):
            return arrays, labels
        random, own = np.random.default_rng(seed), self.settings
        views = series.astype(np.float64)
        middle = views.mean(axis=1, keepdims=True)
        if "time_warp" in own or "slicing" in own:
            views = _moved(views, own.get("time_warp", 0), own.get("slicing", 0), random)
        count, _, channels = views.shape
        factor = 1 + random.uniform(-1, 1, (count, 1, channels)) * own.get("scaling", 0)
        if "magnitude_warp" in own:
            factor = factor * (1 + own["magnitude_warp"] * _smooth(views.shape, random))
        views = middle + factor * (views - middle)
        if "jitter" in own:
            views += own["jitter"] * series.std(axis=1, keepdims=True) * random.standard_normal(views.shape)
        if "channel_dropout" in own and channels > 1:
            silent = random.random((count, 1, channels)) < own["channel_dropout"]
            silent &= ~silent.all(axis=2, keepdims=True)
            views = np.where(silent, middle, views)
        if "mixup" in own:
            views, labels = mixup(views, labels, own["mixup"], self.classes, random)
        return views.astype(series.dtype), labels


def build_augmenter(strength: Strength, per_class: float | None, classes: int) -> Augmenter:
    """The augmentation of a strength.

    Args:
        strength: `"auto"` (medium under 50 series of a class, else light), `"none"`, `"light"`, `"medium"`,
            `"strong"`; or settings by the names of `SETTINGS`, which may start from a strength, such as
            `{"strength": "auto", "mixup": 0.2}`.
        per_class: training series of each class, for `"auto"`; None for many.
        classes: number of classes.

    Raises:
        InputError: an unknown strength or setting, or a value out of its range.

    >>> build_augmenter("auto", 1000, 2).settings
    {'jitter': 0.03, 'scaling': 0.05}
    """
    settings = chosen_settings(strength, per_class, SETTINGS, STRENGTHS, AUTO)
    return SeriesAugmenter(settings, classes) if settings else NoAugmenter()


def _smooth(shape: tuple[int, int, int], random: np.random.Generator) -> Array:
    """Curves `[b, time, channels]` in about -1..1 through a few random heights."""
    from scipy.interpolate import CubicSpline

    heights = random.uniform(-1, 1, (_KNOTS, shape[0], shape[2]))
    curve = CubicSpline(np.linspace(0, 1, _KNOTS), heights)(np.linspace(0, 1, shape[1]))
    return np.asarray(curve.transpose(1, 0, 2))


def _moved(views: Array, warp: float, cut: float, random: np.random.Generator) -> Array:
    """Series whose moments are moved smoothly, and of which an end or both are cut off."""
    count, length, _ = views.shape
    share = 1 - random.uniform(0, cut, (count, 1)) if cut else np.ones((count, 1))
    start = random.uniform(0, 1, (count, 1)) * (1 - share)
    places = (start + share * np.linspace(0, 1, length)) * (length - 1)
    if warp:
        places = places + warp * length * _smooth((count, length, 1), random)[..., 0]
        places = np.maximum.accumulate(np.clip(places, 0, length - 1), axis=1)  # time never runs back
    left = np.minimum(places.astype(int), max(0, length - 2))
    rest = (places - left)[..., None]
    right = np.minimum(left + 1, length - 1)
    at = np.arange(count)[:, None]
    return np.asarray(views[at, left] * (1 - rest) + views[at, right] * rest)
