"""Opening a `.keras` file from anywhere: in safe mode, and with one sentence where it cannot be."""

import warnings
from pathlib import Path

import keras

from keras_transfer.errors import InputError, in_one_line


def load_model(path: str | Path, *, compile: bool = False) -> keras.Model:  # noqa: A002  (Keras's own word)
    """Loads a `.keras` file in safe mode, so that a file from outside cannot run code.

    Models of `build_classifier` need only Keras to load; those on `hub:` features need this package, and this
    function brings what they need.

    Args:
        path: the file.
        compile: whether to restore the optimizer, loss and metrics.

    Returns:
        The model.

    Raises:
        InputError: there is no such file, or it is not a model that Keras can load in safe mode.
    """
    import keras_transfer.models.hub  # noqa: F401  (registers its layer)

    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no model file {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Keras warns of before it raises; the error says it all
            return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:
        raise InputError(f"{path} cannot be loaded as a Keras model in safe mode: {in_one_line(error)}") from error
