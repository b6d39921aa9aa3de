"""tensorflow-model-optimization, imported here alone, late, and without what it leaves in the environment."""

import os
import warnings
from types import ModuleType

_VARIABLE = "TF_USE_LEGACY_KERAS"


def load_tfmot() -> ModuleType:
    """Imports `tensorflow_model_optimization`, which works on `tf_keras` models alone.

    Its import sets `TF_USE_LEGACY_KERAS`, which would turn `tf.keras` into Keras 2 in every child process; the variable
    is put back as it was.

    Returns:
        The module.
    """
    import tensorflow as tf

    _ = tf.keras.Model  # tf.keras is resolved on its first use: that must come before the variable is set
    before = os.environ.get(_VARIABLE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tfmot 0.8.1's own, about distutils and invalid escapes
            import tensorflow_model_optimization as tfmot
    finally:
        os.environ.pop(_VARIABLE, None)
        if before is not None:
            os.environ[_VARIABLE] = before
    module: ModuleType = tfmot
    return module
