"""Opening a `.keras` file from anywhere: its parts are looked at before Keras is let near them."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError
from keras_transfer.inputs import Json

if TYPE_CHECKING:
    import keras

_CONFIG_LIMIT = 64 << 20  # bytes; the configuration of EfficientNetV2L, the deepest application, is under 2 MiB
_EXPANSION_LIMIT = 100  # unpacked bytes for each packed one; Keras itself stores members unpacked
_PARTS = {"config.json", "metadata.json"}
_IN_PYTHON = (
    "From Python, where its code is known, give the model itself to `keras_transfer.export` and "
    "`keras_transfer.evaluate`; or build it from Keras's own layers"
)


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
    saved_by = check_keras(path)
    from keras_transfer.models.loading import load_model

    try:
        return load_model(path)
    except InputError as error:
        if not saved_by.startswith("2."):
            raise
        raise InputError(
            f"{path} was saved by Keras {saved_by}, whose models Keras 3 does not load ({error}). Convert it: python "
            f"-c \"import tf_keras, keras; tf_keras.models.load_model('{path}').save('old.h5'); "
            "keras.models.load_model('old.h5').save('new.keras')\"."
        ) from error


def check_keras(path: Path) -> str:
    """The version of Keras that saved a `.keras` file, of which nothing but its configuration is read.

    Raises:
        InputError: as `load_keras`, but for what only loading shows.
    """
    _refuse_others(path)
    config, saved_by = _read_config(path)
    own = {key: value for key, value in config.items() if key != "compile_config"}  # which is not loaded
    foreign = sorted({name for name in _custom_objects(own) if not _is_registered(name)})
    if foreign:
        raise InputError(
            f"{path} needs Python code that no model file brings ({', '.join(foreign[:5])}): classes of your own and "
            f"Lambda layers are not run. {_IN_PYTHON}."
        )
    return saved_by


def starts_with(path: Path, offset: int, length: int = 4) -> bytes:
    """Some of a file's first bytes, by which its format is known; nothing of a folder.

    Raises:
        InputError: there is no such file.
    """
    if path.is_dir():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(offset + length)[offset:]
    except OSError as error:
        raise InputError(f"Cannot open the model {path}: {error.strerror or error}. Check the path.") from error


def _refuse_others(path: Path) -> None:
    """Raises `InputError` for files and folders of other formats, with the way to a `.keras` file."""
    if (path / "saved_model.pb").is_file():
        raise InputError(
            f"{path} is a SavedModel, a graph without Keras's layers. Give the .keras file of the model that it was "
            "made from: model.save('model.keras')."
        )
    if path.is_dir():
        raise InputError(f"{path} holds no model.keras. Give a finished run directory, a .keras or a .tflite file.")
    start = starts_with(path, 0, 8)
    if start == b"\x89HDF\r\n\x1a\n":
        raise InputError(_about_hdf5(path))
    if start[:4] != b"PK\x03\x04":
        raise InputError(f"The model must be a .keras or a .tflite file. Received: {path}, which is neither.")


def _about_hdf5(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path) as file:
            whole = "model_config" in file.attrs
    except (OSError, RuntimeError, KeyError) as error:
        return f"{path} is a damaged HDF5 file ({' '.join(str(error).split())}). Save the model as .keras."
    if not whole:
        return (
            f"{path} holds weights alone. Build the model, give it these by model.load_weights('{path}'), and save all "
            "of it by model.save('model.keras')."
        )
    return (
        f'{path} is a model in the old HDF5 format. Save it as .keras: python -c "import keras; '
        f"keras.models.load_model('{path}').save('{path.with_suffix('.keras')}')\"."
    )


def _read_config(path: Path) -> tuple[dict[str, Json], str]:
    """The configuration that a `.keras` file holds, and the version of Keras that wrote it."""
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
            metadata = json.loads(archive.read("metadata.json"))
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
    return config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def _custom_objects(config: Json) -> Iterator[str]:
    """Names of what a saved configuration wants that Keras does not have, and of Lambda layers."""
    waiting: list[Json] = [config]
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
            elif not _ours(value, name):
                yield str(value.get("registered_name") or name)


def _ours(value: Mapping[str, Json], name: str) -> bool:
    """Whether a saved object is Keras's own, KerasHub's, or a layer that this package registers (its hub features)."""
    if "registered_name" not in value:
        return True
    module, registered = str(value.get("module")).split(".")[0], str(value["registered_name"])
    return module in ("keras", "keras_hub") or registered.startswith("keras_transfer>")


def _is_registered(name: str) -> bool:
    """Whether this process knows a class by `keras.saving.register_keras_serializable`: its code runs here already."""
    import keras

    return keras.saving.get_registered_object(name) is not None
