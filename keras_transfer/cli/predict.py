"""`keras-transfer predict`: what a model sees in photographs."""

from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keras_transfer.evaluation import Prediction


def command(
    model: Annotated[Path, typer.Argument(help="A .keras or .tflite file, or a run directory.")],
    files: Annotated[list[str], typer.Argument(help="Photographs, folders of them, or patterns such as 'a/*.jpg'.")],
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to show for each photograph.")] = 3,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Scale the probabilities by the temperature that the run's report fitted."),
    ] = False,
    delegate: Annotated[
        str, typer.Option(help="For a .tflite on a device of its own: its library, such as libedgetpu.so.1.")
    ] = "",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Say what a model sees in photographs.

    One that cannot be read is reported in its place.
    """
    from dataclasses import asdict

    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import InputError
    from keras_transfer.evaluation import open_classifier, predict_files
    from keras_transfer.progress import set_quiet, track

    set_quiet(json)
    paths = list(_expand(files))
    classifier = open_classifier(model, delegate=delegate)
    if calibrated:
        from keras_transfer.evaluation.calibration import calibrated as scaled

        classifier = scaled(classifier)
    found = list(track(predict_files(classifier, paths, top_k), "Predicting", total=len(paths)))
    if json:
        print_json([asdict(prediction) for prediction in found])
    else:
        rows = [(p.path, _found(p), p.confidence if p.top else None, _details(p)) for p in found]
        print_table(("file", "class", "confidence", f"top {top_k}"), rows)
    if all(prediction.problem for prediction in found):
        raise InputError(
            f"None of {len(found)} files can be read as a photograph ({found[0].path}: {found[0].problem})."
        )


def _found(prediction: "Prediction") -> str:
    if prediction.problem:
        return "unreadable"
    return ", ".join(prediction.labels) or "none of them"


def _details(prediction: "Prediction") -> str:
    return prediction.problem or ", ".join(f"{name} {probability:.3f}" for name, probability in prediction.top)


def _expand(files: list[str]) -> Iterator[Path]:
    """Each file, each picture below a folder, each match of a pattern; a name that is none of these stays as it is."""
    from keras_transfer.data.decode import EXTENSIONS
    from keras_transfer.errors import InputError

    for name in files:
        path = Path(name)
        if path.is_dir():
            below = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
            if not below:
                raise InputError(f"{name} holds no photographs ({', '.join(sorted(EXTENSIONS))}). Give another folder.")
            yield from below
        elif not path.exists() and has_magic(name):
            found = map(Path, glob(name, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
            matches = sorted(path for path in found if path.is_file())
            if not matches:
                raise InputError(f"No file matches {name}. Check the pattern.")
            yield from matches
        else:
            yield path
