"""Data sets by name."""

import keras_transfer as kt


def test_digits_are_all_there_and_split(tmp_path, monkeypatch):
    data = kt.load_images("digits")
    assert data.class_names == list("0123456789") and len(data.records) == 1797
    assert min(len(data.train), len(data.val), len(data.test)) > 200
    pixels = data.test.take(range(20)).pixels(24)
    assert pixels.shape == (20, 24, 24, 3) and pixels.min() == 0 and pixels.max() > 200
    # A folder of that name is the user's own and comes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    try:
        kt.load_images("digits")
    except kt.InputError as error:
        assert "digits" in str(error)
    else:
        raise AssertionError("an empty folder was taken for the embedded digits")
