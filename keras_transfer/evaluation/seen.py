"""Items that a model was trained on: scored on them, it is flattered."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from keras_transfer.recipe import make_recipe

_DEPTH = 3  # folders from a run down to its files: RUN/export/TARGET/model.tflite


def seen_in_training(model: Path, hashes: Sequence[str]) -> list[str]:
    """For each item what the training of a model used it for.

    Args:
        model: a model's file; what trained it is known where the file lies in a run directory.
        hashes: SHA-256 of each item, in hexadecimal.

    Returns:
        For each `"train"`, `"val"` (it stopped the training and chose among models), or `""` where it saw nothing of
        it, or nothing is known.
    """
    run = next((folder for folder in model.parents[:_DEPTH] if _trained_in(folder)), None)
    if run is None:
        return [""] * len(hashes)
    with (run / "data.csv").open(newline="", encoding="utf-8") as file:
        used = {row["sha256"]: row["split"] for row in csv.DictReader(file) if row["split"] in ("train", "val")}
    return [used.get(digest, "") for digest in hashes]


def trained_files(model: Path) -> set[str]:
    """The absolute paths of files of which a part trained a model or stopped its training, where that is known."""
    run = next((folder for folder in model.parents[:_DEPTH] if _trained_in(folder)), None)
    if run is None:
        return set()
    with (run / "data.csv").open(newline="", encoding="utf-8") as file:
        used = [row["path"] for row in csv.DictReader(file) if row["split"] in ("train", "val")]
    return {path.rpartition("#")[0] if re.search(r"#(t|row)=[^/]*$", path) else path for path in used}


def _trained_in(folder: Path) -> bool:
    """Whether a folder is a run that trained: one that took a finished model over did so only to compress it."""
    if not ((folder / "data.csv").is_file() and (folder / "recipe.yaml").is_file()):
        return False
    recipe = make_recipe(folder / "recipe.yaml")
    return recipe.model.file is None or recipe.compression is not None
