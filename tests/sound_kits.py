"""A small model of sounds, and what the exporter knows of its files: high and low tones, and noise."""

import wave
from pathlib import Path

import keras
import numpy as np

from keras_transfer.exporters.targets import Kit, judge
from keras_transfer.inputs import Array, InputSpec, TensorSpec
from keras_transfer.litert import convert
from keras_transfer.litert.labels import write_labels
from keras_transfer.modalities.audio.front_end import FrontEnd, log_mel
from keras_transfer.modalities.audio.layers import LOG_MEL, log_mel_layers
from keras_transfer.models.freezing import suffix

NAMES = ["low tone", "high tone", "noise"]
RATE = 16000
FRONT_END = FrontEnd(400, 160, 512, 32, 60.0, 7500.0, power=2, floor=1e-10, span=18.42, gain=32768.0, shift=1.0)
SAMPLES = FRONT_END.samples(48)
WAVEFORM = TensorSpec("waveform", (SAMPLES,), "float32", -1, 1, "a waveform")
FEATURES = TensorSpec(LOG_MEL, (48, 32), "float32", meaning="a log-mel spectrogram")
PREPARATION = {"sample_rate": RATE, "samples": SAMPLES, "front_end": FRONT_END.to_dict()}


def make_clips(count: int, seed: int = 0, samples: int = SAMPLES) -> tuple[Array, Array]:
    """Waveforms in the classes' turn, float32 `[count, samples]`, and their labels."""
    random, time = np.random.default_rng(seed), np.arange(samples) / RATE
    labels = np.arange(count) % 3
    hertz = [random.uniform(*((300, 500), (2500, 3500), (0, 0))[label]) for label in labels]
    waves = [np.sin(2 * np.pi * f * time) if f else random.normal(0, 0.3, samples) for f in hertz]
    loudness = random.uniform(0.1, 0.6, (count, 1))
    faint = random.normal(0, 1e-3, (count, samples))
    return (np.stack(waves) * loudness + faint).clip(-1, 1).astype(np.float32), labels


def make_model() -> keras.Model:
    """A classifier from the waveform, trained on such clips."""
    keras.utils.set_random_seed(0)
    waveform = keras.Input((SAMPLES,), name="waveform")
    x = keras.layers.Reshape((48, 32, 1))(log_mel_layers(waveform, FRONT_END))
    x = keras.layers.Rescaling(1 / 20)(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D((23, 1))(x))
    model = keras.Model(waveform, keras.layers.Softmax()(keras.layers.Dense(3)(x)))
    behind = suffix(model, model.get_layer(LOG_MEL).output)
    behind.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    items = Items(96, 0)
    behind.fit(items.features, items.labels, epochs=40, verbose=0)
    return model


def write_wav(path: Path, clip: Array, channels: int = 1) -> Path:
    """A file of 16 bits, the same in each channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.repeat(np.rint(clip * 32767), channels).astype("<i2").tobytes())
    return path


class Items:
    """A split of made clips, prepared as a model asks."""

    paths = None

    def __init__(self, count: int = 24, seed: int = 1) -> None:
        self.waveforms, self.labels = make_clips(count, seed)

    @property
    def features(self) -> Array:
        """float32 `[n, 48, 32]`."""
        return np.stack([log_mel(clip, FRONT_END) for clip in self.waveforms])

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, inputs, size):
        items = self.features if len(inputs[0].shape) == 2 else self.waveforms
        for start in range(0, len(self), size):
            yield items[start : start + size], None


def make_kit(kind: str, target: str) -> Kit:
    """The kit of a float32 file, from the waveform, or an int8 one, from the spectrogram."""
    model, tensor = make_model(), WAVEFORM
    calibration, options = None, {}
    if kind == "int8":
        model, tensor = suffix(model, model.get_layer(LOG_MEL).output), FEATURES
        calibration = Items(96, 0).features
        if target == "microcontroller":
            options = {"input_dtype": "int8", "per_tensor_dense": True}
    spec = InputSpec("audio", (tensor,), PREPARATION)
    content = convert(model, [kind], calibration=calibration, item=spec.tensors, **options)[kind]
    proof = {"test_accuracy": 0.75, "images": 400, "targets": {}}
    if target != "microcontroller":
        content = write_labels(content, NAMES, spec)
    proof["targets"] = {target: judge(content, target)}
    return Kit(f"model_{kind}", content, NAMES, proof, Items(), spec)
