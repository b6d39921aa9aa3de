"""The browser's log-mel spectrograms against Python's."""

import subprocess
from pathlib import Path

import pytest
from serving import HERE

from keras_transfer.modalities.audio.golden import FRONT_ENDS, golden_vectors


def largest_difference(node: str, folder: Path) -> float:
    call = [node, str(HERE / "compare.js"), "log_mel", str(folder)]
    return float(subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_spectrograms_are_those_of_python(node: str, tmp_path: Path, name: str) -> None:
    golden_vectors(tmp_path, FRONT_ENDS[name])
    assert largest_difference(node, tmp_path) < 1e-5


def test_a_differing_spectrogram_is_found(node: str, tmp_path: Path) -> None:
    golden_vectors(tmp_path, FRONT_ENDS["yamnet"])
    (tmp_path / "clip_001.log_mel").write_bytes((tmp_path / "clip_002.log_mel").read_bytes())
    assert largest_difference(node, tmp_path) > 0.1
