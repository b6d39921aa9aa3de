"""What the benchmarks share: their rows as a CSV file."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.files import write_text


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes rows with the columns of the first; the folder is made if it is not there."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
