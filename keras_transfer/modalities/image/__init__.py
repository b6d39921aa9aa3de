"""Photographs and other pictures: decoding, checks, fitting, augmentation."""

from keras_transfer.modalities.image.augmentation import ImageAugmenter, build_augmenter
from keras_transfer.modalities.image.dataset import ImageReader, load_images
from keras_transfer.modalities.image.decode import decode_image
from keras_transfer.modalities.image.golden import golden_vectors
from keras_transfer.modalities.image.modality import MODALITY, ImageModality
from keras_transfer.modalities.image.preparer import ImagePreparer, ImageSplit

__all__ = [
    "MODALITY",
    "ImageAugmenter",
    "ImageModality",
    "ImagePreparer",
    "ImageReader",
    "ImageSplit",
    "build_augmenter",
    "decode_image",
    "golden_vectors",
    "load_images",
]
