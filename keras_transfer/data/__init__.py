"""Sources, checks, splits, decoding, augmentation and pipelines."""

from keras_transfer.data.augmentation import Augmenter, build_augmenter
from keras_transfer.data.dataset import ImageData, Record, load_images
from keras_transfer.data.decode import decode_image
from keras_transfer.data.split import Split

__all__ = ["Augmenter", "ImageData", "Record", "Split", "build_augmenter", "decode_image", "load_images"]
