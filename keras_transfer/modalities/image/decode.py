"""From the bytes of a picture to RGB pixels: the one place where the package decodes and resizes."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from keras_transfer.errors import InputError
from keras_transfer.files import read_file
from keras_transfer.geometry import LEGACY, Geometry
from keras_transfer.inputs import Json
from keras_transfer.modalities.image.heif import brand, open_avif, open_heic
from keras_transfer.modalities.image.limits import check_pixels
from keras_transfer.recipe import check_geometry

FORMATS = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"
EXTENSIONS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    ".webp": "WEBP",
    ".gif": "GIF",
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    ".avif": "AVIF",
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIC"),
}
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


Pixels: TypeAlias = NDArray[np.uint8]
"""Values 0..255: `[H, W, channels]` of one picture, `[n, H, W, channels]` of several."""
Size = int | tuple[int, int] | tuple[int, int, int]
"""What pictures become: the side of a square, `(height, width)` or `(height, width, channels)`; 3 channels unless said.

One channel is the luma of the resized RGB picture: see `luma`.
"""


class Picture(NamedTuple):
    """A decoded picture: `pixels`, `uint8 [H, W, channels]`; `width` and `height` of the whole upright picture."""

    pixels: Pixels
    format: str
    width: int
    height: int


def decode_image(
    source: str | Path | bytes,
    image_size: Size | None = None,
    geometry: str | Mapping[str, Json] | Geometry = LEGACY,
) -> Pixels:
    """Decodes a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC (its first frame or page) to RGB pixels.

    EXIF rotation is obeyed, in AVIF and HEIC the container's own; colour profiles are not: pixels are as they are
    stored. Grayscale, palette, CMYK and 16-bit pictures become 8-bit RGB; what is transparent shows white. With
    `image_size` the picture is fitted to that size as `geometry` says, unless it has that very size; a JPEG over twice
    as large is first reduced by 2, 4 or 8 while it is decoded, which is many times faster for a camera's photographs.

    Args:
        source: the path of a file, or its bytes.
        image_size: `(height, width)` or one number for a square, in pixels; `None` keeps the picture's own size.
            `(height, width, 1)` gives the picture in one channel: see `luma`.
        geometry: that of the model: a `Geometry`, `"crop"`, `"squash"`, `"letterbox"` or a mapping of fields. Models
            without one have `LEGACY`, a centre crop.

    Returns:
        `uint8 [H, W, 3]`, RGB in 0..255; or `uint8 [H, W, 1]`.

    Raises:
        InputError: the file is missing, empty, truncated, damaged, no picture, over 1 GiB, or promises over 100
            megapixels; or there is no such geometry.

    >>> import io
    >>> from PIL import Image
    >>> buffer = io.BytesIO()
    >>> Image.new("L", (8, 4), 200).save(buffer, "PNG")
    >>> decode_image(buffer.getvalue(), image_size=2)[0, 0].tolist()
    [200, 200, 200]
    """
    fitted = check_geometry(geometry)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode(bytes(source), image_size, fitted).pixels
    try:
        return decode(read_file(source), image_size, fitted).pixels
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def check_size(image_size: Size) -> tuple[int, int, int]:
    """Returns `image_size` as `(height, width, channels)`.

    >>> check_size(224), check_size((96, 128, 1))
    ((224, 224, 3), (96, 128, 1))
    """
    sides = (image_size, image_size) if isinstance(image_size, int | np.integer) else tuple(image_size)
    height, width, channels = sides if len(sides) == 3 else (*sides, 3) if len(sides) == 2 else (0, 0, 0)
    if channels not in (1, 3) or not all(
        isinstance(side, int | np.integer) and 0 < side <= 8192 for side in (height, width)
    ):
        raise InputError(
            "`image_size` must be a number of pixels, (height, width) or (height, width, channels), with sides of 1 to "
            f"8192 and 1 or 3 channels. Received: image_size={image_size}"
        )
    return int(height), int(width), int(channels)


def luma(rgb: Pixels) -> Pixels:
    """One channel of RGB pixels: `0.299 R + 0.587 G + 0.114 B` as Pillow computes its mode `L`, in whole numbers.

    This is the one definition, of a picture after it was resized; what runs on devices has the same formula.

    Args:
        rgb: `uint8 [..., 3]`.

    Returns:
        `uint8 [..., 1]`; of a gray pixel its gray.

    >>> luma(np.array([[255, 0, 0], [7, 7, 7]], np.uint8)).tolist()
    [[76], [7]]
    """
    red, green, blue = (rgb[..., channel].astype(np.uint32) for channel in range(3))
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)[..., None]


def decode(content: bytes, image_size: Size | None = None, geometry: Geometry = LEGACY) -> Picture:
    """Decodes the bytes of a picture; as `decode_image`, with the format and the full size."""
    size = None if image_size is None else check_size(image_size)
    if not content:
        raise InputError("empty file")
    format_ = sniff(content)
    if format_ not in _OPEN:
        raise InputError(f"not a {FORMATS} picture" + (f" but {format_}" if format_ else ""))
    try:
        return _decode(content, format_, size, geometry)
    except InputError:
        raise
    except MemoryError as error:
        raise InputError("not enough memory to decode it") from error
    # Pillow's plugins raise nearly anything on damaged files: OSError, SyntaxError, ValueError, struct.error,
    # zlib.error, IndexError, KeyError, OverflowError, EOFError, ...
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if "truncated" in reason.lower() or "end of file" in reason:
            raise InputError("truncated") from error
        raise InputError(f"damaged {format_}: {reason[:120]}") from error


def sniff(content: bytes) -> str:
    """Names the format that the first bytes of a file betray, `""` if none is known.

    >>> sniff(b"GIF89a...")
    'GIF'
    """
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if content[:2] == b"BM" and content[14:18] in _BMP_HEADERS:
        return "BMP"
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF" if content[8:10] != b"CR" else "a camera's raw file"
    if content[4:8] == b"ftyp":
        return brand(content)
    return "PDF" if content[:5] == b"%PDF-" else ""  # not decoded, but worth naming


_BMP_HEADERS = {struct.pack("<I", size) for size in (12, 16, 40, 52, 56, 64, 108, 124)}


class _Jpeg(JpegImagePlugin.JpegImageFile):
    def getexif(self) -> Image.Exif:
        # Pillow looks for a resolution there on opening and warns where EXIF is damaged; warnings cannot be silenced
        # for one thread alone. The orientation is read by `_orientation`.
        return Image.Exif()


def _open_tiff(file: IO[bytes]) -> Image.Image:
    from keras_transfer.modalities.image.tiff import TiffImage

    return TiffImage(file)


# The plugins themselves, not Image.open: that one guesses among formats, and warns or raises by a global limit.
_OPEN: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": _open_tiff,
    "AVIF": open_avif,
    "HEIC": open_heic,
}


def _decode(content: bytes, format_: str, size: tuple[int, int, int] | None, geometry: Geometry) -> Picture:
    content = _CHECKS.get(format_, bytes)(content)
    with _OPEN[format_](io.BytesIO(content)) as image:
        width, height = image.size
        check_pixels(width, height)
        if size is not None:
            least = geometry.least_side(size[1], size[0])
            image.draft(None, (least, least))
        image.load()
        orientation = _orientation(image.info.get("exif") or b"")
        rgb = to_rgb(image)
    if orientation in _TRANSPOSE:
        rgb = rgb.transpose(_TRANSPOSE[orientation])
        if orientation >= 5:
            width, height = height, width
    if size is not None:
        rgb = geometry.fit(rgb, size[1], size[0])
    pixels = np.asarray(rgb)
    return Picture(pixels.copy() if size is None or size[2] == 3 else luma(pixels), format_, width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """Turns a loaded Pillow image of any mode into RGB as a person would expect it to look."""
    mode = image.mode
    if mode.startswith("I;16") or mode in ("I", "F"):
        values = np.asarray(image).astype(np.float32)
        if image.info.get("white_is_zero"):
            values = 65535 - values
        # Pillow's own conversion clips at 255. 16-bit samples span 0..65535 = 257 * 255.
        eight_bit = np.clip(np.rint(values if mode == "F" else values / 257), 0, 255).astype(np.uint8)
        return Image.fromarray(eight_bit).convert("RGB")
    if mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow takes every CMYK JPEG for one of Adobe's, whose values are inverted; only the marker says so.
        image = Image.fromarray(255 - np.asarray(image), "CMYK")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        straight = image if mode in ("RGBA", "LA", "PA") or mode[-1] != "a" else image.convert(mode[:-1] + "A")
        rgba = straight.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if mode == "RGB" else image.convert("RGB")


def _orientation(exif: bytes) -> int:
    """Reads tag 0x0112 of the first directory of an EXIF block; 1 (upright) where it cannot be read."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        for i in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, offset + 2 + 12 * i)
            if tag == 0x0112 and kind == 3:
                return int(value)
    except struct.error:
        pass
    return 1


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (type, start, end) of each chunk, checking by CRC the critical ones, which Pillow does not."""
    position = 8
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, position)
        kind, end = content[position + 4 : position + 8], position + 12 + length
        if end > len(content):
            break
        if not kind[:1].islower() and zlib.crc32(content[position + 4 : end - 4]) != int.from_bytes(
            content[end - 4 : end], "big"
        ):
            raise InputError("damaged PNG: a checksum does not fit")
        yield kind, position, end
        if kind == b"IEND":
            return
        position = end
    raise InputError("truncated")


def _checked_png(content: bytes) -> bytes:
    """Checks every chunk and drops those of an animation, so that the still picture is what is decoded."""
    animation = (b"acTL", b"fcTL", b"fdAT")
    kept = [content[start:end] for kind, start, end in _png_chunks(content) if kind not in animation]
    return content[:8] + b"".join(kept)


def _checked_jpeg(content: bytes) -> bytes:
    # libjpeg fills what is missing after the last whole row of blocks; without an end marker something is.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise InputError("truncated")
    return content


def _checked_webp(content: bytes) -> bytes:
    if int.from_bytes(content[4:8], "little") + 8 > len(content):
        raise InputError("truncated")
    kind, head = content[12:16], content[20:30].ljust(10, b"\0")
    # Pillow's decoder allocates the canvas on opening, before it can be asked for the size.
    if kind == b"VP8X":
        check_pixels(int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1)
    elif kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        check_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif kind == b"VP8 ":
        check_pixels(int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF)
    return content


_CHECKS = {"PNG": _checked_png, "JPEG": _checked_jpeg, "WEBP": _checked_webp}
