"""Opening a `.keras` file from anywhere: its parts are looked at before Keras is let near them."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import InputError

if TYPE_CHECKING:
    import keras

_CONFIG_LIMIT = 64 << 20  # bytes; the configuration of EfficientNetV2L, the deepest application, is under 2 MiB
_EXPANSION_LIMIT = 100  # unpacked bytes for each packed one; Keras itself stores members unpacked
_PARTS = {"config.json", "metadata.json"}


def load_keras(path: str | Path) -> "keras.Model":
    """Loads a `.keras` file in safe mode, without its optimizer.

    Args:
        path: the file.

    Returns:
        The model, not compiled.

    Raises:
        InputError: the file is missing, no sound `.keras` file, or needs Python code that is not in Keras.
    """
    path = Path(path)
    foreign = sorted(set(_custom_objects(_read_config(path).get("config"))))
    if foreign:
        raise InputError(
            f"{path} needs Python code that no model file brings ({', '.join(foreign[:5])}): custom objects and Lambda "
            "layers are not run. Export it to .tflite where it was made, or build it from Keras's own layers."
        )
    from keras_transfer.models.loading import load_model

    return load_model(path)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            missing = _PARTS - set(members)
            if missing:
                raise InputError(
                    f"{path} is a zip file but no Keras model: it has no {', '.join(sorted(missing))}. "
                    "Give a file that Keras 3 saved as .keras."
                )
            packed = path.stat().st_size
            unpacked = sum(member.file_size for member in members.values())
            if members["config.json"].file_size > _CONFIG_LIMIT or unpacked > _EXPANSION_LIMIT * packed:
                raise InputError(
                    f"{path} would unpack from {packed:,} to {unpacked:,} bytes, as no Keras model does. "
                    "Get the file again from a source you trust."
                )
            config = json.loads(archive.read("config.json"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path of the model.") from error
    except (OSError, ValueError, RecursionError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is damaged or no Keras model ({error or type(error).__name__}). Save or copy the file again."
        ) from error
    if not isinstance(config, dict):
        raise InputError(f"{path} is no Keras model: its config.json holds a {type(config).__name__}. Save it again.")
    return config


def _custom_objects(config: Any) -> Iterator[str]:
    """Names of what a saved configuration wants that Keras does not have, and of Lambda layers."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
            name = value.get("class_name")
            if not isinstance(name, str):
                continue
            if name in ("Lambda", "__lambda__"):
                yield "a Lambda layer"
            elif name == "function":
                yield str(value.get("config"))
            elif "registered_name" in value and not _ours(value):
                yield str(value["registered_name"] or name)


def _ours(value: dict[str, Any]) -> bool:
    """Whether a saved object is Keras's own, or a layer that this package registers (its hub features)."""
    module, registered = str(value.get("module")).split(".")[0], str(value["registered_name"])
    return module == "keras" or registered.startswith("keras_transfer>")
