"""The microcontrollers' log-mel spectrograms, in whole numbers, against Python's."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.audio.front_end import FrontEnd, log_mel
from keras_transfer.modalities.audio.golden import FRONT_ENDS, as_waveform, made_clips
from keras_transfer.modalities.audio.targets.fixed_point import log_mel_sources

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
_PROGRAM = """
#include <cstdio>
#include <vector>
#include "log_mel.h"
int main() {
  std::vector<int16_t> samples(kWindow + (kFrames - 1) * kHop), logs(kFrames * kMels);
  std::vector<int8_t> input(kFrames * kMels);
  while (fread(samples.data(), 2, samples.size(), stdin) == samples.size()) {
    for (int i = 0; i < kFrames; ++i) LogMelFrame(&samples[i * kHop], &logs[(i + 3) % kFrames * kMels]);
    LogMelInput(logs.data(), 3, input.data());  // the first frame stands in the fourth place of the ring
    fwrite(input.data(), 1, input.size(), stdout);
  }
}
"""


def in_c(front_end: FrontEnd, clips: list[np.ndarray], scale: float, zero_point: int, folder: Path) -> np.ndarray:
    """What the sources make of clips, int8 `[n, frames, mels]`."""
    frames = front_end.frames(len(clips[0]))
    for name, text in log_mel_sources(front_end, frames, scale, zero_point).items():
        (folder / name).write_text(text)
    (folder / "program.cc").write_text(_PROGRAM)
    flags = ["-std=c++11", "-O2", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined", "-fno-sanitize-recover"]
    sources = [folder / "program.cc", folder / "log_mel.cc"]
    subprocess.run(["g++", *flags, *sources, "-o", folder / "program"], check=True)
    used = front_end.window + (frames - 1) * front_end.hop
    content = b"".join(clip[front_end.margin :][:used].tobytes() for clip in clips)
    done = subprocess.run([folder / "program"], input=content, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.int8).reshape(len(clips), frames, front_end.mels)


@needs_compiler
@pytest.mark.parametrize("name", [name for name, row in FRONT_ENDS.items() if row.fft & (row.fft - 1) == 0])
def test_inputs_are_those_of_python_within_a_step(name: str, tmp_path: Path) -> None:
    front_end, clips = FRONT_ENDS[name], list(made_clips(FRONT_ENDS[name]))
    expected = np.stack([log_mel(as_waveform(clip), front_end) for clip in clips])
    scale = float(np.ptp(expected)) / 255
    zero_point = round(-128 - float(expected.min()) / scale)
    steps = np.clip(np.rint(expected / scale) + zero_point, -128, 127)
    found = in_c(front_end, clips, scale, zero_point, tmp_path)
    assert np.abs(found - steps).max() <= 1
    assert (found == steps).mean() > 0.98


def test_what_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(InputError, match="fft=400"):
        log_mel_sources(replace(FRONT_ENDS["yamnet"], fft=400), 96, 0.05, 0)
