"""Some rows of a cache entry as if they were one: what was computed once for a whole serves all its parts."""

from typing import Any

import numpy as np

from keras_transfer.cache import Arrays


class Taken(Arrays):
    """Some rows of all arrays of an open entry, in the place of an entry.

    Args:
        arrays: the open entry; closed with this.
        rows: which rows, int `[n]`.
    """

    def __init__(self, arrays: Arrays, rows: np.ndarray) -> None:
        self.folder, self.about = arrays.folder, arrays.about
        self._arrays, self._rows = arrays, rows

    def __getitem__(self, name: str) -> Any:
        return TakenRows(self._arrays[name], self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def release_pages(self) -> None:
        """See `Arrays`."""
        self._arrays.release_pages()

    def close(self) -> None:
        """See `Arrays`."""
        self._arrays.close()


class TakenRows:
    """Some rows of an array: only those that are asked for are read."""

    def __init__(self, array: Any, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape, self.dtype = (len(rows), *array.shape[1:]), array.dtype

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.asarray(self._array[self._rows[index]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype)
