"""What a Coral device's owner needs beside a model of sounds; see `exporters.edgetpu_folder`."""

import json
from pathlib import Path

from keras_transfer.exporters.edgetpu_folder import Script, write_folder
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.modalities.audio import front_end
from keras_transfer.modalities.audio.targets import FRONT_END_FILE, opened

_IMPORTS = """\
import wave
from pathlib import Path

import numpy as np
from front_end import front_end_of, log_mel  # the file beside this one
"""
_PREPARE = """\
# The first seconds of the recording, in the middle of silence where it is shorter, become a spectrogram as in training.
settings = json.loads(Path(__file__).with_name("front_end.json").read_text("utf-8"))
front_end = front_end_of(settings["front_end"])
wanted = f"Give 16-bit WAV: ffmpeg -i {item} -ar {front_end.sample_rate} -c:a pcm_s16le new.wav"
try:
    file = wave.open(item)
except (wave.Error, EOFError):  # floats, say, or FLAC
    sys.exit(wanted)
with file:
    if (file.getsampwidth(), file.getframerate()) != (2, front_end.sample_rate):
        sys.exit(wanted)
    channels, content = file.getnchannels(), file.readframes(settings["samples"])
sound = (np.frombuffer(content, "<i2").reshape(-1, channels) / 32768).mean(axis=1, dtype=np.float32)
clip = np.zeros(settings["samples"], np.float32)
begin = (len(clip) - len(sound)) // 2
clip[begin : begin + len(sound)] = sound
scale, zero_point = input_["quantization"]
limits = np.iinfo(input_["dtype"])
steps = np.rint(log_mel(clip, front_end) / np.float32(scale)) + zero_point
values = np.clip(steps, limits.min, limits.max).astype(input_["dtype"])[None]
"""
_SCRIPT = Script("a recording", "SOUND.wav", "numpy", _IMPORTS, _PREPARE)
_ALONE = {  # what front_end.py takes of this package
    "from keras_transfer.errors import InputError\n": "InputError = ValueError\n",
    "from keras_transfer.inputs import Json\n": "Json = object\n",
}


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the folder, with the front end by which the script makes spectrograms; see `write_folder`."""
    source = Path(front_end.__file__).read_text("utf-8")
    for line, alone in _ALONE.items():
        assert line in source
        source = source.replace(line, alone)
    preparer, settings_of = opened(kit.inputs)
    settings = {"samples": preparer.samples, "front_end": settings_of.to_dict()}
    own = {FRONT_END_FILE: json.dumps(settings, indent=2).encode(), "front_end.py": source.encode()}
    return write_folder(kit, folder, _SCRIPT, own)
