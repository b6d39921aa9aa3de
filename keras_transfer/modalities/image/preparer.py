"""How a photograph becomes a model's input: decoded, upright, in RGB or one channel, fitted to its size."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.inputs import Array, Inputs, InputSpec, Json, Strength, TensorSpec
from keras_transfer.modalities.image.augmentation import ImageAugmenter, build_augmenter
from keras_transfer.modalities.image.decode import Pixels, Size, check_size, decode, luma
from keras_transfer.progress import say
from keras_transfer.recipe import check_geometry

_EXAMINED, _LARGEST = 50, 512  # pictures whose size stands for that of all, and its longest side


@dataclass(frozen=True)
class ImagePreparer:
    """From the bytes of a photograph to `uint8 [H, W, channels]` in 0..255; see `keras_transfer.inputs.Preparer`.

    Attributes:
        geometry: how the photograph is fitted to height and width.
    """

    geometry: Geometry = LEGACY
    modality: str = "image"

    @cached_property
    def settings(self) -> dict[str, Json]:
        """The geometry's fields."""
        return {"geometry": self.geometry.to_dict()}

    def spec(self, inputs: Inputs) -> InputSpec:
        """What photographs become.

        Args:
            inputs: a model's input tensors, or a `Size`.

        Raises:
            InputError: photographs cannot become such inputs.

        >>> ImagePreparer().spec(224).tensor.shape
        (224, 224, 3)
        """
        if isinstance(inputs, InputSpec):
            return inputs
        tensors = [] if isinstance(inputs, int) else [part for part in inputs if isinstance(part, TensorSpec)]
        if len(tensors) > 1:
            raise InputError(f"A model for photographs has one input. Received: {len(tensors)} inputs.")
        shape = check_size(tensors[0].shape if tensors else inputs)  # type: ignore[arg-type]
        meaning = "RGB pixels" if shape[2] == 3 else "gray pixels (luma)"
        name = tensors[0].name if tensors else "image"
        return InputSpec(self.modality, (TensorSpec(name, shape, "uint8", 0, 255, meaning),), self.settings)

    def load(self, source: str) -> bytes:
        """The bytes of a file."""
        return read_file(source)

    def prepare(self, content: bytes, spec: InputSpec) -> Pixels:
        """Decodes one photograph to `uint8 [H, W, channels]`."""
        return decode(content, spec.tensor.shape, self.geometry).pixels  # type: ignore[arg-type]

    def adapt(self, values: Array, spec: InputSpec) -> Pixels:
        """Whole pictures `uint8 [n, H, W, channels]` at the size of a spec; see `resize`."""
        return resize(values, spec.tensor.shape)  # type: ignore[arg-type]

    def augmenter(self, strength: Strength, per_class: float | None, classes: int) -> ImageAugmenter:
        """See `build_augmenter`."""
        return build_augmenter(strength, per_class, classes)


def resize(images: Pixels, image_size: Size) -> Pixels:
    """Whole images uint8 `[n, H, W, channels]` at another size, by Pillow's antialiased bilinear filter.

    Args:
        images: of at least as many channels as are wanted.
        image_size: `(height, width)` or `(height, width, channels)`.
    """
    from PIL import Image

    height, width, channels = check_size(image_size)
    if images.shape[1:3] == (height, width):
        return images if images.shape[3] == channels else luma(images)
    if images.shape[3] == 1:
        return resize(np.repeat(images, 3, axis=3), (height, width, channels))
    sides = width, height
    resized = np.stack([np.asarray(Image.fromarray(rgb).resize(sides, Image.Resampling.BILINEAR)) for rgb in images])
    return resized if channels == 3 else luma(resized)


def open_preparer(preparation: Mapping[str, Json]) -> ImagePreparer:
    """A preparer with these settings; see `keras_transfer.inputs.open_preparer`.

    >>> open_preparer({"geometry": {"mode": "squash"}}).geometry.mode
    'squash'
    """
    return ImagePreparer(check_geometry(preparation["geometry"]) if "geometry" in preparation else LEGACY)


class ImageSplit(Split):
    """A `Split` of photographs. Wherever it takes `inputs`, an image size will do."""

    @property
    def geometry(self) -> Geometry:
        """How photographs are fitted to the size that is asked for."""
        assert isinstance(self.preparer, ImagePreparer)
        return self.preparer.geometry

    def fitted(self, geometry: Geometry) -> Self:
        """The same photographs, decoded with this geometry."""
        return self.prepared_by(ImagePreparer(geometry))

    def pixels(self, image_size: Size) -> Pixels:
        """Decodes all photographs, in parallel and with a progress bar.

        Args:
            image_size: `(height, width)`, or one number for a square; `(height, width, 1)` for one channel.

        Returns:
            `uint8 [n, H, W, channels]` in 0..255, RGB or one channel (see `luma`), in the order of `paths`.

        Raises:
            InputError: a file vanished or changed since it was examined.
        """
        pixels = self.arrays(image_size)
        assert isinstance(pixels, np.ndarray)
        return pixels

    def common_shape(self) -> tuple[int, int] | None:
        """The size of the pictures, for a model that takes any; None where they differ or are photographs.

        Returns:
            `(height, width)` of 512 pixels at most.
        """
        sizes: set[tuple[int, int]] = set()
        for i in np.unique(np.linspace(0, len(self) - 1, min(_EXAMINED, len(self))).astype(int)):
            height, width = decode(read_file(self.paths[int(i)])).pixels.shape[:2]
            sizes.add((height, width))
            if len(sizes) > 1 or max(height, width) > _LARGEST:
                return None
        if not sizes:
            return None
        [(height, width)] = sizes
        say(f"Note: the model takes any size, and gets that of the pictures: {height} x {width}.")
        return height, width
