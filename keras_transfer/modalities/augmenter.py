"""The augmentation of a modality that has none."""

from keras_transfer.inputs import Array


class NoAugmenter:
    """A `keras_transfer.inputs.Augmenter` that changes nothing."""

    mixes = False

    @property
    def settings(self) -> dict[str, float]:
        """None."""
        return {}

    def __bool__(self) -> bool:
        """That it changes nothing."""
        return False

    def __call__(self, arrays: Array, labels: Array, /, seed: int) -> tuple[Array, Array]:
        """The arrays and the labels as they are."""
        return arrays, labels
