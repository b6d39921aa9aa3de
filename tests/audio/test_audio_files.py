"""What files of sounds hold: whole numbers from the spectrogram on, others from the samples on, and what they say."""

import numpy as np
import pytest

from keras_transfer.inputs import InputSpec, TensorSpec
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.audio.builder import build_audio_classifier
from keras_transfer.modalities.audio.front_end import log_mel
from keras_transfer.modalities.audio.modality import MODALITY
from keras_transfer.modalities.audio.preparer import AudioPreparer
from keras_transfer.models import model_inputs


@pytest.mark.parametrize("name", AUDIO_BACKBONES)
def test_whole_numbers_begin_behind_the_front_end(name: str) -> None:
    row = AUDIO_BACKBONES[name]
    samples = row.samples + 100
    model = build_audio_classifier(name, ["a", "b"], samples=samples, weights="none")
    part = MODALITY.quantized_part(model)
    clips = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    spec = AudioPreparer(samples=samples, front_end=row.front_end).spec(model_inputs(part))
    assert spec.tensor.shape == (row.front_end.frames(samples), row.front_end.mels)
    features = np.stack([log_mel(clip, row.front_end) for clip in clips])
    np.testing.assert_allclose(part.predict(features, verbose=0), model.predict(clips, verbose=0), atol=1e-3)
    assert MODALITY.quantized_part(part) is part  # there is no front end any more


def test_files_say_their_rate_and_channels() -> None:
    samples = InputSpec("audio", (TensorSpec("waveform", (8000,)),), {"sample_rate": 8000, "samples": 8000})
    [note] = MODALITY.tensor_notes(samples)
    assert note.content == (4, [("Uint32", 8000), ("Uint32", 1)])
    [note] = MODALITY.tensor_notes(InputSpec("audio", (TensorSpec("log_mel", (96, 64)),), samples.preparation))
    assert note.content is None
