"""How a series becomes a model's input: its channels in one order, at one rate, of one length, in raw units."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, Augmenter, Inputs, InputSpec, Json, Strength, TensorSpec, one_tensor
from keras_transfer.modalities.series.augmentation import build_augmenter
from keras_transfer.modalities.series.items import LONGEST, Series, Values, at_rate, fill_gaps, unpack
from keras_transfer.modalities.series.loading import load_series

SERIES, NORMALIZED = "series", "normalized"
Normalization: TypeAlias = tuple[tuple[float, float], ...] | Literal["window"]
"""Mean and deviation of each channel, or that each channel of each series has its own."""
EPSILON = 1e-6
"""What is added to the variance of each series that is normalized by itself, lest a still channel is all noise."""
FILLS = {"mean": "mean", "edge": "edge", "zero": "constant"}  # as NumPy calls them


@dataclass(frozen=True)
class SeriesPreparer:
    """From the bytes of a series to `float32 [length, channels]`; see `keras_transfer.inputs.Preparer`.

    Attributes:
        length: samples; what is longer is cut, what is shorter is filled up at its end.
        channels: names, in order; empty where all of a series are taken as they come.
        rate: samples a second, None where it is unknown: then no series is resampled.
        fill: with what short series are filled up: `"mean"`, each channel's own, which told JapaneseVowels' training
            series apart best (benchmarks/series_filling.py); `"edge"`, their last sample; or `"zero"`.
        windows: whether recordings are cut into windows of this length when they are listed.
        normalization: of a network, for files that begin behind it; empty where it is unknown.
    """

    length: int = 128
    channels: tuple[str, ...] = ()
    rate: float | None = None
    fill: str = "mean"
    windows: bool = False
    normalization: Normalization = ()
    modality: str = "series"

    @cached_property
    def settings(self) -> dict[str, Json]:
        """What it was made with."""
        own: dict[str, Json] = {"length": self.length, "channels": list(self.channels), "rate": self.rate}
        normalization = self.normalization if self.normalization == "window" else [*map(list, self.normalization)]
        return own | {"fill": self.fill, "windows": self.windows, "normalization": normalization}

    @property
    def window(self) -> float:
        """The length in seconds; in samples where the rate is unknown."""
        return self.length / (self.rate or 1)

    def spec(self, inputs: Inputs) -> InputSpec:
        """What series become.

        Args:
            inputs: a model's input tensors, or how many samples.

        Raises:
            InputError: series cannot become such inputs.
        """
        if isinstance(inputs, InputSpec):
            return inputs
        tensor, width = one_tensor(inputs, SERIES, "series"), len(self.channels) or None
        if len(tensor.shape) == 1:  # the short form
            tensor = replace(tensor, shape=(*tensor.shape, width))
        if len(tensor.shape) != 2 or (None not in (width, tensor.shape[1]) and width != tensor.shape[1]):
            many = f"{width} channels" if width else "channels"
            raise InputError(f"A model of these series takes [time, {many}]. Received: {inputs}.")
        if tensor.name == NORMALIZED and not self.normalization:
            raise InputError(f"How these series are normalized is not known. Received: {inputs}.")
        shape = (tensor.shape[0] or self.length, width or tensor.shape[1] or 1)
        rate = f" at {self.rate:g} Hz" if self.rate else ""
        meaning = f"{shape[0]} samples{rate} of {', '.join(self.channels)}"[:200]
        meaning += ", each less its mean and by its deviation" if tensor.name == NORMALIZED else ""
        own = TensorSpec(tensor.name, shape, "float32", None, None, meaning)
        return InputSpec(self.modality, (own,), {**self.settings, "length": shape[0]})

    def load(self, source: str) -> bytes:
        """The bytes of a series; see `load_series`."""
        return load_series(source, self.rate)

    def series(self, content: bytes) -> Series:
        """A series as it is, with the channels and at the rate of this preparer; missing samples are interpolated.

        Raises:
            InputError: it is damaged, lacks a channel, or too many samples in a row are missing.
        """
        own = unpack(content)
        values = self._chosen(own)
        if not len(values):
            raise InputError("a series without samples")
        if self.rate and own.rate:
            values = at_rate(values, own.rate, self.rate)
        return own._replace(values=fill_gaps(values), channels=self.channels or own.channels)

    def _chosen(self, series: Series) -> Values:
        if not self.channels or self.channels == series.channels:
            return series.values
        if set(self.channels) <= set(series.channels):
            return series.values[:, [series.channels.index(name) for name in self.channels]]
        if len(self.channels) == len(series.channels) and series.channels[0] == "channel 1":
            return series.values  # without names of its own
        missing = [name for name in self.channels if name not in series.channels]
        raise InputError(f"no channel {missing[0][:40]!r}; its channels: {', '.join(series.channels)[:80]}")

    def prepare(self, content: bytes, spec: InputSpec) -> Arrays:
        """The samples of one series, `float32 [length, channels]`."""
        length = spec.tensor.shape[0] or self.length
        values = np.asarray(self._filled(self.series(content).values[None, :length], length)[0])
        return self.normalized(values) if spec.tensor.name == NORMALIZED else values

    def normalized(self, values: Array) -> Array:
        """Samples `float32 [..., time, channels]` as the normalization of the network gives them."""
        if self.normalization == "window":
            mean, variance = values.mean(axis=-2, keepdims=True), values.var(axis=-2, keepdims=True)
            return np.asarray((values - mean) / np.sqrt(variance + EPSILON), np.float32)
        mean, deviation = np.array(self.normalization, np.float32).T  # float32 throughout, as devices compute
        return np.asarray((values - mean) / deviation, np.float32)

    def adapt(self, values: Array, spec: InputSpec) -> Array:
        """Series `float32 [n, time, channels]` cut or filled up to the length of a spec."""
        length = spec.tensor.shape[0] or self.length
        return self._filled(values[:, :length], length)

    def _filled(self, values: Array, length: int) -> Array:
        missing = length - values.shape[1]
        if not missing:
            return values
        room, mode = ((0, 0), (0, missing), (0, 0)), FILLS[self.fill]
        return np.asarray(np.pad(values, room, mode))  # type: ignore[call-overload]  # one of its modes

    def augmenter(self, strength: Strength, per_class: float | None, classes: int) -> Augmenter:
        """See `build_augmenter`."""
        return build_augmenter(strength, per_class, classes)


def open_preparer(preparation: Mapping[str, Json]) -> SeriesPreparer:
    """A preparer with these settings; see `keras_transfer.inputs.open_preparer`.

    Args:
        preparation: `SeriesPreparer.settings`.

    Raises:
        InputError: a setting is unknown or wrong.

    >>> open_preparer({"length": 64, "channels": ["x", "y"]}).spec(64).tensor.shape
    (64, 2)
    """
    fields = dict(preparation)
    try:
        channels = fields.pop("channels", ())
        if isinstance(channels, str) or not all(isinstance(name, str) for name in channels):  # type: ignore[union-attr]
            raise TypeError("channels are names")
        normalization = fields.pop("normalization", ())
        if normalization != "window":
            normalization = tuple((float(mean), float(deviation)) for mean, deviation in normalization)  # type: ignore
        preparer = SeriesPreparer(channels=tuple(channels), normalization=normalization, **fields)  # type: ignore[arg-type]
        sound = isinstance(preparer.length, int) and 1 <= preparer.length <= LONGEST and preparer.fill in FILLS
        if not sound or isinstance(preparer.length, bool) or not (preparer.rate is None or 0 < preparer.rate < 1e9):
            raise ValueError(f"a length from 1 to {LONGEST:,}, a rate above 0 or none, a fill of {', '.join(FILLS)}")
    except (TypeError, ValueError) as error:
        raise InputError(f"These are no settings of series ({error}). Received: {str(preparation)[:200]}") from error
    return preparer
