"""`keras-transfer zero-shot`: photographs classified by what their classes are called, without training."""

from pathlib import Path
from typing import Annotated

import typer

_Classes = Annotated[
    list[str] | None,
    typer.Option(help="Names, separated by commas; may be repeated.  [the class folders of PHOTOS]"),
]
_Prompts = Annotated[
    list[str] | None,
    typer.Option("--prompt", help='A sentence with {} for the name; may be repeated.  ["a photo of a {}."]'),
]
_Clip = Annotated[str, typer.Option("--clip", help="A preset of CLIP: kerashub:NAME, a handle, or ./FOLDER.")]


def command(
    photos: Annotated[str, typer.Argument(help="A folder, a file, or class folders.")],
    classes: _Classes = None,
    prompts: _Prompts = None,
    clip: _Clip = "kerashub:clip_vit_base_patch32",
    out: Annotated[Path, typer.Option(help="The classifier that is written.")] = Path("zero-shot/model.keras"),
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to show for each photograph.")] = 3,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """Classify photographs by CLIP, from the names of the classes alone.

    The classifier is a file like any other: evaluate, export and predict take it.
    """
    from keras_transfer.cli import predict
    from keras_transfer.jobs.zero_shot import class_folders, write_zero_shot

    names = [name.strip() for part in classes or () for name in part.split(",") if name.strip()]
    written = write_zero_shot(out, photos, clip, names or class_folders(photos), prompts or ())
    predict.command(written, [photos], top_k=top_k, json=json)
    if not json:
        print(f"\nNext, with class folders: keras-transfer evaluate {written} {photos}")
