"""How a recording becomes a model's input: mono samples of one length and rate, or their log-mel spectrogram."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Arrays, Augmenter, Inputs, InputSpec, Json, Strength, TensorSpec, one_tensor
from keras_transfer.modalities.audio.augmentation import build_augmenter
from keras_transfer.modalities.audio.front_end import FrontEnd, front_end_of, log_mel
from keras_transfer.modalities.audio.items import LONGEST, Samples, decode, load_sound, resample

RATE = 16000
WAVEFORM, LOG_MEL = "waveform", "log_mel"


@dataclass(frozen=True)
class AudioPreparer:
    """From the bytes of a recording to `float32 [samples]` in -1..1; see `keras_transfer.inputs.Preparer`.

    Attributes:
        sample_rate: of the samples, in Hz.
        samples: length of a clip: what is longer is cut, what is shorter is filled up with silence on both sides.
        front_end: makes log-mel spectrograms `float32 [frames, mels]` of the samples, for files that begin behind it.
    """

    sample_rate: int = RATE
    samples: int = RATE
    front_end: FrontEnd | None = None
    modality: str = "audio"

    @cached_property
    def settings(self) -> dict[str, Json]:
        """What it was made with."""
        own: dict[str, Json] = {"sample_rate": self.sample_rate, "samples": self.samples}
        return own | ({"front_end": self.front_end.to_dict()} if self.front_end is not None else {})

    @property
    def seconds(self) -> float:
        """How long a clip is."""
        return self.samples / self.sample_rate

    def spec(self, inputs: Inputs) -> InputSpec:
        """What recordings become for a model's input tensors, or for so many samples; see `Preparer.spec`."""
        if isinstance(inputs, InputSpec):
            return inputs
        tensor = one_tensor(inputs, WAVEFORM, "recordings")
        if len(tensor.shape) == 1:
            return self._waveforms(tensor.name, tensor.shape[0] or self.samples)
        if len(tensor.shape) == 2 and self.front_end is not None:
            shape = self.front_end.frames(self.samples), self.front_end.mels
            if all(own in (None, other) for own, other in zip(tensor.shape, shape, strict=True)):
                meaning = f"log-mel spectrogram, {shape[0]} frames of {shape[1]} bands"
                return InputSpec(self.modality, (TensorSpec(tensor.name, shape, meaning=meaning),), self.settings)
        raise InputError(f"A model of sounds takes samples, or the spectrogram that it names. Received: {inputs}.")

    def _waveforms(self, name: str, samples: int) -> InputSpec:
        meaning = f"{samples / self.sample_rate:g} s of sound, mono, {self.sample_rate} samples a second"
        tensor = TensorSpec(name, (samples,), "float32", -1.0, 1.0, meaning)
        return InputSpec(self.modality, (tensor,), {**self.settings, "samples": samples})

    def load(self, source: str) -> bytes:
        """The bytes of a recording; see `load_sound`."""
        return load_sound(source)

    def prepare(self, content: bytes, spec: InputSpec) -> Arrays:
        """The samples of one recording, `float32 [samples]`, or their spectrogram `float32 [frames, mels]`."""
        count = self.length(spec)
        clip = np.clip(_filled(self.waveform(content, count), count), -1, 1)
        if len(spec.tensor.shape) == 1:
            return clip
        assert self.front_end is not None
        return log_mel(clip, self.front_end)

    def length(self, spec: InputSpec) -> int:
        """How many samples a clip has of which a spec's input is made."""
        return self.samples if len(spec.tensor.shape) == 2 else spec.tensor.shape[0] or self.samples

    def waveform(self, content: bytes, count: int) -> Samples:
        """The first samples of a recording at the rate of the clips, as many as it has and `count` at most.

        Raises:
            InputError: see `decode`.
        """
        samples, rate = decode(content, min(LONGEST, count / self.sample_rate + 0.1))
        return resample(samples, rate, self.sample_rate)[:count]

    def adapt(self, values: Array, spec: InputSpec) -> Array:
        """Samples `float32 [n, samples]` cut or filled up to the length of a spec."""
        if values.ndim != 2:
            return values
        count = spec.tensor.shape[0] or self.samples
        return _filled(values[:, :count], count)

    def augmenter(self, strength: Strength, per_class: float | None, classes: int) -> Augmenter:
        """See `build_augmenter`."""
        return build_augmenter(strength, per_class, classes, self.sample_rate)


def open_preparer(preparation: Mapping[str, Json]) -> AudioPreparer:
    """A preparer with these settings; see `keras_transfer.inputs.open_preparer`.

    Args:
        preparation: `AudioPreparer.settings`; `window` in seconds may stand in place of `samples`.

    Raises:
        InputError: a setting is unknown or wrong.

    >>> open_preparer({"window": 2}).samples
    32000
    """
    fields = dict(preparation)
    try:
        rate = fields.get("sample_rate", RATE)
        if (window := fields.pop("window", None)) is not None:
            fields["samples"] = round(float(window) * rate)  # type: ignore[arg-type, operator]  # checked below
        if (front_end := fields.get("front_end")) is not None:
            fields["front_end"] = front_end_of(front_end)  # type: ignore[assignment, arg-type]
        preparer = AudioPreparer(**fields)  # type: ignore[arg-type]
        sizes = (preparer.sample_rate, preparer.samples)
        if any(isinstance(size, bool) or not isinstance(size, int) for size in sizes):
            raise TypeError(f"whole numbers are needed, not {sizes}")
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"These are no settings of sounds ({error}). Received: {str(preparation)[:200]}") from error
    if not 1000 <= preparer.sample_rate <= 192_000 or not 1 <= preparer.seconds * 100 <= 100 * LONGEST:
        raise InputError(
            f"A clip must be of 0.01 to {LONGEST:g} s at 1,000 to 192,000 Hz. Received: {str(preparation)[:200]}"
        )
    return preparer


def _filled(samples: Array, count: int) -> Array:
    """Samples along the last axis with silence before and behind, half each, up to `count`.

    speech_embedding tells spoken digits apart far worse where all of it is behind (benchmarks/audio.py).
    """
    missing = count - samples.shape[-1]
    return np.pad(samples, [*[(0, 0)] * (samples.ndim - 1), (missing // 2, missing - missing // 2)])
