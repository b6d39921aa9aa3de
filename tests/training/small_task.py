"""A small real task: three kinds of drawn texture, and a small classifier with BatchNorm and dropout."""

import keras
import numpy as np


def textures(count, seed=0, size=32):
    """`count` images a class of stripes, checks and blobs, in random colours and with noise."""
    chance = np.random.default_rng(seed)
    images, labels = [], []
    y, x = np.mgrid[:size, :size]
    for index in range(3 * count):
        period, phase = chance.uniform(4, 9), chance.uniform(0, 6)
        wave = {
            0: np.sin(2 * np.pi * x / period + phase),
            1: np.sin(2 * np.pi * x / period + phase) * np.sin(2 * np.pi * y / period + phase),
            2: np.cos(np.hypot(x - chance.uniform(8, 24), y - chance.uniform(8, 24)) * 6 / period),
        }[index % 3]
        low, high = chance.uniform(0, 110, 3), chance.uniform(145, 255, 3)
        image = low + (high - low) * (0.5 + 0.5 * wave[..., None]) + chance.normal(0, 25, (size, size, 3))
        images.append(np.clip(image, 0, 255).astype(np.uint8))
        labels.append(["stripes", "checks", "rings"][index % 3])
    return np.stack(images), labels


def small_classifier(classes=3, seed=0, size=32):
    """Two stages of convolutions with BatchNorm under a head with dropout."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    for stage, width in enumerate((8, 16, 24)):
        x = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name=f"conv{stage}")(x)
        x = keras.layers.BatchNormalization(name=f"bn{stage}")(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.Dense(classes, name="logits")(x)
    return keras.Model(inputs, keras.layers.Activation("softmax")(x))
