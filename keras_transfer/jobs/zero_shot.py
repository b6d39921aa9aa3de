"""A classifier of pictures from the names of its classes alone, as a file that every command takes."""

from collections.abc import Sequence
from pathlib import Path

from keras_transfer.data.listing import Layout
from keras_transfer.errors import InputError
from keras_transfer.modalities import modality_of


def class_folders(source: str) -> list[str]:
    """The names of a source's classes, in order.

    Raises:
        InputError: the source holds no labelled items.
    """
    listing = modality_of(source).list_source(source, layout=Layout())
    return listing.class_names or sorted({label for entry in listing.entries for label in entry.labels})


def write_zero_shot(
    out: str | Path, source: str, preset: str, class_names: Sequence[str], prompts: Sequence[str]
) -> Path:
    """Writes a classifier of what classes are called; see `Modality.zero_shot`.

    Args:
        out: the `.keras` file.
        source: pictures, by which the modality is known.
        preset: of CLIP.
        class_names: of the classes, which stand in `labels.txt` beside the file as well.
        prompts: sentences with `{}` for a name; none for the modality's own.

    Returns:
        `out`.

    Raises:
        InputError: the source holds no pictures, or the classifier cannot be made.
    """
    from keras_transfer.files import write_text
    from keras_transfer.models import model_inputs, save_model

    modality, path = modality_of(source), Path(out)
    if path.suffix != ".keras":
        raise InputError(f"`out` must be the name of a .keras file. Received: {path}.")
    model = modality.zero_shot(preset, class_names, prompts)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path, modality.preparer({}).spec(model_inputs(model)))
    write_text(path.with_name("labels.txt"), "".join(f"{name}\n" for name in class_names))
    return path
