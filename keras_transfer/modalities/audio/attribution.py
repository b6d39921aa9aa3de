"""Which places of a spectrogram a class depends on: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

Grad-CAM needs one map of a whole clip, which a network that hears a clip window by window does not have.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.inputs import Array
from keras_transfer.models.graph import start_of
from keras_transfer.models.head import class_scores, scores_of

_STEPS = 3  # between silence and the clip
_BLUR = 20  # a place is a twentieth of the picture's side: single frames and bands say little


def sound_weights(model: keras.Model, clips: Array, columns: Array) -> NDArray[np.float32] | None:
    """How much each place of a clip's log-mel spectrogram speaks for a class, against silence.

    Args:
        model: a functional classifier with a layer `log_mel`.
        clips: `float32 [n, samples]`.
        columns: int `[n]`, for each clip the class that is asked for.

    Returns:
        `float32 [n, frames, mels]` in 0..1, 1 being the clip's strongest place (all 0 where none speaks for it);
        None where the model has no such layer.
    """
    import tensorflow as tf
    from scipy.ndimage import gaussian_filter

    layer = next((layer for layer in model.layers if layer.name == "log_mel"), None)
    if layer is None:
        return None
    below, above = keras.Model(start_of(model), layer.output), keras.Model(layer.output, scores_of(model))

    @tf.function(reduce_retracing=True, jit_compile=False, autograph=False)
    def slopes(spectra: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(spectra)
            asked = class_scores(above(spectra, training=False), chosen)
        return tape.gradient(asked, spectra)

    weights = []
    for clip, column in zip(clips, columns, strict=True):
        spectrum = np.asarray(below(clip[None], training=False))
        silence = np.full_like(spectrum, spectrum.min())
        shares = ((np.arange(_STEPS, dtype=np.float32) + 0.5) / _STEPS)[:, None, None]
        between = silence + shares * (spectrum - silence)
        whole = ((spectrum - silence) * slopes(between, np.full(_STEPS, column, np.int32)).numpy().mean(axis=0))[0]
        places = np.maximum(gaussian_filter(whole, [side / _BLUR for side in whole.shape]), 0)
        weights.append(places / max(float(places.max()), 1e-12))
    return np.array(weights, np.float32) if weights else None
