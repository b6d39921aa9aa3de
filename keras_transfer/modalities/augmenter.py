"""The augmentation of a modality that has none."""

from keras_transfer.inputs import Array, Arrays


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

    def __call__(self, arrays: Arrays, labels: Array, /, seed: int) -> tuple[Arrays, Array]:
        """The arrays and the labels as they are."""
        return arrays, labels
