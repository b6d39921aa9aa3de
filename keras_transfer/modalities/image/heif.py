"""AVIF and HEIC: pictures in ISO base media files, with rotation as a property of their own.

Standard: ISO/IEC 23008-12 (HEIF): the properties `irot` and `imir` decide; an orientation in EXIF is information only.
"""

import io
import re
from typing import IO

from PIL import Image

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.isobmff import check_av1, check_hevc, coded_items
from keras_transfer.modalities.image.limits import check_pixels

_HEVC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"))
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{7}|\x03.{9}))Exif", re.DOTALL)


def brand(content: bytes) -> str:
    """Names what an ISO base media file holds, by the brands that it says it is compatible with.

    >>> brand(b"\\0\\0\\0\\x18ftypmif1\\0\\0\\0\\0mif1avif")
    'AVIF'
    """
    size = min(int.from_bytes(content[:4], "big"), 512)
    brands = {content[8:12], *(content[at : at + 4] for at in range(16, size, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    if brands & _HEVC:
        return "HEIC"
    return "a camera's raw file" if b"crx " in brands else "a video"


def open_avif(file: IO[bytes]) -> Image.Image:
    """Opens an AVIF without decoding it; `info["exif"]` holds how to turn it."""
    from PIL import AvifImagePlugin

    if not AvifImagePlugin.SUPPORTED:
        raise InputError("this build of Pillow reads no AVIF: pip install --upgrade pillow")
    content = file.read()
    for data in coded_items(content, b"av01"):
        for width, height in check_av1(data):  # libavif decodes what is there, whatever the header promised
            check_pixels(width, height)
    # Its EXIF is hidden: Pillow would parse it, and warn where it is damaged.
    return AvifImagePlugin.AvifImageFile(io.BytesIO(_EXIF_ITEM.sub(rb"\1free", content)))


def open_heic(file: IO[bytes]) -> Image.Image:
    """Opens a HEIC without decoding it; libheif turns it, and pillow-heif says so in `info["exif"]`."""
    try:
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError as error:
        raise InputError("HEIC needs `pillow-heif`, which is not installed: pip install pillow-heif") from error
    content = file.read()
    for data in coded_items(content, b"hvc1"):
        check_hevc(data)
    image: Image.Image = HeifImageFile(io.BytesIO(content))
    image.info["thumbnails"] = []  # else `draft` would decode one of them in the picture's place
    return image
