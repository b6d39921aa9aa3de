import hashlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_up import FORMATS, encoded, photograph
from PIL import Image

from keras_transfer import InputError, decode_image
from keras_transfer.geometry import MODES
from keras_transfer.modalities.image.decode import check_size, decode, luma, sniff, to_rgb


def colour(mode: str, value: object, format_: str, **options: object) -> list[int]:
    """What a picture of one colour comes out as."""
    pixels = decode_image(encoded(Image.new(mode, (16, 16), value), format_, **options))  # type: ignore[arg-type]
    assert pixels.dtype == np.uint8 and pixels.shape == (16, 16, 3)
    assert np.ptp(pixels, axis=(0, 1)).max() == 0
    return pixels[0, 0].tolist()


@pytest.mark.parametrize(
    ("mode", "value", "format_", "expected"),
    [
        ("RGB", (10, 200, 30), "PNG", [10, 200, 30]),
        ("RGB", (10, 200, 30), "BMP", [10, 200, 30]),
        ("L", 77, "PNG", [77, 77, 77]),
        ("L", 77, "BMP", [77, 77, 77]),
        ("1", 1, "PNG", [255, 255, 255]),
        ("1", 0, "PNG", [0, 0, 0]),
        ("LA", (0, 0), "PNG", [255, 255, 255]),
        ("LA", (40, 255), "PNG", [40, 40, 40]),
        ("RGBA", (0, 0, 0, 0), "PNG", [255, 255, 255]),
        ("RGBA", (0, 0, 0, 128), "PNG", [127, 127, 127]),
        ("RGBA", (9, 8, 7, 255), "PNG", [9, 8, 7]),
        ("I;16", 0, "PNG", [0, 0, 0]),
        ("I;16", 257 * 100, "PNG", [100, 100, 100]),
        ("I;16", 65535, "PNG", [255, 255, 255]),
    ],
)
def test_modes_become_the_rgb_that_a_person_expects(
    mode: str, value: object, format_: str, expected: list[int]
) -> None:
    assert colour(mode, value, format_) == expected


def test_lossless_and_lossy_webp() -> None:
    assert colour("RGB", (10, 200, 30), "WEBP", lossless=True) == [10, 200, 30]
    assert colour("RGBA", (10, 200, 30, 0), "WEBP", lossless=True) == [255, 255, 255]
    assert np.allclose(colour("RGB", (10, 200, 30), "WEBP", quality=95), [10, 200, 30], atol=6)


def test_jpeg_gray_and_colour() -> None:
    assert np.allclose(colour("RGB", (10, 200, 30), "JPEG", quality=95), [10, 200, 30], atol=3)
    assert np.allclose(colour("L", 90, "JPEG"), [90, 90, 90], atol=1)


def test_cmyk_with_and_without_adobes_marker() -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    with_marker = encoded(inks, "JPEG", quality=95)
    red = decode_image(with_marker)[8, 8]
    assert red[0] > 240 and red[1] < 20 and red[2] < 20
    at = with_marker.index(b"\xff\xee")
    length = int.from_bytes(with_marker[at + 2 : at + 4], "big")
    # Without the marker the stored values are not inverted: these, which are the inverse, are cyan and black's lack.
    plain = decode_image(with_marker[:at] + with_marker[at + 2 + length :])[8, 8]
    assert plain.tolist() == np.asarray(Image.new("CMYK", (1, 1), (255, 0, 0, 255)).convert("RGB"))[0, 0].tolist()


def test_palette_with_transparency() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([255, 0, 0, 0, 0, 255])
    assert decode_image(encoded(image, "PNG"))[0, 0].tolist() == [0, 0, 255]
    assert decode_image(encoded(image, "PNG", transparency=1))[0, 0].tolist() == [255, 255, 255]
    assert decode_image(encoded(image, "PNG", transparency=b"\xff\x00"))[0, 0].tolist() == [255, 255, 255]
    assert decode_image(encoded(image, "GIF", transparency=1))[0, 0].tolist() == [255, 255, 255]
    assert decode_image(encoded(image, "GIF"))[0, 0].tolist() == [0, 0, 255]


def test_rgb_and_gray_png_with_a_transparent_colour() -> None:
    assert colour("RGB", (1, 2, 3), "PNG", transparency=(1, 2, 3)) == [255, 255, 255]
    assert colour("L", 7, "PNG", transparency=7) == [255, 255, 255]


