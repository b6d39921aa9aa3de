"""Examination: what decodes only by guessing is named."""

from pathlib import Path

from made_up import encoded, photograph

from keras_transfer.modalities.image.examine import examine


def test_corrupt_jpeg_data_that_still_decodes_is_named(tmp_path: Path) -> None:
    content = encoded(photograph(2, (200, 150)), quality=90)
    (tmp_path / "zeroed.jpg").write_bytes(content[:3000] + bytes(1500) + content[4500:])
    (tmp_path / "padded.jpg").write_bytes(content[:-2] + b"\0" * 20 + content[-2:])  # as some cameras do
    looks = examine([tmp_path / "zeroed.jpg", tmp_path / "padded.jpg"])
    (zeroed, padded), thumbnails = looks.items, looks.thumbnails
    assert not thumbnails[0].any() and thumbnails[1].any()
    assert "JPEG" in zeroed.problem and padded.problem == ""
