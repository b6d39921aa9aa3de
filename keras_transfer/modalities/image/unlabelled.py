"""Photographs of which nobody says what they show: files of a folder, whatever folders it holds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_transfer.data.folders import files_below
from keras_transfer.data.split import Paths
from keras_transfer.errors import InputError
from keras_transfer.modalities.image.decode import EXTENSIONS
from keras_transfer.modalities.image.examine import examine
from keras_transfer.modalities.image.preparer import ImagePreparer, ImageSplit


def list_photographs(folder: str | Path) -> tuple[ImageSplit, list[str]]:
    """All usable pictures of a folder and of the folders in it, without labels.

    Args:
        folder: it, or one picture.

    Returns:
        A split named after the folder, whose labels are all 0 of one class `""`; and what could not be used, a sentence
        a file.

    Raises:
        InputError: there is no such folder, or no usable picture in it.
    """
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"There is no folder {folder}. Give a folder of photographs.")
    paths = [folder] if folder.is_file() else list(files_below(folder))
    paths = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    looked = examine(paths).items
    problems = [f"{path}: {found.problem}" for path, found in zip(paths, looked, strict=True) if found.problem]
    good = [(path, found) for path, found in zip(paths, looked, strict=True) if not found.problem]
    if not good:
        why = f": {problems[0]}" if problems else f" ({', '.join(sorted(EXTENSIONS))})"
        raise InputError(f"{folder} holds no usable photograph{why}.")
    hashes = [found.sha256 for _, found in good]
    return without_labels(folder.name or str(folder), [path for path, _ in good], hashes), problems


def without_labels(name: str, paths: Sequence[Path], hashes: Sequence[str]) -> ImageSplit:
    """A split of files whose labels are unknown: all 0, of one class `""`."""
    return ImageSplit(name, Paths(paths), np.zeros(len(paths), np.int32), list(hashes), [""], ImagePreparer())
