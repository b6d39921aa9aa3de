"""What channels of like ranges (`litert/equalization.py`) are worth to int8 files of finished runs, and what they cost.

    python benchmarks/equalization.py ESC10_RUN... PICTURES_RUN --csv docs/results/equalization.csv

Each run's int8 file is made twice, without and with them: accuracy on the run's test split, and how often the file
decides as the Keras model does, there and on the validation split. `seconds` is the conversion of the frozen graph;
`same bytes` says whether the two files are one. Rows of other runs that the CSV file has are kept.
"""

import argparse
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from table import read_rows, write_rows

from keras_transfer.data.split import Split
from keras_transfer.evaluation import load_keras
from keras_transfer.exporters.proof import compare, run_files
from keras_transfer.inputs import InputSpec, as_tuple
from keras_transfer.jobs.parts import load_data
from keras_transfer.litert import conversion
from keras_transfer.litert.convert import _range
from keras_transfer.litert.frozen import freeze
from keras_transfer.litert.labels import write_labels
from keras_transfer.litert.protocol import Options
from keras_transfer.litert.trust import mark_as_ours
from keras_transfer.modalities import recipe_modality
from keras_transfer.models.graph import model_inputs
from keras_transfer.run import read_run


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The row without and the row with like ranges."""
    recipe, result = read_run(run)
    data, model = load_data(recipe, run), load_keras(run / "model.keras")
    part = recipe_modality(recipe).quantized_part(model)
    inputs = data.test.preparer.spec(model_inputs(part))
    count = min(recipe.export.calibration_items, len(data.train))
    arrays = as_tuple(data.train.stratified(count, recipe.seed).arrays(inputs.tensors))
    ranges = [_range(tensor, values) for tensor, values in zip(inputs.tensors, arrays, strict=True)]
    graph = freeze(part, "int8", inputs.tensors)
    files: dict[str, bytes] = {}
    seconds = {}
    for name in ("without", "with"):
        equalize = conversion.equalize if name == "with" else lambda prepared, count, read: prepared
        started = time.perf_counter()
        with mock.patch.object(conversion, "equalize", equalize):
            content = conversion.convert_graph("int8", graph, list(arrays), Options(ranges=ranges))
        seconds[name] = time.perf_counter() - started
        files[name] = mark_as_ours(write_labels(content, data.class_names, inputs))

    def compared(split: Split) -> dict[str, Any]:
        takes = dict.fromkeys(files, inputs)
        whole = InputSpec(inputs.modality, model_inputs(model), inputs.preparation)
        expected, answers = run_files(model, files, split, whole, None, takes)
        labels = np.asarray(split.labels)
        return {name: compare(expected, answers[name], labels, data.class_names) for name in files}

    test, val = compared(data.test), compared(data.val)
    return [
        {
            "run": run.name,
            "backbone": result["backbone"],
            "like ranges": "yes" if name == "with" else "no",
            "test items": len(data.test),
            "float accuracy": round(test[name]["test_accuracy"] + test[name]["accuracy_drop"], 4),
            "int8 accuracy": round(test[name]["test_accuracy"], 4),
            "agreement": round(test[name]["agreement"], 4),
            "agreement on validation": round(val[name]["agreement"], 4),
            "seconds": round(seconds[name], 1),
            "same bytes": "yes" if files["with"] == files["without"] else "no",
        }
        for name in files
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = read_rows(options.csv)
    for run in options.runs:
        rows = [row for row in rows if row["run"] != run.name] + rows_of(run)
        print(*rows[-2:], sep="\n", flush=True)
        write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
