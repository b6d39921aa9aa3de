"""The table of backbones of sounds: one row each, and their front ends as data."""

import math
from dataclasses import dataclass

from keras_transfer.modalities.audio.front_end import FrontEnd
from keras_transfer.modalities.image.backbones import BACKBONES, Backbone
from keras_transfer.modalities.image.bundled import MIN_SIZE
from keras_transfer.modalities.rows import find_row


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


SPEECH_FILE = "embedding_model.onnx"
"""What the weights of speech_embedding lie in."""

_YAMNET = FrontEnd(window=400, hop=160, fft=512, mels=64, low=125.0, high=7500.0, offset=1e-3)
# Decibels of the squares of samples in 16 bits, at most 80 under the loudest, over 10, plus 2.
_SPEECH = FrontEnd(
    window=400, hop=160, fft=512, mels=32, low=60.0, high=3800.0, bands="slaney", power=2, floor=1e-10,
    span=8 * math.log(10), gain=32768.0, margin=56, scale=1 / math.log(10), shift=2.0,
)  # fmt: skip

_KEYWORDS = FrontEnd(window=640, hop=320, fft=1024, mels=40, low=20.0, high=7600.0, offset=1e-3)
# From silence to the loudest sound as values in 0..255; bands and hop by ESC-10's training folds (docs/audio.md).
_PICTURE = FrontEnd(
    window=640, hop=160, fft=1024, mels=128, low=50.0, high=7800.0, offset=1e-3, scale=255 / 11, shift=6.9 * 255 / 11
)

# fmt: off
_ROWS = [
    AudioBackbone("yamnet", _YAMNET, 96, 3.195, "Apache-2.0", "tensorflow/models (AudioSet)", ("phone",)),
    AudioBackbone("speech_embedding", _SPEECH, 76, 0.328, "Apache-2.0", "TensorFlow Hub google/speech_embedding/1",
                  ("phone", "microcontroller")),
    AudioBackbone("ds_cnn", _KEYWORDS, 49, 0.022, "", "", ("phone", "microcontroller", "edgetpu")),
]
# fmt: on

AUDIO_BACKBONES: dict[str, AudioBackbone] = {row.name: row for row in _ROWS}
"""Every backbone of sounds by its name; those of pictures (`keras_transfer.BACKBONES`) serve, too."""


def find_audio_backbone(name: str) -> AudioBackbone:
    """The row of a backbone of sounds, or that of a backbone of pictures on the log-mel spectrogram as a picture.

    Args:
        name: such as `"yamnet"`, `"mobilenet_v2"`.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_audio_backbone("yamnet").samples, find_audio_backbone("mobilenet_v2").front_end.mels
    (15600, 128)
    """
    rows: dict[str, AudioBackbone | Backbone] = {**BACKBONES, **AUDIO_BACKBONES}
    own = find_row(name, rows, "backbone of sounds")
    if isinstance(own, AudioBackbone):
        return own
    frames = max(own.min_size, MIN_SIZE)
    return AudioBackbone(own.name, _PICTURE, frames, own.parameters, own.licence, own.source, own.fit_for)
