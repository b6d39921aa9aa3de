"""`.keras` files: opened from anywhere in safe mode, and written with the geometry of the pictures they take."""

import json
import shutil
import tempfile
import warnings
import zipfile
from pathlib import Path

import keras

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.files import replacing
from keras_transfer.inputs import DAMAGED_ARCHIVE, InputSpec, inputs_of, keep_assets, open_asset
from keras_transfer.models.rejection import MEMBER, Rejection

_METADATA = "metadata.json"  # of Keras, which writes its version there and does not read it
_ENTRY = "keras_transfer"
_MOST_METADATA = 1 << 20  # bytes


def load_model(path: str | Path, *, compile: bool = False) -> keras.Model:  # noqa: A002  (Keras's own word)
    """Loads a `.keras` file in safe mode, so that a file from outside cannot run code.

    Models of `build_classifier` need only Keras to load; those on a KerasHub preset need KerasHub as well, those on
    `hub:` features this package, and this function brings what they need.

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
    on_kerashub = _names_kerashub(path)
    if on_kerashub:
        require("keras_hub", "keras-hub", f"The model {path}, built on a KerasHub backbone,")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Keras warns of before it raises; the error says it all
            model = keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:
        raise InputError(f"{path} cannot be loaded as a Keras model in safe mode: {in_one_line(error)}") from error
    if on_kerashub:
        from keras_transfer.models.kerashub import repair_saving

        repair_saving(model)
    return model


def _names_kerashub(path: Path) -> bool:
    """Whether a `.keras` file has layers of KerasHub."""
    try:
        with zipfile.ZipFile(path) as archive:
            return b'"keras_hub.' in archive.read("config.json")
    except (OSError, KeyError, NotImplementedError, RuntimeError, zipfile.BadZipFile):
        return False  # Keras says what is wrong with it


def save_model(model: keras.Model, path: str | Path, inputs: InputSpec, rejection: Rejection | None = None) -> Path:
    """Saves a model as `.keras`, and in its `metadata.json` what its inputs are and how items become them.

    The files that this needs, such as a vocabulary, are members `keras_transfer/NAME`.

    Keras itself loads the file as it loads any other.

    Args:
        model: the model.
        path: where to; replaced atomically.
        inputs: those that it was trained on, such as `split.spec(model_inputs(model))`.
        rejection: its score of unknown items, if it has one.

    Returns:
        The path.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        plain = Path(folder) / "model.keras"
        model.save(plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(temporary, "w") as target:
            for member in source.infolist():
                copied = zipfile.ZipInfo(member.filename, member.date_time)
                if member.filename == _METADATA:
                    about = json.loads(source.read(member)) | {
                        _ENTRY: {"inputs": inputs.to_dict(), **inputs.preparation}
                    }
                    target.writestr(copied, json.dumps(about))
                    continue
                with source.open(member) as part, target.open(copied, "w", force_zip64=True) as copy:
                    shutil.copyfileobj(part, copy, 1 << 20)
            members = {f"{_ENTRY}/{name}": open_asset(digest) for name, digest in inputs.assets.items()}
            if rejection is not None:
                members[MEMBER] = rejection.to_bytes()
            for name, content in members.items():
                target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return path


def read_inputs(path: str | Path) -> InputSpec | None:
    """What the inputs of a `.keras` file are, or None where it does not say.

    Of a file of an earlier release, which has a geometry alone, there are no tensors.

    Raises:
        InputError: what it says makes no sense.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_METADATA).file_size > _MOST_METADATA:
                return None
            about: object = json.loads(archive.read(_METADATA))
    except (*DAMAGED_ARCHIVE, RecursionError):
        return None
    entry = about.get(_ENTRY) if isinstance(about, dict) else None
    if not isinstance(entry, dict):
        return None
    try:
        spec = inputs_of(entry)
    except InputError as error:
        raise InputError(f"{path} does not say what its inputs are: {error} Get the file again.") from error
    if spec is not None:
        keep_assets(path, spec, f"{_ENTRY}/")
    return spec
