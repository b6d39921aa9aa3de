"""Which stage of a run's model bears how much compression, judged on its validation items."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_transfer.errors import InputError
from keras_transfer.files import write_text
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities import recipe_modality
from keras_transfer.run import add_to_run, read_run

if TYPE_CHECKING:
    from keras_transfer.compression.sensitivity import Sensitivity

FILE = "sensitivity.csv"


def scan(
    folder: str | Path, *, data: str | None = None, kinds: Sequence[str] | None = None, n_items: int = 300
) -> "list[Sensitivity]":
    """Compresses one stage after another of a finished run's model and writes what that costs to `RUN/sensitivity.csv`.

    Args:
        folder: a run directory.
        data: where the run's items are now, if they have moved.
        kinds: ways of compression, as for `keras_transfer.sensitivity`.
        n_items: how many validation items are used.

    Returns:
        One row for each stage and kind.

    Raises:
        InputError: the folder holds no finished run, its items have changed, or a kind is unknown.
    """
    run = Path(folder)
    recipe, _ = read_run(run, data=data)
    modality = recipe_modality(recipe)
    if "sensitivity" in modality.unfit:
        raise InputError(f"Sensitivity does not serve {modality.kind.items}: {modality.unfit['sensitivity']}.")
    with add_to_run(run):
        from keras_transfer.compression import sensitivity
        from keras_transfer.compression.sensitivity import KINDS
        from keras_transfer.evaluation import load_keras

        val = load_data(recipe, run).val
        rows = sensitivity(load_keras(run / "model.keras"), val, kinds=kinds or KINDS, n_items=n_items)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(rows[0]._fields)
        writer.writerows(rows)
        write_text(run / FILE, text.getvalue())
    return rows
