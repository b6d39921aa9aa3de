"""The table of backbones of sounds: one row each, and their front ends as data."""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from keras_transfer.errors import InputError
from keras_transfer.modalities.audio.front_end import FrontEnd


@dataclass(frozen=True)
class AudioBackbone:
    """A network of sounds and what a user must know of it.

    Attributes:
        name: the name to ask for it by.
        front_end: its log-mel spectrogram.
        frames: the fewest frames that it takes.
        parameters: millions of parameters without the classifier.
        licence: SPDX identifier of the pretrained weights' licence; empty where there are none.
        source: who released those weights.
        fit_for: where it is at home: `"phone"`, `"microcontroller"`, `"edgetpu"`, `"server"`.
    """

    name: str
    front_end: FrontEnd
    frames: int
    parameters: float
    licence: str
    source: str
    fit_for: tuple[str, ...]

    @property
    def samples(self) -> int:
        """The fewest samples of a clip."""
        return self.front_end.samples(self.frames)


_YAMNET = FrontEnd(window=400, hop=160, fft=512, mels=64, low=125.0, high=7500.0, offset=1e-3)
# Decibels of the squares of samples in 16 bits, at most 80 under the loudest, over 10, plus 2.
_SPEECH = FrontEnd(
    window=400, hop=160, fft=512, mels=32, low=60.0, high=3800.0, bands="slaney", power=2, floor=1e-10,
    span=8 * math.log(10), gain=32768.0, margin=56, scale=1 / math.log(10), shift=2.0,
)  # fmt: skip

# fmt: off
_ROWS = [
    AudioBackbone("yamnet", _YAMNET, 96, 3.195, "Apache-2.0", "tensorflow/models (AudioSet)", ("phone",)),
    AudioBackbone("speech_embedding", _SPEECH, 76, 0.328, "Apache-2.0", "TensorFlow Hub google/speech_embedding/1",
                  ("phone", "microcontroller")),
]
# fmt: on

AUDIO_BACKBONES: dict[str, AudioBackbone] = {row.name: row for row in _ROWS}
"""Every backbone of sounds by its name; those of pictures (`keras_transfer.models.BACKBONES`) serve, too."""


def find_audio_backbone(name: str) -> AudioBackbone:
    """The row of a backbone of sounds, or that of a backbone of pictures on the log-mel spectrogram as a picture.

    Args:
        name: such as `"yamnet"`, `"mobilenet_v2"`.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_audio_backbone("yamnet").samples
    15600
    """
    plain = str(name).lower().replace("-", "_")
    if plain in AUDIO_BACKBONES:
        return AUDIO_BACKBONES[plain]
    near = get_close_matches(plain, AUDIO_BACKBONES, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Choose from: {', '.join(AUDIO_BACKBONES)}."
    raise InputError(f"There is no backbone of sounds {name!r}. {hint}")


def at_hand(name: str, weights: str = "pretrained") -> bool:
    """Whether a backbone's weights are here, so that no network is needed.

    Args:
        name: see `find_audio_backbone`.
        weights: see `keras_transfer.modalities.audio.builder.build_audio_classifier`.

    >>> at_hand("yamnet"), at_hand("speech_embedding")
    (True, False)
    """
    if weights == "pretrained":
        return name == "yamnet"
    return weights == "none" or (name == "speech_embedding" and Path(weights).expanduser().exists())
