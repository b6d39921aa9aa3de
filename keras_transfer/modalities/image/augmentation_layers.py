"""Keras layers of augmentation, each a pure function of the images and a seed.

Keras's own RandomFlip, RandomRotation and RandomZoom resample one after the other, and its RandAugment computes all its
operations to use two of them on a whole batch. Here one resampling does the geometry and each image has its own draw.
"""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypedDict, Unpack

import keras
import tensorflow as tf

Pair: TypeAlias = Sequence[float | tf.Tensor]


class LayerOptions(TypedDict, total=False):
    """What every layer of Keras takes, and `seed` as its random layers take it."""

    seed: int | None
    name: str
    dtype: str
    trainable: bool


def split_seed(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Makes `count` independent seeds `int32 [2]` of one."""
    seeds: list[tf.Tensor] = tf.unstack(tf.random.split(seed, count), count)
    return seeds


def _uniform(seed: tf.Tensor, shape: Sequence[int | tf.Tensor], low: float = -1.0, high: float = 1.0) -> tf.Tensor:
    return tf.random.stateless_uniform(shape, seed, low, high)


class _RandomLayer(keras.layers.Layer):
    """A layer that draws anew in training and passes images on otherwise. Images are `[b, H, W, 3]` in 0..255."""

    def __init__(self, **options: Unpack[LayerOptions]) -> None:
        seed = options.pop("seed", None)
        super().__init__(**options)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def transform(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Gives `float32` views of `float32` images; the same seed `int32 [2]`, the same views."""
        raise NotImplementedError

    def call(self, images: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        return self.transform(images, tf.cast(self.generator.next(), tf.int32)) if training else images

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def _resample(images: tf.Tensor, matrix: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Shows at each place p (from the centre) what is at `matrix @ p + shift`; beyond the edge it is mirrored.

    Args:
        images: `float32 [b, H, W, 3]`.
        matrix: `[b, 2, 2]`, acting on (x, y) in pixels.
        shift: `[b, 2]`, (x, y) in pixels.
    """
    size = tf.shape(images)[1:3]
    centre = tf.cast(size[::-1] - 1, tf.float32) / 2
    offset = shift + centre - tf.linalg.matvec(matrix, tf.broadcast_to(centre, tf.shape(shift)))
    rows = tf.concat([matrix, offset[:, :, None]], axis=2)
    transforms = tf.concat([tf.reshape(rows, [-1, 6]), tf.zeros_like(shift)], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=size,
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


@keras.saving.register_keras_serializable("keras_transfer")
class RandomView(_RandomLayer):
    """Flip, rotation and zoom in one resampling; the zoomed window lies anywhere in the picture.

    Args:
        flip: mirror left and right, half of the time.
        rotation: largest fraction of a full turn, either way.
        zoom: the window's side is 1 give or take this, of the picture's.
        seed: as of Keras's random layers.

    >>> import numpy as np
    >>> RandomView(flip=True, rotation=0.1)(np.zeros((1, 8, 8, 3)), training=True).shape
    TensorShape([1, 8, 8, 3])
    """

    def __init__(
        self, flip: bool = True, rotation: float = 0.0, zoom: float = 0.0, **options: Unpack[LayerOptions]
    ) -> None:
        super().__init__(**options)
        self.flip, self.rotation, self.zoom = flip, rotation, zoom

    def transform(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        count = tf.shape(images)[0]
        flips, turns, zooms, shifts = split_seed(seed, 4)
        mirror = tf.where(_uniform(flips, [count]) < 0, -1.0, 1.0) if self.flip else tf.ones([count])
        if not (self.rotation or self.zoom):
            return tf.where(mirror[:, None, None, None] < 0, tf.reverse(images, [2]), images)
        angle = 2 * math.pi * self.rotation * _uniform(turns, [count])
        window = 1 + self.zoom * _uniform(zooms, [count])
        size = tf.cast(tf.shape(images)[1:3][::-1], tf.float32)
        shift = _uniform(shifts, [count, 2]) * tf.abs(1 - window)[:, None] / 2 * size
        cos, sin = tf.cos(angle) * window, tf.sin(angle) * window
        matrix = tf.stack([tf.stack([cos * mirror, -sin], 1), tf.stack([sin * mirror, cos], 1)], 1)
        return _resample(images, matrix, shift)

    def get_config(self) -> dict[str, object]:
        own = {"flip": self.flip, "rotation": self.rotation, "zoom": self.zoom, "seed": self.seed}
        return {**super().get_config(), **own}


def _mean_gray(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(tf.image.rgb_to_grayscale(images), axis=[-3, -2], keepdims=True)


@keras.saving.register_keras_serializable("keras_transfer")
class RandomTone(_RandomLayer):
    """Contrast about the mean gray, and brightness.

    Args:
        contrast: the factor is 1 give or take this.
        brightness: largest fraction of the full range 255 that is added, either way.
        seed: as of Keras's random layers.

    >>> import numpy as np
    >>> bool((RandomTone(0.5, 0.5)(np.full((1, 8, 8, 3), 250.0), training=True) <= 255).numpy().all())
    True
    """

    def __init__(self, contrast: float = 0.0, brightness: float = 0.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.contrast, self.brightness = contrast, brightness

    def transform(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        contrasts, lights = split_seed(seed, 2)
        shape = [tf.shape(images)[0], 1, 1, 1]
        factor = 1 + self.contrast * _uniform(contrasts, shape)
        light = 255 * self.brightness * _uniform(lights, shape)
        # Every fourth row and column give the mean well enough, at a sixteenth of the cost.
        return tf.clip_by_value(images * factor + (_mean_gray(images[:, ::4, ::4]) * (1 - factor) + light), 0.0, 255.0)

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "contrast": self.contrast, "brightness": self.brightness, "seed": self.seed}


@keras.saving.register_keras_serializable("keras_transfer")
class RandomLoss(_RandomLayer):
    """What poorer cameras lose: colour, and sharpness.

    Args:
        grayscale: share of the images that are shown without colour.
        blur: half of the images are blurred by a Gaussian, whose deviation is drawn for the batch, up to this much of
            a twentieth of the shorter side.
        seed: as of Keras's random layers.

    >>> import numpy as np
    >>> view = RandomLoss(grayscale=1.0)(np.arange(192.0).reshape(1, 8, 8, 3), training=True).numpy()
    >>> bool(np.ptp(view, axis=-1).max() == 0)
    True
    """

    def __init__(self, grayscale: float = 0.0, blur: float = 0.0, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.grayscale, self.blur = grayscale, blur

    def transform(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        grays, blurs, strength = split_seed(seed, 3)
        shape = [tf.shape(images)[0], 1, 1, 1]
        if self.blur:
            widest = self.blur / 20 * tf.cast(tf.reduce_min(tf.shape(images)[1:3]), tf.float32)
            deviation = tf.maximum(widest * _uniform(strength, [], 0.0), 1e-3)
            images = tf.where(_uniform(blurs, shape) < 0, gaussian_blur(images, deviation), images)
        if self.grayscale:
            gray = _uniform(grays, shape, 0.0) < self.grayscale
            images = tf.where(gray, tf.image.rgb_to_grayscale(images), images)
        return images

    def get_config(self) -> dict[str, object]:
        return {**super().get_config(), "grayscale": self.grayscale, "blur": self.blur, "seed": self.seed}


def gaussian_blur(images: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
    """Blurs `float32 [b, H, W, 3]` by a Gaussian of a `deviation` in pixels; beyond the edge they are mirrored."""
    # What tf.function traces for batches of several sizes knows no size at all.
    radius = tf.minimum(tf.cast(tf.math.ceil(3 * deviation), tf.int32), tf.reduce_min(tf.shape(images)[1:3]) - 1)
    places = tf.cast(tf.range(-radius, radius + 1), tf.float32)
    weights = tf.exp(-(places**2) / (2 * deviation**2))
    line = (weights / tf.reduce_sum(weights))[:, None, None, None] * tf.ones([1, 1, 3, 1])
    padded = tf.pad(images, [[0, 0], [radius, radius], [radius, radius], [0, 0]], "REFLECT")
    rows = tf.nn.depthwise_conv2d(padded, line, [1, 1, 1, 1], "VALID")
    return tf.nn.depthwise_conv2d(rows, tf.transpose(line, [1, 0, 2, 3]), [1, 1, 1, 1], "VALID")


# RandAugment's operations on one image, `float32 [H, W, 3]`. m is the magnitude, -1..1 for those that go both ways.


def _affine(image: tf.Tensor, matrix: Sequence[Pair], shift: Pair = (0.0, 0.0)) -> tf.Tensor:
    return _resample(image[None], tf.convert_to_tensor([matrix]), tf.convert_to_tensor([shift]))[0]


def _rotate(image: tf.Tensor, m: tf.Tensor) -> tf.Tensor:
    cos, sin = tf.cos(m * math.pi / 6), tf.sin(m * math.pi / 6)
    return _affine(image, ((cos, -sin), (sin, cos)))


def _translate(image: tf.Tensor, m: tf.Tensor, axis: int) -> tf.Tensor:
    pixels = 0.45 * m * tf.cast(tf.shape(image)[1 - axis], tf.float32)
    return _affine(image, ((1.0, 0.0), (0.0, 1.0)), (pixels, 0.0) if axis == 0 else (0.0, pixels))


def _autocontrast(image: tf.Tensor, m: tf.Tensor) -> tf.Tensor:
    low, high = tf.reduce_min(image, [0, 1]), tf.reduce_max(image, [0, 1])
    return tf.where(high > low, (image - low) * 255 / tf.maximum(high - low, 1e-3), image)


def _equalize(image: tf.Tensor, m: tf.Tensor) -> tf.Tensor:
    levels = tf.cast(tf.round(image), tf.int32)

    def channel(values: tf.Tensor) -> tf.Tensor:
        histogram = tf.cast(tf.math.bincount(tf.reshape(values, [-1]), minlength=256, maxlength=256), tf.float32)
        below = tf.cumsum(histogram) - histogram / 2
        return tf.gather(255 * below / tf.reduce_sum(histogram), values)

    return tf.stack([channel(levels[..., c]) for c in range(3)], axis=-1)


def _sharpness(image: tf.Tensor, m: tf.Tensor) -> tf.Tensor:
    kernel = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]) / 13
    padded = tf.pad(image, [[1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    filters = tf.tile(kernel[:, :, None, None], [1, 1, 3, 1])
    smooth = tf.nn.depthwise_conv2d(padded[None], filters, [1, 1, 1, 1], "VALID")[0]
    return smooth + (image - smooth) * (1 + 0.9 * m)


OPERATIONS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "identity": lambda image, m: image,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "rotate": _rotate,
    "solarize": lambda image, m: tf.where(image < 256 * (1 - tf.abs(m)), image, 255 - image),
    "color": lambda image, m: (gray := tf.image.rgb_to_grayscale(image)) + (image - gray) * (1 + 0.9 * m),
    "posterize": lambda image, m: (step := 2.0 ** tf.round(4 * tf.abs(m))) * tf.floor(image / step),
    "contrast": lambda image, m: (mean := _mean_gray(image)) + (image - mean) * (1 + 0.9 * m),
    "brightness": lambda image, m: image * (1 + 0.9 * m),
    "sharpness": _sharpness,
    "shear_x": lambda image, m: _affine(image, ((1.0, 0.3 * m), (0.0, 1.0))),
    "shear_y": lambda image, m: _affine(image, ((1.0, 0.0), (0.3 * m, 1.0))),
    "translate_x": lambda image, m: _translate(image, m, 0),
    "translate_y": lambda image, m: _translate(image, m, 1),
}


@keras.saving.register_keras_serializable("keras_transfer")
class RandAugment(_RandomLayer):
    """RandAugment (Cubuk et al. 2020, arXiv:1909.13719): operations drawn for each image out of 14, one after another.

    Args:
        magnitude: of every operation, 0..1 of its largest; the paper's M / 30, with a random sign.
        operations: how many for each image; the paper's N.
        seed: as of Keras's random layers.

    >>> import numpy as np
    >>> RandAugment(0.5)(np.zeros((2, 8, 8, 3)), training=True).shape
    TensorShape([2, 8, 8, 3])
    """

    def __init__(self, magnitude: float = 0.3, operations: int = 2, **options: Unpack[LayerOptions]) -> None:
        super().__init__(**options)
        self.magnitude, self.operations = magnitude, operations

    def transform(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(images)[0], self.operations]
        choices, signs = split_seed(seed, 2)
        chosen = tf.random.stateless_uniform(shape, choices, 0, len(OPERATIONS), tf.int32)
        signed = tf.where(_uniform(signs, shape) < 0, -self.magnitude, self.magnitude)

        def one(item: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
            image, which, m = item
            for i in range(self.operations):
                branches = [lambda f=f, x=image, i=i: f(x, m[i]) for f in OPERATIONS.values()]
                image = tf.clip_by_value(
                    tf.ensure_shape(tf.switch_case(which[i], branches), images.shape[1:]), 0.0, 255.0
                )
            return image

        return tf.map_fn(one, (images, chosen, signed), fn_output_signature=images.dtype)

    def get_config(self) -> dict[str, object]:
        own = {"magnitude": self.magnitude, "operations": self.operations, "seed": self.seed}
        return {**super().get_config(), **own}


def mix(
    images: tf.Tensor, labels: tf.Tensor, mixup: float, cutmix: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """MixUp (Zhang et al. 2018, arXiv:1710.09412) or CutMix (Yun et al. 2019, arXiv:1905.04899) within the batch.

    Args:
        images: `float32 [b, H, W, 3]`.
        labels: `float32 [b, classes]`.
        mixup: alpha of MixUp's Beta distribution, 0 for none.
        cutmix: alpha of CutMix's; where both are set, each batch has one of them, half of the time.
        seed: `int32 [2]`.

    Returns:
        Mixed images and labels.
    """
    shape = tf.shape(images)
    count, height, width = shape[0], shape[1], shape[2]
    order, one, two, where, which = split_seed(seed, 5)
    partner = tf.argsort(_uniform(order, [count]))

    def share(alpha: float) -> tf.Tensor:
        """Beta(alpha, alpha), as a ratio of two Gammas; tiny ones may both come out as 0."""
        a, b = (tf.random.stateless_gamma([count], s, alpha) for s in (one, two))
        return (a + 1e-20) / (a + b + 2e-20)

    def blended() -> tf.Tensor:
        return tf.broadcast_to(share(mixup)[:, None, None], [count, height, width])

    def pasted() -> tf.Tensor:
        side = tf.sqrt(1 - share(cutmix))[:, None]
        centre = _uniform(where, [2, count, 1], 0.0)

        def inside(length: tf.Tensor, middle: tf.Tensor) -> tf.Tensor:
            places = (tf.range(length, dtype=tf.float32)[None] + 0.5) / tf.cast(length, tf.float32)
            return tf.abs(places - middle) < side / 2

        box = inside(height, centre[0])[:, :, None] & inside(width, centre[1])[:, None, :]
        return 1 - tf.cast(box, tf.float32)

    if mixup and cutmix:
        own = tf.cond(_uniform(which, []) < 0, blended, pasted)
    else:
        own = blended() if mixup else pasted()
    weight = own[..., None]
    # As a step from the partner: where both are the same, it stays exactly that.
    other, other_labels = tf.gather(images, partner), tf.gather(labels, partner)
    kept = tf.reduce_mean(own, axis=[1, 2])[:, None]
    return other + (images - other) * weight, other_labels + (labels - other_labels) * kept
