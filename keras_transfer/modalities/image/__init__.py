"""Photographs and other pictures: decoding, checks, fitting, augmentation."""

from keras_transfer.modalities.image.augmentation import ImageAugmenter, build_augmenter
from keras_transfer.modalities.image.dataset import ImageReader, load_images
from keras_transfer.modalities.image.decode import decode_image
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.image.modality import (
    build,
    choose_preparation,
    corrupt,
    corruptions,
    describe,
    input_words,
    kits,
    load,
    load_source,
    prepared,
    properties,
    recognizes,
    views,
)
from keras_transfer.modalities.image.preparer import ImagePreparer, ImageSplit, open_preparer

__all__ = [
    "ImageAugmenter",
    "ImagePreparer",
    "ImageReader",
    "ImageSplit",
    "build",
    "build_augmenter",
    "choose_preparation",
    "corrupt",
    "corruptions",
    "decode_image",
    "describe",
    "golden_vectors",
    "input_words",
    "kits",
    "load",
    "load_images",
    "load_source",
    "open_preparer",
    "prepared",
    "properties",
    "recognizes",
    "views",
]