def test_sixteen_bit_rgb_png() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">3H", 257 * 10, 257 * 200, 65535) * 4
    body = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(row * 4))
    pixels = decode_image(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b""))
    assert pixels[0, 0].tolist() == [10, 200, 255]


def test_modes_that_no_file_of_ours_has() -> None:
    floats = to_rgb(Image.fromarray(np.full((2, 2), 300.0, np.float32)))
    assert np.asarray(floats)[0, 0].tolist() == [255, 255, 255]
    premultiplied = Image.new("RGBA", (2, 2), (200, 0, 0, 128)).convert("RGBa")
    assert np.allclose(np.asarray(to_rgb(premultiplied))[0, 0], [227, 127, 127], atol=2)


@pytest.mark.parametrize("format_", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(format_: str) -> None:
    frames = [Image.new("RGB", (8, 8), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if format_ == "WEBP" else {}
    content = encoded(frames[0], format_, save_all=True, append_images=frames[1:], duration=50, **options)
    assert decode_image(content)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_exif_orientation_is_obeyed(orientation: int, format_: str) -> None:
    # Quadrants of the upright picture, 64 wide and 32 high.
    upright = np.zeros((32, 64, 3), np.uint8)
    upright[:16, :32] = (250, 0, 0)
    upright[:16, 32:] = (0, 250, 0)
    upright[16:, :32] = (0, 0, 250)
    # What a camera stores so that, turned as the tag says, it stands upright.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), format_, exif=exif.tobytes(), quality=95)
    picture = decode(content)
    assert (picture.width, picture.height) == (64, 32)
    for y, x, expected in ((8, 16, (250, 0, 0)), (8, 48, (0, 250, 0)), (24, 16, (0, 0, 250)), (24, 48, (0, 0, 0))):
        assert np.allclose(picture.pixels[y, x], expected, atol=8)
    assert decode_image(content, (20, 30)).shape == (20, 30, 3)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_damaged_exif_is_no_reason_to_refuse_a_picture_nor_to_warn(exif: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(encoded(photograph(0), exif=exif)).shape == (80, 96, 3)


def test_resize_is_pillows_antialiased_bilinear_on_the_centre() -> None:
    image = photograph(3, (200, 150))
    box = (12.5, 9.375, 187.5, 140.625)
    expected = np.asarray(image.resize((64, 48), Image.Resampling.BILINEAR, box))
    assert np.array_equal(decode_image(encoded(image, "PNG"), (48, 64)), expected)
    assert decode_image(encoded(image), 32).shape == (32, 32, 3)
    assert decode_image(encoded(image), 300).shape == (300, 300, 3)


def test_reduced_decoding_of_large_jpegs_is_close_to_the_full_one_and_repeatable() -> None:
    content = encoded(photograph(5, (1600, 1200)), quality=92)
    box = (275, 75, 1325, 1125)
    full = Image.fromarray(decode_image(content)).resize((100, 100), Image.Resampling.BILINEAR, box)
    reduced = decode_image(content, 100)
    assert np.abs(reduced.astype(float) - np.asarray(full)).mean() < 1
    assert np.array_equal(reduced, decode_image(content, 100))


def test_paths_and_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photograph(1)))
    assert np.array_equal(decode_image(path, 64), decode_image(path.read_bytes(), 64))
    assert np.array_equal(decode_image(str(path)), decode_image(path))


def test_the_golden_picture() -> None:
    """Pixels of a fixed PNG at a fixed size: a change here changes what every trained model was trained on."""
    gradient = np.add.outer(np.arange(60), np.arange(90))[..., None] + np.array([0, 40, 80])
    content = encoded(Image.fromarray(gradient.astype(np.uint8)), "PNG")
    pixels = decode_image(content, (7, 5))
    assert pixels[0].tolist()[0] == [37, 77, 117]
    assert hashlib.sha256(pixels.tobytes()).hexdigest()[:16] == GOLDEN


GOLDEN = "7a9177ec3b4cbd5f"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am a text", "not a JPEG"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"II*\0" + b"\0" * 20, "truncated"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"GIF89a", "GIF"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "without pixels"),
        (b"BM" + b"\0" * 12 + struct.pack("<I", 40), "truncated"),
    ],
)
def test_what_is_no_picture_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        decode_image(content)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(format_: str, share: float) -> None:
    content = encoded(photograph(2), format_)
    with pytest.raises(InputError):
        decode_image(content[: int(len(content) * share)])


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_decompression_bombs_are_refused_by_their_header(format_: str) -> None:
    content = bytearray(encoded(Image.new("RGB", (16, 16)), format_))
    if format_ == "JPEG":
        at = content.index(b"\xff\xc0")
        content[at + 5 : at + 9] = struct.pack(">HH", 50000, 50000)
    elif format_ == "PNG":
        content[16:24] = struct.pack(">II", 50000, 50000)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    elif format_ == "WEBP":
        assert content[12:16] == b"VP8 "
        content[26:30] = struct.pack("<HH", 16383, 16383)
    elif format_ == "BMP":
        content[18:26] = struct.pack("<ii", 50000, 50000)
    else:
        content[6:10] = struct.pack("<HH", 65535, 65535)
    with pytest.raises(InputError, match="megapixels"):
        decode_image(bytes(content))


