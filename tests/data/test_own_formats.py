"""TIFF, AVIF and HEIC as cameras, scanners and microscopes write them, and as nobody should."""

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up import encoded, photograph
from PIL import Image, ImageCms

from keras_transfer import InputError, decode_image, load_images
from keras_transfer.modalities.image.decode import decode, sniff
from keras_transfer.modalities.image.examine import examine_file, image_size
from keras_transfer.modalities.image.isobmff import GAP, check_av1, check_hevc, coded_items
from keras_transfer.modalities.image.tiff import MAX_PARTS, first_page

COLOUR = (10, 200, 30)
Tags = dict[int, int | tuple[int, ...]]


def tiff(tags: Tags, strips: bytes | list[bytes], order: str = "<") -> bytes:
    """A TIFF with these tags (all as 32-bit numbers) and, unless they say where, these strips."""
    strips = [strips] if isinstance(strips, bytes) else strips
    starts = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    where: Tags = {} if 324 in tags else {273: tuple(starts), 279: tuple(map(len, strips))}
    values: dict[int, tuple[int, ...]] = {
        tag: value if isinstance(value, tuple) else (value,) for tag, value in sorted({**tags, **where}.items())
    }
    body, at = b"".join(strips), 8 + sum(map(len, strips))
    entries = b""
    for tag, value in values.items():
        packed = struct.pack(f"{order}{len(value)}I", *value)
        if len(value) > 1:
            body, packed, at = body + packed, struct.pack(order + "I", at), at + len(packed)
        entries += struct.pack(order + "HHI", tag, 4, len(value)) + packed.ljust(4, b"\0")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, at)
    return head + body + struct.pack(order + "H", len(values)) + entries + struct.pack(order + "I", 0)


def gray(bits: int, value: int, order: str = "<", **more: int) -> bytes:
    tags: Tags = {256: 4, 257: 4, 258: bits, 259: 1, 262: 1, 277: 1, 278: 4}
    pixels = struct.pack(f"{order}16{'BH'[bits // 16]}", *[value] * 16)
    return tiff(tags | {int(tag[1:]): v for tag, v in more.items()}, pixels, order)


def rgb(data: bytes | list[bytes], bits: int = 8, **more: int) -> bytes:
    tags: Tags = {256: 4, 257: 4, 258: (bits,) * 3, 259: 1, 262: 2, 277: 3, 278: 4}
    return tiff(tags | {int(tag[1:]): value for tag, value in more.items()}, data)


