"""Small photographs, made up: smooth blobs of colour with detail, different for every seed."""

import io

import numpy as np
import pillow_heif
from PIL import Image


def photograph(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A picture with large shapes and fine detail, unlike that of any other seed."""
    random = np.random.default_rng(seed)
    layers = [Image.fromarray(random.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize(size, 2) for n in (4, 16)]
    return Image.blend(*layers, 0.4)


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIC")


def encoded(image: Image.Image, format_: str = "JPEG", **options: object) -> bytes:
    if format_ == "HEIC":
        pillow_heif.register_heif_opener()  # the writer comes with it
        format_ = "HEIF"
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()
