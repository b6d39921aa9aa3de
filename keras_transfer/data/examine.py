"""One look at each file: what it is, what it holds, and what is wrong with it."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_transfer.data.decode import EXTENSIONS, FORMATS, Picture, decode, read, sniff
from keras_transfer.data.duplicates import THUMBNAIL, thumbnail
from keras_transfer.data.parallel import ordered
from keras_transfer.errors import InputError
from keras_transfer.geometry import Geometry
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


class Examined(NamedTuple):
    """What a look at one file found; `thumbnail` is `None` where there is a `problem`; `note` is a key of `NOTES`."""

    sha256: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""
    thumbnail: np.ndarray | None = None
    note: str = ""


def examine(paths: Sequence[Path]) -> tuple[list[Examined], np.ndarray]:
    """Looks at each file once, in parallel, with a progress bar; damaged files are told by `problem`, never raised.

    Args:
        paths: files, in any state.

    Returns:
        One `Examined` a path, in order; and their thumbnails, `uint8 [n, 32, 32]`, zeros where there is a problem: in
        one piece, since a hundred thousand small arrays leave memory that nothing else fits into.

    >>> from pathlib import Path
    >>> examine([Path("no/such.jpg")])[0][0].problem
    'no such file'
    """
    found, thumbnails = [], np.zeros((len(paths), THUMBNAIL, THUMBNAIL), np.uint8)
    for i, one in enumerate(track(ordered(examine_file, paths), "Examining photographs", total=len(paths))):
        if one.thumbnail is not None:
            thumbnails[i] = one.thumbnail
        found.append(one._replace(thumbnail=None))
    return found, thumbnails


def examine_file(path: Path) -> Examined:
    """Reads, hashes and decodes one file."""
    sha256 = ""
    try:
        content = read(path)
        sha256 = hashlib.sha256(content).hexdigest()
        expected, found = EXTENSIONS.get(path.suffix.lower(), path.suffix), sniff(content)
        if content and not found and path.suffix.lower() not in EXTENSIONS:
            raise InputError(f"not an image: neither name nor content is {FORMATS}")
        picture = decode(content, THUMBNAIL, _WHOLE)
        if path.suffix and expected != found:
            raise InputError(f"mislabelled extension: {path.suffix} holds a {found}")
        if found == "JPEG":
            _refuse_corrupt_jpeg(content)
    except InputError as error:
        return Examined(sha256=sha256, problem=str(error))
    size = (picture.width, picture.height)
    return Examined(sha256, picture.format, *size, "", thumbnail(picture.pixels), _note(content, picture))


def _note(content: bytes, picture: Picture) -> str:
    if picture.format == "TIFF":
        from keras_transfer.data.tiff import page_count

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