PLAIN = bytes(COLOUR) * 16
KINDS: dict[str, tuple[bytes, tuple[int, int, int]]] = {
    **{
        f"RGB {method}": (encoded(Image.new("RGB", (33, 17), COLOUR), "TIFF", compression=method), COLOUR)
        for method in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd")
    },
    **{
        f"document {method}": (encoded(Image.new("1", (33, 17), 1), "TIFF", compression=method), (255, 255, 255))
        for method in ("group3", "group4", "tiff_ccitt")
    },
    "BigTIFF": (encoded(Image.new("RGB", (33, 17), COLOUR), "TIFF", big_tiff=True), COLOUR),
    "palette": (encoded(Image.new("RGB", (33, 17), COLOUR).quantize(4), "TIFF"), COLOUR),
    "CMYK": (encoded(Image.new("CMYK", (33, 17), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "transparent": (encoded(Image.new("RGBA", (33, 17), (*COLOUR, 0)), "TIFF"), (255, 255, 255)),
    "8 bits, 0 is black": (gray(8, 77), (77, 77, 77)),
    "8 bits, 0 is white": (gray(8, 55, t262=0), (200, 200, 200)),
    "16 bits": (gray(16, 100 * 257), (100, 100, 100)),
    "16 bits, big-endian": (gray(16, 100 * 257, ">"), (100, 100, 100)),
    "16 bits, 0 is white": (gray(16, 100 * 257, t262=0), (155, 155, 155)),
    "16 bits, 0 is white, big-endian": (gray(16, 100 * 257, ">", t262=0), (155, 155, 155)),
    "16 bits RGB": (rgb(struct.pack("<3H", *(257 * v for v in COLOUR)) * 16, 16), COLOUR),
    "a plane a channel": (rgb([bytes([v]) * 16 for v in COLOUR], t284=2), COLOUR),
    "many strips": (rgb([PLAIN[:12]] * 4, t278=1), COLOUR),
    "rows beyond the height": (rgb(PLAIN, t278=2**32 - 1), COLOUR),
    "tiles": (
        tiff({256: 4, 257: 4, 258: (8, 8, 8), 259: 1, 262: 2, 277: 3, 322: 16, 323: 16, 324: 8, 325: 768},
             bytes(COLOUR) * 256),
        COLOUR,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tiff_shows_its_colour(kind: str) -> None:
    content, colour = KINDS[kind]
    pixels = decode_image(content)
    assert sniff(content) == "TIFF" and np.ptp(pixels, axis=(0, 1)).max() == 0
    assert np.abs(pixels[0, 0].astype(int) - colour).max() <= 1


@pytest.mark.parametrize("format_", ["TIFF", "AVIF", "HEIC"])
def test_a_photograph_survives(format_: str) -> None:
    image = photograph(6, (128, 96))
    options = {"compression": "jpeg"} if format_ == "TIFF" else {}
    difference = np.abs(decode_image(encoded(image, format_, quality=95, **options)).astype(int) - np.asarray(image))
    assert difference.mean() < 8 and decode(encoded(image, format_), 32).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("L", 77, 77),
        ("LA", (77, 255), 77),
        ("RGBA", (9, 9, 9, 255), 9),
        ("RGBA", (9, 9, 9, 0), 255),
        ("I;16", 25700, 100),
    ],
)
def test_modes_of_heic(mode: str, value: object, expected: int) -> None:
    content = encoded(Image.new(mode, (64, 48), value), "HEIC", quality=-1)  # type: ignore[arg-type]
    assert np.abs(decode_image(content).astype(int) - expected).max() <= 1


def test_heic_in_tiles_with_a_thumbnail_is_the_whole_picture() -> None:
    image = photograph(7, (400, 300))
    assert np.abs(
        decode_image(encoded(image, "HEIC", tile_size=128, quality=90, thumbnails=[200]), 32).astype(int)
        - decode_image(encoded(image, "PNG"), 32)
    ).mean() < 4  # fmt: skip
    with_thumbnail = encoded(image, "HEIC", quality=90, thumbnails=[200])
    assert np.array_equal(decode_image(with_thumbnail, 32), decode_image(encoded(image, "HEIC", quality=90), 32))


@pytest.mark.parametrize("format_", ["AVIF", "HEIC"])
def test_the_containers_own_rotation_counts_and_exif_does_not(format_: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.new("RGB", (64, 32)), format_, exif=exif.tobytes())
    assert b"irot" in turned and decode(turned).pixels.shape == (64, 32, 3)
    del exif[0x0112]
    exif[0x0128] = 6  # a unit, which becomes the orientation
    only_exif = encoded(Image.new("RGB", (64, 32)), format_, exif=exif.tobytes())
    only_exif = only_exif.replace(b"\x01\x28\0\x03", b"\x01\x12\0\x03")
    assert b"irot" not in only_exif and b"\x01\x12\0\x03" in only_exif
    assert decode(only_exif).pixels.shape == (32, 64, 3)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_pixels_are_taken_as_they_are_stored_whatever_the_profile(format_: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    image = photograph(8)
    assert np.array_equal(
        decode_image(encoded(image, format_, icc_profile=profile)), decode_image(encoded(image, format_))
    )


@pytest.mark.parametrize("format_", ["TIFF", "AVIF", "HEIC"])
@pytest.mark.parametrize("exif", [b"Exif\0\0II", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"])
def test_damaged_exif_is_no_reason_to_refuse_nor_to_warn(format_: str, exif: bytes) -> None:
    whole = Image.Exif()
    whole[0x010E] = "0123456789" * 3
    content = encoded(photograph(0), format_, exif=whole.tobytes())
    content = content.replace(b"0123456789" * 3, exif.ljust(30, b"\xff"))
    if format_ != "TIFF":
        content = content.replace(whole.tobytes()[6:20], exif.removeprefix(b"Exif\0\0").ljust(14, b"\xff"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode_image(content).shape == (80, 96, 3)


def promising(content: bytes, side: int) -> bytes:
    """The picture of 64 x 64 pixels, its header promising more."""
    if content[4:8] == b"ftyp":
        return content.replace(
            b"ispe\0\0\0\0" + struct.pack(">II", 64, 64), b"ispe\0\0\0\0" + struct.pack(">II", side, side)
        )
    return tiff({256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, 278: side}, bytes(4096))


@pytest.mark.parametrize("format_", ["TIFF", "AVIF", "HEIC"])
def test_bombs_are_refused_by_their_header(format_: str) -> None:
    content = promising(encoded(Image.new("RGB", (64, 64)), format_), 16000)
    with pytest.raises(InputError, match=r"16000 x 16000 pixels is over the limit"):
        decode_image(content)


def holed(content: bytes, length: int) -> bytes:
    """With a stretch of zeros in the middle of its data, as a failed copy leaves."""
    middle = len(content) // 2
    return content[:middle] + bytes(length) + content[middle + length :]


@pytest.mark.parametrize(("format_", "length"), [("AVIF", GAP), ("HEIC", 3), ("HEIC", 500)])
def test_a_hole_in_data_without_checksums_is_found(format_: str, length: int) -> None:
    content = encoded(photograph(3, (300, 200)), format_, quality=90)
    assert decode_image(content).shape == (200, 300, 3)
    with pytest.raises(InputError, match=f"damaged {format_}: a stretch of zeros"):
        decode_image(holed(content, length))


ITEMS: dict[str, tuple[str, dict[str, object], int]] = {
    "one AVIF": ("AVIF", {}, 1),
    "AVIF with alpha": ("AVIF", {"alpha": True}, 2),
    "one HEIC": ("HEIC", {}, 1),
    "HEIC with a thumbnail": ("HEIC", {"thumbnails": [64]}, 2),
    "HEIC in tiles": ("HEIC", {"tile_size": 64}, 12),
}


@pytest.mark.parametrize("kind", ITEMS)
def test_every_coded_item_is_found(kind: str) -> None:
    format_, options, count = ITEMS[kind]
    image = photograph(4, (200, 150))
    if "alpha" in options:
        image.putalpha(photograph(5, (200, 150)).convert("L"))
    content = encoded(image, format_, **{name: value for name, value in options.items() if name != "alpha"})
    items = list(coded_items(content, b"av01" if format_ == "AVIF" else b"hvc1"))
    assert len(items) == count and all(item in content for item in items)
    for item in items:
        assert check_av1(item) == [(200, 150)] if format_ == "AVIF" else check_hevc(item) is None


def test_sizes_of_an_animation_that_has_a_full_sequence_header(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [photograph(i, (200, 150)) for i in range(3)]
    content = encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    assert [check_av1(item) for item in coded_items(content, b"av01")] == [[(200, 150)]]
    # 3.2 of the specification's header, written bit by bit: with timing, a decoder model and two operating points.
    bits = "000001" + f"{1:032b}{30:032b}1001011" + f"{7:05b}{9:032b}{3:05b}{3:05b}100001"
    point = f"{1:012b}{9:05b}11" + "0" * 17 + "10000"
    size = f"{9:04b}{9:04b}{639:010b}{479:010b}"
    text = bits + 2 * point + size
    header = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    assert check_av1(bytes([0x0A, len(header)]) + header) == [(640, 480)]


@pytest.mark.parametrize("format_", ["AVIF", "HEIC"])
def test_data_of_more_pixels_than_promised_is_not_decoded(format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("RGB", (512, 512)), format_)
    small = content.replace(struct.pack(">II", 512, 512), struct.pack(">II", 64, 64))
    monkeypatch.setattr("keras_transfer.modalities.image.limits.MAX_PIXELS", 100_000)
    with pytest.raises(InputError, match=r"512 ?x ?512.*(over the limit|exceeds)"):
        decode_image(small)


@given(st.binary(max_size=300), st.integers(0, 2000), st.sampled_from(["AVIF", "HEIC"]))
def test_no_container_crashes_the_checks(piece: bytes, at: int, format_: str) -> None:
    content = CONTAINERS[format_]
    content = content[: at % len(content)] + piece + content[at % len(content) + len(piece) :]
    try:
        for item in coded_items(content, b"av01" if format_ == "AVIF" else b"hvc1"):
            check_av1(item) if format_ == "AVIF" else check_hevc(item)
    except InputError as error:
        assert "\n" not in str(error)


CONTAINERS = {format_: encoded(photograph(9, (64, 64)), format_) for format_ in ("AVIF", "HEIC")}


TILE: Tags = {256: 4, 257: 4, 258: 8, 262: 1, 322: 16, 323: 16, 324: 8, 325: 16}
REFUSED: dict[str, tuple[bytes, str]] = {
    "floating-point": (encoded(Image.new("F", (8, 8), 0.5), "TIFF"), "floating-point samples"),
    "signed": (gray(16, 5, t339=2), "signed samples"),
    "32 bits": (encoded(Image.new("I", (8, 8), 5), "TIFF"), "32 bits"),
    "two kinds of samples": (rgb(PLAIN).replace(struct.pack("<3I", 8, 8, 8), struct.pack("<3I", 8, 8, 16)), "unusual"),
    "five channels": (tiff({256: 4, 257: 4, 258: (8,) * 5, 262: 1, 277: 5, 278: 4}, bytes(80)), "kind that"),
    "old JPEG": (rgb(PLAIN, t259=6), "method 6"),
    "DNG": (rgb(PLAIN, t50706=1), "raw file"),
    "sensor data": (gray(16, 5, t262=32803), "raw file"),
    "raw with a thumbnail first": (rgb(PLAIN, t254=1), "raw file"),
    "CR2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "raw file"),
    "CR3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw file"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\1mp42isom", "video"),
    "no strips": (rgb([], t278=4), "0 strips"),
    "too few strips": (rgb(PLAIN, t278=1), "1 strips or tiles where 4"),
    "a tile beyond the end": (tiff({**TILE, 325: 10**6}, b""), "truncated"),
    "a huge tile": (tiff({**TILE, 322: 2**31, 323: 2**31}, bytes(16)), "megapixels"),
    "millions of strips": (tiff({256: 1, 257: MAX_PARTS + 1, 258: 8, 278: 1}, bytes(4 * MAX_PARTS + 4)).replace(
        struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, MAX_PARTS + 1)), "over the limit"),
    "a directory beyond the end": (b"II*\0\xff\xff\xff\x7f", "truncated"),
    "a directory of 65535 entries": (b"II*\0\x08\0\0\0\xff\xff" + bytes(400), "truncated"),
    "nothing but a header": (b"MM\0*", "truncated"),
    "an empty directory": (b"II*\0\x08\0\0\0" + bytes(40), "without pixels"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_says_why(kind: str) -> None:
    content, reason = REFUSED[kind]
    with pytest.raises(InputError, match=reason) as caught:
        decode_image(content)
    assert "\n" not in str(caught.value)


def test_a_chain_of_pages_that_runs_in_a_circle_ends() -> None:
    content = bytearray(gray(8, 5))
    content[-4:] = content[4:8]  # the next directory is this one
    assert first_page(bytes(content)).pages == 1


@pytest.mark.parametrize(("subfile", "pages"), [(0, 2), (2, 2), (1, 1), (3, 1)])
def test_reduced_copies_are_no_pages(subfile: int, pages: int) -> None:
    content = gray(8, 5)
    second = struct.pack("<HHHIII", 1, 254, 4, 1, subfile, 0)
    assert first_page(content[:-4] + struct.pack("<I", len(content)) + second).pages == pages


def test_a_file_over_a_gibibyte_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.tif").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(InputError, match=r"3\.0 GiB, over the limit"):
        decode_image(tmp_path / "huge.tif")


def test_a_folder_of_every_format(folder: Callable[..., Path]) -> None:
    root = folder(cat=30, dog=30)
    names = {"TIFF": "scan.TIF", "AVIF": "web.avif", "HEIC": "phone.HEIC"}
    for number, (format_, name) in enumerate(names.items()):
        (root / "cat" / name).write_bytes(encoded(photograph(100 + number), format_))
    pages = [photograph(200 + i) for i in range(3)]
    for i in range(2):
        stack = encoded(pages[i], "TIFF", save_all=True, append_images=pages[1:])
        (root / "dog" / f"stack{i}.tiff").write_bytes(stack)
    dark = np.random.default_rng(0).integers(0, 4096, (40, 40)).astype(np.uint16)  # of a 12-bit camera
    (root / "dog" / "dark.tif").write_bytes(encoded(Image.fromarray(dark), "TIFF"))
    (root / "dog" / "cut.heic").write_bytes(encoded(photograph(300), "HEIC")[:-200])
    (root / "dog" / "really.jpg").write_bytes(encoded(photograph(301), "HEIC"))
    data = load_images(root)
    found = {record.path.name: record for record in data.records}
    assert {found[name].facts[2] for name in names.values()} == set(names)
    assert all(found[name].split and image_size(found[name]) == (96, 80) for name in names.values())
    assert {name: record.problem for name, record in found.items() if record.problem} == {
        "cut.heic": "truncated",
        "really.jpg": "mislabelled extension: .jpg holds a HEIC",
    }
    assert [w for w in data.warnings if "several pages" in w] == [
        "2 of 68 files hold several pages, of which the first is used (first: stack0.tiff)."
    ]
    assert sum("nearly black" in warning for warning in data.warnings) == 1
    first = next(i for i, path in enumerate(data.train.paths) if path.suffix in (".jpg", ".TIF", ".tiff"))
    assert data.train.pixels(32)[first].shape == (32, 32, 3)
    assert examine_file(root / "dog" / "stack1.tiff")[0].note == "pages"
    assert np.array_equal(decode_image(root / "dog" / "stack1.tiff"), np.asarray(pages[1]))
