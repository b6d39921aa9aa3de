"""What a microcontroller's owner gets around a model of sounds: its front end in whole numbers, and what listens."""

from pathlib import Path
from string import Template

import numpy as np

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller import sources
from keras_transfer.files import write_bytes, write_json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.runtime import input_values
from keras_transfer.modalities.audio.front_end import log_mel
from keras_transfer.modalities.audio.golden import as_waveform
from keras_transfer.modalities.audio.targets import FRONT_END_FILE, opened, test_clips
from keras_transfer.modalities.audio.targets.fixed_point import TEMPLATES, log_mel_sources

_OWN = ("listener.h", "listener.cc", "main.cc", "log_mel_test.cc", "classifier.ino")
_INTERVAL = 0.25  # seconds from one run of the model to the next
_DECLARATION = Template("""\
// Input: $frames frames of $mels bands of a log-mel spectrogram, made by LogMelInput() of log_mel.h.
constexpr int kInputFrames = $frames;
constexpr int kInputMels = $mels;
constexpr int kInputBytes = kInputFrames * kInputMels;""")
_PREPARATION = Template("""\
The sound
  $sample_rate samples a second, int16, one channel. log_mel.h and log_mel.cc make the model's input of them, in whole
  numbers alone: within one of 255 steps of what Python makes (log_mel_test.cc compares, with golden_clips.raw as its
  input). Their settings are those of $file.
  listener.h and listener.cc take samples as they come, compute each frame once, run the model every $interval frames
  and smooth its scores. They and log_mel.cc take $ram bytes of RAM beside the arena.
  main.cc reads sound from its standard input; compile it with listener.cc and log_mel.cc beside the other sources.""")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the sources of `exporters.targets.microcontroller.sources`, the front end and the listener.

    Raises:
        GateError: see there.
        InputError: the front end is none for whole numbers; see `fixed_point.log_mel_sources`.
    """
    _, front_end = opened(kit.inputs)
    info = read_flatbuffer(kit.content)
    tensor = info.tensors[info.inputs[0]]
    frames, mels = tensor.shape[1:]
    clips = test_clips(kit)
    inputs = input_values(np.stack([log_mel(as_waveform(clip), front_end) for clip in clips]), tensor)
    interval = max(1, round(_INTERVAL * front_end.sample_rate / front_end.hop))
    own = log_mel_sources(front_end, frames, tensor.scale[0], tensor.zero_point[0])
    timing = {"interval": interval, "interval_ms": round(1000 * interval * front_end.hop / front_end.sample_rate)}
    for name in _OWN:
        template = Template((TEMPLATES / name).read_text("utf-8"))
        own[name] = template.safe_substitute(timing, sample_rate=front_end.sample_rate)
    ram = 8 * front_end.fft + 2 * front_end.window + 2 * frames * mels
    words = sources.InputWords(
        _DECLARATION.substitute(frames=frames, mels=mels),
        "// log_mel.h makes the input.",
        "",
        _PREPARATION.substitute(
            sample_rate=front_end.sample_rate, file=FRONT_END_FILE, interval=interval, ram=f"{ram:,}"
        ),
    )
    used = clips[: sources.IN_FLASH, front_end.margin : front_end.samples(frames) - front_end.margin]
    files = [
        write_json(folder / FRONT_END_FILE, front_end.to_dict()),
        write_bytes(folder / "golden_clips.raw", used.astype("<i2").tobytes()),
    ]
    return [*files, *sources.write(kit, folder, words, own, inputs)]
