import io

import numpy as np
import pytest
from made_up import encoded, photograph
from PIL import Image, ImageOps

from keras_transfer.modalities.image.decode import decode_image
from keras_transfer.modalities.image.duplicates import THUMBNAIL, clusters, near_pairs, thumbnail


def seen(content: bytes) -> np.ndarray:
    return thumbnail(decode_image(content, THUMBNAIL))


CHANGES = {
    "half the size": lambda image: encoded(image.resize((image.width // 2, image.height // 2)), quality=90),
    "recompressed": lambda image: encoded(image, quality=50),
    "cropped": lambda image: encoded(image.crop((8, 6, image.width - 8, image.height - 6))),
    "mirrored": lambda image: encoded(ImageOps.mirror(image)),
    "mirrored and cropped": lambda image: encoded(ImageOps.mirror(image).crop((8, 6, image.width, image.height))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_other_pictures_are_not(change: str) -> None:
    originals = [photograph(i, (320, 240)) for i in range(40)]
    thumbnails = np.stack([seen(encoded(image, quality=90)) for image in originals])
    copies = np.stack([seen(CHANGES[change](image)) for image in originals])
    parts = clusters(np.concatenate([thumbnails, copies]), [str(i) for i in range(80)])
    assert sum(part == [i, i + 40] for i, part in enumerate(parts)) >= 38
    assert all(len(part) <= 2 for part in parts)


def test_flat_pictures_are_near_to_nothing_but_their_own_bytes() -> None:
    flat = np.stack([np.full((32, 32), level, np.uint8) for level in (0, 0, 128, 255, 255)])
    assert clusters(flat, ["a", "b", "c", "d", "d"]) == [[0], [1], [2], [3, 4]]


def test_light_blobs_of_one_shape_are_not_one_picture() -> None:
    """Two different flowers in the middle of a dark field correlate highly; their details do not."""
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    blob = 200 * np.exp(-3 * (x**2 + y**2))
    random = np.random.default_rng(0)
    pictures = np.stack([np.clip(blob + random.normal(0, 9, blob.shape), 0, 255).astype(np.uint8) for _ in range(6)])
    assert not near_pairs(pictures)


def test_many_alike_pictures_stay_apart_from_the_pair_among_them() -> None:
    random = np.random.default_rng(1)
    base = np.asarray(photograph(0).convert("L").resize((32, 32)), float)
    pictures = np.clip(base + random.normal(0, 25, (200, 32, 32)), 0, 255).astype(np.uint8)
    pictures[150] = pictures[20]
    assert {tuple(sorted(pair)) for pair in near_pairs(pictures)} == {(20, 150)}


def test_tiny_pictures_go_together_only_byte_for_byte() -> None:
    picture = seen(encoded(photograph(1)))
    same = np.stack([picture] * 3)
    assert clusters(same, ["a", "b", "a"], np.zeros(3, bool)) == [[0, 2], [1]]
    assert clusters(same, ["a", "b", "c"], np.array([True, False, True])) == [[0, 2], [1]]


def test_thumbnails_weigh_colours_as_the_eye_does() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (255, 0, 0)).save(buffer, "PNG")
    assert thumbnail(decode_image(buffer.getvalue(), THUMBNAIL))[0, 0] == 76
