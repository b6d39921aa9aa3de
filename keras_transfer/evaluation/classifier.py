"""One way to ask a saved model, whatever its format and its inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_transfer.decisions import RejectionLimit, two_columns
from keras_transfer.errors import InputError
from keras_transfer.inputs import Arrays, InputSpec, Preparer, as_tuple, open_preparer


@dataclass(frozen=True)
class Classifier:
    """A model that answers items, made into its inputs, with probabilities.

    Attributes:
        path: where it was loaded from; `None` for a model in memory.
        inputs: what it takes. Its `preparation` is empty if nothing says how items become inputs.
        class_names: one name for each column of its answer.
        named: whether the names are known; otherwise they are the columns' numbers.
        multi_label: whether each class is a yes or no of its own; `None` if the file does not say.
        run: the probabilities of checked inputs.
        scored: the same, and a score of how unlike its training items each item is; None where it has no such score.
        limit: from which score on an item is "none of these"; None without scores.
    """

    path: Path | None
    inputs: InputSpec
    class_names: list[str]
    named: bool
    multi_label: bool | None
    run: Callable[[Arrays], NDArray[np.float32]] = field(repr=False)
    scored: Callable[[Arrays], tuple[NDArray[np.float32], NDArray[np.float32]]] | None = field(default=None, repr=False)
    limit: RejectionLimit | None = None

    @property
    def preparer(self) -> Preparer | None:
        """How an item becomes what it takes; `None` if nothing says so."""
        return open_preparer(self.inputs.modality, self.inputs.preparation) if self.inputs.preparation else None

    def predict(self, values: Arrays) -> NDArray[np.float32]:
        """Probabilities of each class.

        Args:
            values: items as its input takes them, `[n, ...]` of the dtype that `inputs` states; for several inputs a
                tuple of arrays in the order of `inputs.tensors`.

        Returns:
            `float32 [n, classes]`.

        Raises:
            InputError: they have another shape or dtype, or there are more or fewer arrays than inputs.
        """
        if not self._check(values):
            return np.zeros((0, len(self.class_names)), np.float32)
        return two_columns(self.run(values))

    def predict_with_scores(self, values: Arrays) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """As `predict`, and the score of each item by which `limit` rejects, `float32 [n]`; None without a `limit`."""
        if self.scored is None or not self._check(values):
            return self.predict(values), None
        probabilities, scores = self.scored(values)
        return two_columns(probabilities), scores

    def _check(self, values: Arrays) -> int:
        """Returns how many items there are; raises `InputError` where they are not such as the model takes."""
        arrays = as_tuple(values)
        tensors = self.inputs.tensors
        if len(arrays) != len(tensors):
            names = ", ".join(tensor.name for tensor in tensors)
            raise InputError(f"The model has {len(tensors)} inputs ({names}). Received: {len(arrays)} arrays.")
        for array, tensor in zip(arrays, tensors, strict=True):
            sizes = zip(array.shape[1:], tensor.shape, strict=False)
            fits = array.ndim == len(tensor.shape) + 1 and all(wanted in (None, size) for size, wanted in sizes)
            if array.dtype != tensor.dtype or not fits or len(array) != len(arrays[0]):
                name = f" of input {tensor.name!r}" if len(tensors) > 1 else ""
                raise InputError(
                    f"Items{name} must be {tensor.dtype} [n, {', '.join(map(str, tensor.shape))}]. "
                    f"Received: {array.dtype} {list(array.shape)}."
                )
        return len(arrays[0])
