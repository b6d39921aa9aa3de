"""Items without labels: the files of a folder, whatever folders it holds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_transfer.data.dataset import Reader
from keras_transfer.data.folders import files_below
from keras_transfer.data.split import Paths, Split
from keras_transfer.errors import InputError


def list_unlabelled(
    folder: str | Path, reader: Reader, parts: Callable[[str], Sequence[str]] = lambda name: [name]
) -> tuple[Split, list[str]]:
    """All usable items of a folder and of the folders in it, without labels.

    Args:
        folder: it, or one file.
        reader: of the items' modality.
        parts: the names of the items that a file holds, such as the windows of a long recording, or a table's rows.

    Returns:
        A split named after the folder, whose labels are all 0 of one class `""`; and a sentence for each file that
        cannot be used.

    Raises:
        InputError: there is no such folder, or no usable item in it.
    """
    folder, kind = Path(folder), reader.kind
    if not folder.exists():
        raise InputError(f"There is no folder {folder}. Give a folder of {kind.items}.")
    paths = [folder] if folder.is_file() else list(files_below(folder))
    own = [path for path in paths if folder.is_file() or path.suffix.lower() in kind.extensions]
    paths = [Path(name) for path in own for name in parts(str(path))]
    examined = list(zip(paths, reader.examine(paths).items, strict=True))
    problems = [f"{path}: {item.problem}" for path, item in examined if item.problem]
    good = [(path, item.sha256) for path, item in examined if not item.problem]
    if not good:
        why = f": {problems[0]}" if problems else f" ({', '.join(sorted(kind.extensions))})"
        raise InputError(f"{folder} holds no usable {kind.item}{why}.")
    name, files, hashes = folder.name or str(folder), [path for path, _ in good], [digest for _, digest in good]
    return split_of_files(name, files, hashes, reader), problems


def split_of_files(name: str, paths: Sequence[Path], hashes: Sequence[str], reader: Reader) -> Split:
    """A split of files whose labels are unknown: all 0, of one class `""`."""
    labels = np.zeros(len(paths), np.int32)
    return reader.split(Split(name, Paths(paths), labels, list(hashes), [""], reader.preparer()))


def unlabelled(split: Split) -> Split:
    """The same items without their labels."""
    return replace(split, labels=np.zeros(len(split), np.int32), class_names=[""])
