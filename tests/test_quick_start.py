"""The quicker start: in a process of its own, since it concerns the first import of Keras."""

import subprocess
import sys

PROGRAM = """
import sys
from keras_transfer.quick_start import UNUSED, quicken
quicken()
quicken()
import keras
print(sorted(UNUSED & set(sys.modules)))
import matplotlib, scipy.stats, sklearn.linear_model
print(keras.ops.convert_to_numpy(keras.layers.Dense(2)(keras.ops.ones((1, 3)))).shape)
"""


def test_keras_works_without_what_it_does_not_need_and_others_have_it():
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "(1, 2)"]
