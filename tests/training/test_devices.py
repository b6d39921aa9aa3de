"""Training on several devices at once; here, parts of the processor stand for them."""

import subprocess
import sys
from pathlib import Path

TWO_DEVICES = """
from keras_transfer.quick_start import quicken

quicken()
import tensorflow as tf

processor = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)

import numpy as np
from small_task import small_classifier, textures

import keras_transfer as kt
from keras_transfer.recipe import Phase

images, labels = textures(27)
data = kt.load_images((images, labels), val=0.25, test=0.2)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    model = small_classifier()
phases = (
    Phase(name="frozen", epochs=2, learning_rate=0.01, batch_size=7),
    Phase(name="tuned", stages=1, epochs=2, learning_rate=0.005, batch_size=7, monitor="val_accuracy"),
)
history = kt.fit(model, data, phases=phases, strategy="fine-tuning", augmentation="none")
assert len(data.val) % 2 or len(data.train) % 2, "a part that cannot be shared out evenly is what is tried here"
assert [row["phase"] for row in history.rows] == ["frozen"] * 2 + ["tuned"] * 2
kept = next(phase for phase in history.phases if phase.name == history.kept)
assert np.isclose(kt.evaluate(model, data.val)["accuracy"], kept.val_accuracy), (kept, len(data.val))
assert kt.convert(model, ["float32"])["float32"]
"""


def test_fit_on_two_devices() -> None:
    call = [sys.executable, "-c", TWO_DEVICES]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parent)
    assert done.returncode == 0, done.stderr[-3000:]
