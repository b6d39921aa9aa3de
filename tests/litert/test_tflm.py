"""Files in TFLM itself."""

import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.litert import tflm
from keras_transfer.litert.io_types import int8_io

needs_tflm = pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`")


@needs_tflm
def test_the_least_arena_works_and_the_next_smaller_does_not(files, pictures):
    content, images = int8_io(files["int8"]), (pictures[:4] ^ 128).view(np.int8)
    least = tflm.least_arena(content)
    assert least % 16 == 0 and least > 32 * 32 * 3
    answers = tflm.run_tflm(content, images, least)
    assert answers.shape == (4, 3) and answers.dtype == np.int8
    np.testing.assert_array_equal(answers, tflm.run_tflm(content, images, 1 << 20))
    with pytest.raises(InputError, match="allocate"):
        tflm.run_tflm(content, images, least - 16)
    with pytest.raises(InputError, match="TFLM cannot run"):  # aborts
        tflm.run_tflm(content, images, 16)


@needs_tflm
def test_a_file_that_tflm_dislikes_ends_nothing(files):
    with pytest.raises(InputError, match="TFLM cannot run this file"):
        tflm.least_arena(files["dynamic"])


def test_without_the_package(files, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install .*tflite-micro"):
        tflm.least_arena(files["int8"])
