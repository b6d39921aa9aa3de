"""Some rows of a cache entry in the place of an entry: what was computed for a whole split serves its parts."""

from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from keras_transfer.cache import Arrays
from keras_transfer.inputs import Array

Index: TypeAlias = "int | slice | Array"


class SelectedArrays(Arrays):
    """Some rows of all arrays of an open entry.

    Args:
        arrays: the open entry; closed with this.
        rows: which rows, int `[n]`.
    """

    def __init__(self, arrays: Arrays, rows: Array) -> None:
        self.folder, self.about = arrays.folder, arrays.about
        self._arrays, self._rows = arrays, rows

    def __getitem__(self, name: str) -> "SelectedRows":  # type: ignore[override]  # read like a memory map
        return SelectedRows(self._arrays[name], self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def release_pages(self) -> None:
        """See `Arrays`."""
        self._arrays.release_pages()

    def close(self) -> None:
        """See `Arrays`."""
        self._arrays.close()


class SelectedRows:
    """Some rows of an array; only those that are asked for are read.

    Args:
        array: `[n, ...]`, in memory or on disk.
        rows: which of its rows, in which order.
    """

    def __init__(self, array: Array, rows: Array) -> None:
        self._array, self._rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Index) -> Array:
        return np.asarray(self._array[self._rows[index]])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        values = self[:]
        return values if dtype is None else values.astype(dtype)
