"""Augmentation: how strong, from how many photographs there are, and a pure function that does it."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Strength
from keras_transfer.modalities.augmenter import chosen_settings

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

TensorLike: TypeAlias = "Array | tf.Tensor"

# What each setting is, and its largest sensible value.
SETTINGS = {
    "flip": ("mirror left and right, half of the time", 1),
    "rotation": ("at most this fraction of a full turn, either way", 0.5),
    "zoom": ("show a window this much smaller or larger at most, anywhere in the picture", 0.9),
    "contrast": ("multiply the distance to the mean gray by 1 give or take this", 1),
    "brightness": ("add at most this fraction of the full range, either way", 1),
    "grayscale": ("share of the pictures shown without colour", 1),
    "blur": ("half of the pictures blurred, at 1 by a Gaussian of up to a twentieth of the shorter side", 1),
    "randaugment": ("magnitude of RandAugment's two operations; its paper uses 0.3 to 0.6", 1),
    "mixup": ("alpha of MixUp's Beta distribution; 0.2 is usual", 10),
    "cutmix": ("alpha of CutMix's Beta distribution; 1 is usual", 10),
}
STRENGTHS: dict[str, dict[str, float]] = {
    "none": {},
    "light": {"flip": 1, "rotation": 0.02, "zoom": 0.15, "contrast": 0.1, "brightness": 0.05},
    "medium": {"flip": 1, "rotation": 0.04, "zoom": 0.3, "contrast": 0.2, "brightness": 0.1},
    "strong": {"flip": 1, "rotation": 0.08, "zoom": 0.4, "contrast": 0.3, "brightness": 0.15},
}


class ImageAugmenter:
    """Random views of photographs, as a pure function: the same inputs and seed give the same bits.

    Attributes:
        settings: what is done, by the names of `SETTINGS`.
        classes: number of classes, needed where MixUp or CutMix gets class indices.
    """

    def __init__(self, settings: Mapping[str, float], classes: int | None = None) -> None:
        self.settings = {name: float(value) for name, value in settings.items() if value}
        self.classes = classes

    def __repr__(self) -> str:
        return f"Augmenter({', '.join(f'{name}={value:g}' for name, value in self.settings.items())})"

    def __bool__(self) -> bool:
        """Whether it changes anything at all."""
        return bool(self.settings)

    @property
    def mixes(self) -> bool:
        """Whether it mixes photographs, so that labels come out as `float32 [b, classes]`."""
        return "mixup" in self.settings or "cutmix" in self.settings

    @cached_property
    def layers(self) -> "list[keras.Layer]":
        """The Keras layers that do it, in order, to put into a model of one's own (MixUp and CutMix, which need the
        labels, are not among them). Like Keras's own they act in training only."""
        from keras_transfer.modalities.image import augmentation_layers as layers

        own = self.settings
        chosen: list[keras.Layer] = []
        if {"flip", "rotation", "zoom"} & set(own):
            chosen.append(layers.RandomView("flip" in own, own.get("rotation", 0.0), own.get("zoom", 0.0)))
        if {"contrast", "brightness"} & set(own):
            chosen.append(layers.RandomTone(own.get("contrast", 0.0), own.get("brightness", 0.0)))
        if {"grayscale", "blur"} & set(own):
            chosen.append(layers.RandomLoss(own.get("grayscale", 0.0), own.get("blur", 0.0)))
        if "randaugment" in own:
            chosen.append(layers.RandAugment(own["randaugment"]))
        return chosen

    def __call__(
        self, images: TensorLike, labels: TensorLike, seed: "int | tf.Tensor"
    ) -> tuple[TensorLike, TensorLike]:
        """Gives one random view of each image.

        Args:
            images: `uint8` or float `[b, H, W, 3]` or `[b, H, W, 1]` in 0..255, NumPy or TensorFlow.
            labels: class indices `[b]`, or `[b, classes]`.
            seed: an integer; another seed, other views.

        Returns:
            Images of the same kind, dtype (floats as `float32`) and range; and the labels, as they were or, where
            MixUp or CutMix mixes, as `float32 [b, classes]`.
        """
        if not self.settings:
            return images, labels
        if self.mixes and len(labels.shape) == 1 and self.classes is None:
            raise InputError("MixUp and CutMix of class indices need the number of classes: build_augmenter(classes=).")
        mixed = self._compiled(images, labels, seed)
        return (mixed[0].numpy(), mixed[1].numpy()) if isinstance(images, np.ndarray) else mixed

    @cached_property
    def _compiled(self) -> "Callable[[TensorLike, TensorLike, int | tf.Tensor], tuple[tf.Tensor, tf.Tensor]]":
        import tensorflow as tf

        from keras_transfer.modalities.image.augmentation_layers import mix, split_seed

        def augment(images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            views = tf.cast(images, tf.float32)
            if images.shape[-1] == 1:  # the layers see colours
                views = tf.image.grayscale_to_rgb(views)
            seeds = split_seed(tf.stack([tf.cast(seed, tf.int32), 0]), len(self.layers) + 1)
            for layer, own in zip(self.layers, seeds, strict=False):
                views = layer.transform(views, own)
            if self.mixes:
                if labels.shape.rank == 1:
                    labels = tf.one_hot(labels, self.classes)
                alphas = self.settings.get("mixup", 0.0), self.settings.get("cutmix", 0.0)
                views, labels = mix(views, tf.cast(labels, tf.float32), *alphas, seeds[-1])
            if images.shape[-1] == 1:
                views = tf.image.rgb_to_grayscale(views)
            if images.dtype == tf.uint8:
                views = tf.cast(tf.round(views), tf.uint8)
            return views, labels

        compiled = tf.function(augment, autograph=False, reduce_retracing=True)

        def call(images: TensorLike, labels: TensorLike, seed: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            pixels, targets = compiled(
                tf.convert_to_tensor(images), tf.convert_to_tensor(labels), tf.convert_to_tensor(seed)
            )
            return pixels, targets

        return call


def build_augmenter(
    strength: Strength = "auto", images_per_class: float | None = None, classes: int | None = None
) -> ImageAugmenter:
    """Builds the augmentation of a strength, by default the one that fits the number of photographs.

    Args:
        strength: `"auto"` (strong under 50 images per class, medium under 500, else light), `"none"`, `"light"`,
            `"medium"`, `"strong"`; or a dict of settings by the names of `SETTINGS` (`flip`, `rotation`, `zoom`,
            `contrast`, `brightness`, `grayscale`, `blur`, `randaugment`, `mixup`, `cutmix`), which may start from a
            strength, such as `{"strength": "auto", "mixup": 0.2}`.
        images_per_class: training photographs per class, for `"auto"`; `None` stands for many.
        classes: number of classes, for MixUp and CutMix of class indices.

    Returns:
        An `ImageAugmenter`.

    Raises:
        InputError: an unknown strength or setting, or a value out of range.

    >>> build_augmenter("auto", images_per_class=1000)
    Augmenter(flip=1, rotation=0.02, zoom=0.15, contrast=0.1, brightness=0.05)
    >>> build_augmenter({"flip": True, "mixup": 0.2}, classes=10)
    Augmenter(flip=1, mixup=0.2)
    """
    chosen = chosen_settings(strength, images_per_class, SETTINGS, STRENGTHS)
    return ImageAugmenter(chosen, classes)
