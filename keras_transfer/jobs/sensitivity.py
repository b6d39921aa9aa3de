"""Which stage of a run's model bears how much compression, judged on its validation photographs."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.files import write_text
from keras_transfer.jobs.parts import load_data
from keras_transfer.run import add_to_run, read_run

FILE = "sensitivity.csv"


def scan(
    folder: str | Path, *, data: str | None = None, kinds: Sequence[str] | None = None, images: int = 300
) -> list[dict[str, Any]]:
    """Compresses one stage after another of a finished run's model and writes what that costs to `RUN/sensitivity.csv`.

    Args:
        folder: a run directory.
        data: where the run's photographs are now, if they have moved.
        kinds: ways of compression, as for `keras_transfer.sensitivity`.
        images: how many validation photographs are looked at.

    Returns:
        One row a stage and kind: `stage`, `kind`, `accuracy`, `drop`, `divergence`.

    Raises:
        InputError: the folder holds no finished run, its photographs have changed, or a kind is unknown.
    """
    run = Path(folder)
    recipe, _ = read_run(run, data=data)
    with add_to_run(run):
        from keras_transfer.compression import sensitivity
        from keras_transfer.compression.sensitivity import KINDS
        from keras_transfer.evaluation import load_keras

        photographs = load_data(recipe, run)
        found = sensitivity(load_keras(run / "model.keras"), photographs.val, kinds=kinds or KINDS, images=images)
        rows = [row._asdict() for row in found]
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(run / FILE, text.getvalue())
    return rows
