"""Augmentation as Keras layers."""

from typing import Any


class Augmenter:
    """TODO"""


def build_augmenter(strength: Any = "auto", images_per_class: int | None = None) -> Augmenter:
    """TODO"""
    raise NotImplementedError
