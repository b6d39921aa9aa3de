"""What each remedy of `keras-transfer export RUN --format int8 --repair --out FOLDER` gave, from the proofs it wrote.

    python benchmarks/repair_steps.py MiniLM=FOLDER ViT=FOLDER --csv docs/results/repair_steps.csv

Validation chooses; the test split's accuracy is that of the file as it was and of the one that was chosen. A file that
passed at once has one row.
"""

import argparse
import json
from pathlib import Path

from table import write_rows

FIGURES = ("val_accuracy", "val_accuracy_drop", "val_agreement", "val_bound")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proofs", nargs="+", help="NAME=FOLDER")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    write_rows(options.csv, [row for named in options.proofs for row in steps(*named.split("=", 1))])


def steps(name: str, folder: str) -> list[dict[str, object]]:
    proof = json.loads((Path(folder) / "model_int8.json").read_text())
    rows = []
    whole = {"remedy": "none", "bytes": proof["bytes"], "test_accuracy": proof["test_accuracy"]}
    for step in proof.get("repair") or [whole]:
        row = {"network": name, "remedy": step["remedy"], "in float": len(step.get("float_layers", ()))}
        shown = {figure: round(step[figure], 4) if figure in step else "" for figure in FIGURES}
        row |= {"MB": round(step["bytes"] / 1e6, 1), **shown}
        test = step.get("test_accuracy", proof["test_accuracy"] if step.get("chosen") else None)
        rows.append({**row, "test_accuracy": "" if test is None else round(test, 4)})
    return rows


if __name__ == "__main__":
    main()
