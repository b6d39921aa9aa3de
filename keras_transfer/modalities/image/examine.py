"""Examines each file once: its format, its size, and the problem if it cannot be used."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_transfer.data.dataset import Examined, Record
from keras_transfer.data.parallel import ordered
from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.geometry import Geometry
from keras_transfer.modalities.image.decode import EXTENSIONS, FORMATS, Picture, Pixels, decode, sniff
from keras_transfer.modalities.image.duplicates import SMALLEST, THUMBNAIL, clusters, thumbnail
from keras_transfer.progress import track

DARK = 16
"""Pictures of TIFF or PNG without a value over this, of 255, are remarked on."""
NOTES = {
    "pages": "hold several pages, of which the first is used",
    "dark": f"come out nearly black (no value over {DARK} of 255), as samples of 10 or 12 bits in 16 do: scale them to "
    "the whole range",
}
"""What is said once of files that can be used, by the key that `Examined.note` holds."""
_WHOLE = Geometry("squash", 1.0, "bilinear")  # pictures are compared with each other as a whole


@dataclass(frozen=True, eq=False)
class ImageExamination:
    """See `keras_transfer.data.dataset.Examination`.

    Attributes:
        items: one for each file, in order; their facts are width and height, as seen upright, and format.
        thumbnails: `uint8 [n, 32, 32]`, zeros where there is a problem: in one piece, since a hundred thousand small
            arrays leave memory that nothing else fits into.
    """

    items: list[Examined]
    thumbnails: Pixels

    def clusters(self, indices: Sequence[int], near: bool) -> list[list[int]]:
        """Groups the same and, if they are not tiny, nearly the same pictures."""
        chosen = [self.items[i] for i in indices]
        large = np.array([near and min(image_size(item)) >= SMALLEST for item in chosen])
        return clusters(self.thumbnails[list(indices)], [item.sha256 for item in chosen], large)


def image_size(item: Examined | Record) -> tuple[int, int]:
    """Width and height of a picture, as seen upright; zeros where it was not decoded."""
    return (int(item.facts[0]), int(item.facts[1])) if item.facts else (0, 0)


def examine(paths: Sequence[Path]) -> ImageExamination:
    """Examines each file once, in parallel, with a progress bar; damaged files have a `problem`, and raise nothing.

    Args:
        paths: files, in any state.

    Returns:
        One `Examined` for each path, in order, and their thumbnails.

    >>> from pathlib import Path
    >>> examine([Path("no/such.jpg")]).items[0].problem
    'no such file'
    """
    items, thumbnails = [], np.zeros((len(paths), THUMBNAIL, THUMBNAIL), np.uint8)
    looks = ordered(examine_file, paths)
    for i, (item, small) in enumerate(track(looks, "Examining photographs", total=len(paths))):
        if small is not None:
            thumbnails[i] = small
        items.append(item)
    return ImageExamination(items, thumbnails)


def examine_file(path: Path) -> tuple[Examined, Pixels | None]:
    """Reads, hashes and decodes one file; its thumbnail is None where there is a problem."""
    sha256 = ""
    try:
        content = read_file(path)
        sha256 = hashlib.sha256(content).hexdigest()
        expected, actual = EXTENSIONS.get(path.suffix.lower(), path.suffix), sniff(content)
        if content and not actual and path.suffix.lower() not in EXTENSIONS:
            raise InputError(f"not an image: neither name nor content is {FORMATS}")
        picture = decode(content, THUMBNAIL, _WHOLE)
        if path.suffix and expected != actual:
            raise InputError(f"mislabelled extension: {path.suffix} holds a {actual}")
        if actual == "JPEG":
            _refuse_corrupt_jpeg(content)
    except InputError as error:
        return Examined(sha256=sha256, problem=str(error)), None
    facts = (picture.width, picture.height, picture.format)
    return Examined(sha256, "", facts, _note(content, picture)), thumbnail(picture.pixels)


def _note(content: bytes, picture: Picture) -> str:
    if picture.format == "TIFF":
        from keras_transfer.modalities.image.tiff import page_count

        if page_count(content) > 1:
            return "pages"
    return "dark" if picture.format in ("TIFF", "PNG") and picture.pixels.max() <= DARK else ""


def _refuse_corrupt_jpeg(content: bytes) -> None:
    """Raises on pixel data that libjpeg can only guess at: Pillow shows the guess and hides the library's warning."""
    import simplejpeg

    try:
        # An eighth of the size at the least: all of the data is read, little of it is computed.
        simplejpeg.decode_jpeg(content, colorspace="GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        reason = str(error)
        # Padding before the end marker is harmless, and some cameras write it; what else is said is no word of damage.
        if ("orrupt" in reason or "remature" in reason) and "extraneous bytes before marker 0xd9" not in reason:
            raise InputError(f"damaged JPEG: {reason[:120]}") from error
