"""Augmentation of texts: which tokens are left out."""

import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.modalities.text.augmentation import build_augmenter

LENGTHS = (3, 6, 12, 14)


@pytest.mark.parametrize("seed", range(20))
def test_a_stretch_of_each_text_is_cut_off_but_not_its_marks(seed: int) -> None:
    ids = np.zeros((4, 14), np.int32)
    for row, length in enumerate(LENGTHS):
        ids[row, :length] = np.arange(2, 2 + length)
    texts, _ = build_augmenter({"cutoff": 0.4}, 0, 99)(ids, ids[:, 0], seed)
    assert isinstance(texts, np.ndarray) and (texts == 99).sum(axis=1).tolist() == [0, 2, 4, 5]
    for row, length in enumerate(LENGTHS):
        places = np.flatnonzero(texts[row] == 99)
        assert texts[row, 0] == 2 and texts[row, length - 1] == length + 1 and not texts[row, length:].any()
        assert len(places) < 2 or places[-1] - places[0] == len(places) - 1


@pytest.mark.parametrize("asked", [{"cutoff": 1.0}, {"drop": True}, {"cut": 0.1}, {"strength": "huge"}])
def test_other_settings_are_refused(asked: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Augmentation of texts"):
        build_augmenter(asked, 0, 99)  # type: ignore[arg-type]