def test_a_png_whose_pixels_changed_is_refused_by_its_checksum() -> None:
    content = bytearray(encoded(photograph(2), "PNG"))
    content[len(content) // 2] ^= 1
    with pytest.raises(InputError, match="checksum"):
        decode_image(bytes(content))


@pytest.mark.parametrize("size", [0, -3, (1, 2, 4), (10, 0), 10**6])
def test_impossible_sizes_are_refused(size: object) -> None:
    with pytest.raises(InputError, match="image_size"):
        check_size(size)  # type: ignore[arg-type]


def test_missing_files_folders_and_impossible_names_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path, "a\0b.jpg"):
        with pytest.raises(InputError):
            decode_image(path)


def test_every_format_is_recognised_by_its_content() -> None:
    for format_ in FORMATS:
        assert sniff(encoded(Image.new("RGB", (16, 16)), format_)) == format_
    assert sniff(io.BytesIO(b"BMW sells cars, this is a text file").read()) == ""


@pytest.mark.parametrize("shape", [(200, 100), (100, 200), (100, 100)])
@pytest.mark.parametrize("size", [(10, 10), (10, 20), (20, 10)])
def test_what_is_resized_keeps_its_proportions(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """A disc in the middle stays a disc, and as large as the shorter side of the window makes it."""
    y, x = np.mgrid[: shape[1], : shape[0]] + 0.5
    disc = (np.hypot(x - shape[0] / 2, y - shape[1] / 2) < 18) * np.uint8(255)
    pixels = decode_image(encoded(Image.fromarray(disc), "PNG"), size)[..., 0] / 255
    scale = size[1] / (0.875 * min(shape[0], shape[1] * size[1] / size[0]))
    assert pixels.sum() == pytest.approx(np.pi * (18 * scale) ** 2, rel=0.03)
    assert np.allclose(pixels, pixels[::-1], atol=0.02) and np.allclose(pixels, pixels[:, ::-1], atol=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_the_wanted_size_stays_as_it_is(mode: str) -> None:
    image = photograph(4, (32, 48))
    assert np.array_equal(decode_image(encoded(image, "PNG"), (48, 32), mode), np.asarray(image))


@pytest.mark.parametrize("mode", MODES)
def test_a_jpeg_that_is_reduced_while_it_is_decoded_shows_the_same(mode: str) -> None:
    image = photograph(5, (1300, 900)).resize((1300, 900))
    whole, reduced = encoded(image, "PNG"), encoded(image, "JPEG", quality=98)
    found = [decode_image(content, 60, mode).astype(int) for content in (whole, reduced)]
    assert np.abs(found[0] - found[1]).mean() < 4


def test_a_geometry_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(InputError, match=r"`mode` must be crop, squash or letterbox.*mode='zoom'"):
        decode_image(encoded(Image.new("RGB", (4, 4)), "PNG"), 2, "zoom")


def test_one_channel_is_the_luma_of_the_resized_picture() -> None:
    content = encoded(photograph(60), "PNG")
    gray = decode_image(content, (32, 48, 1))
    assert gray.dtype == np.uint8 and gray.shape == (32, 48, 1)
    assert np.array_equal(gray, luma(decode_image(content, (32, 48))))


def test_luma_is_that_of_pillow() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    assert np.array_equal(luma(rgb)[..., 0], np.asarray(Image.fromarray(rgb).convert("L")))
    grays = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.array_equal(luma(grays)[:, 0], np.arange(256))


@pytest.mark.parametrize("size", [(8, 8, 4), (8, 8, 2), (8,), (8, 8, 3, 1), (0, 8, 1)])
def test_sizes_of_other_channels_are_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="image_size"):
        check_size(size)  # type: ignore[arg-type]
