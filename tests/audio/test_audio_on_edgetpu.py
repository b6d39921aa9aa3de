"""The Edge TPU's script for sounds, on the CPU and without this package."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sound_kits import FRONT_END, NAMES, RATE, SAMPLES, make_clips, make_kit, write_wav

from keras_transfer.exporters.targets import kit_writer
from keras_transfer.litert import open_litert
from keras_transfer.modalities.audio.front_end import log_mel

# Python that sees neither this package nor the folder that it runs in.
RUN = "import runpy, sys; sys.path.insert(0, '.'); runpy.run_path('classify.py', run_name='__main__')"


def test_the_script_answers_as_predict(tmp_path: Path) -> None:
    kit, out = make_kit("int8", "edgetpu"), tmp_path / "out"
    written = kit_writer("edgetpu", "audio")(kit, out)
    own = {"front_end.json", "front_end.py"}
    assert {path.name for path in written} == own | {"model_int8.tflite", "labels.txt", "classify.py", "README.txt"}
    assert "keras_transfer" not in (out / "front_end.py").read_text().split('"""')[2]
    clips, _ = make_clips(3, seed=8, samples=RATE)
    for channels, clip in enumerate((clips[0], clips[1], clips[2][:5001]), 1):
        sound = write_wav(tmp_path / "sound.wav", clip, channels)
        command = [sys.executable, "-I", "-c", RUN, "model_int8.tflite", "labels.txt", str(sound), "--cpu"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=out, timeout=120)
        assert done.returncode == 0, done.stderr
        heard = np.zeros(SAMPLES, np.float32)
        begin = max(0, SAMPLES - len(clip)) // 2
        heard[begin : begin + len(clip)] = (np.rint(clip * 32767) / 32768)[:SAMPLES]
        answers = open_litert(kit.content, threads=1).predict(log_mel(heard, FRONT_END)[None])[0]
        rows = {name: float(score) for score, name in (line.split("  ") for line in done.stdout.splitlines())}
        assert rows == pytest.approx(dict(zip(NAMES, answers.tolist(), strict=True)), abs=6e-4)


def test_other_sample_rates_are_named(tmp_path: Path) -> None:
    kit_writer("edgetpu", "audio")(make_kit("int8", "edgetpu"), tmp_path)
    sound = write_wav(tmp_path / "sound.wav", np.zeros(100))
    content = bytearray(sound.read_bytes())
    content[24:28] = (8000).to_bytes(4, "little")
    sound.write_bytes(content)
    (tmp_path / "sound.flac").write_bytes(b"fLaC" + b"\0" * 40)
    for name in ("sound.wav", "sound.flac"):
        command = [sys.executable, "classify.py", "model_int8.tflite", "labels.txt", name, "--cpu"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)
        assert done.returncode == 1 and f"ffmpeg -i {name} -ar 16000" in done.stderr
        assert "Traceback" not in done.stderr
    done = subprocess.run(command[:3], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1 and "classify.py MODEL.tflite labels.txt SOUND" in done.stderr
