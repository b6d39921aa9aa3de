"""Which backbone an audition takes on a data set, and how often each candidate's probe is right.

    python benchmarks/audition.py photos/ weights=my_weights/ --csv docs/results/audition.csv
    python benchmarks/audition.py labels.csv group_by=speaker weights=FILE.onnx --csv docs/results/audition.csv

Arguments behind the data are fields of the recipe. One row for each candidate, in percent; rows of the same data and
fields that the CSV file has are replaced. `flattery` is by how many points a random split would look better.
"""

import argparse
from pathlib import Path
from typing import Any

from table import read_rows, write_rows

from keras_transfer.jobs.audition import audition
from keras_transfer.recipe import make_recipe


def rows_of(data: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The candidates of an audition, the most accurate first, and the rival."""
    path = Path(data)
    group = f", groups by {fields['group_by']}" if "group_by" in fields else ""
    given = f", with {Path(str(fields['weights'])).name}" if "weights" in fields else ""
    found = audition(make_recipe(data=data, **fields))
    rows = []
    for row in [*found["candidates"], *([found["rival"]] if found["rival"] is not None else [])]:
        chosen = row["name"] == found["chosen"]
        flattered = found["random_split"] if chosen else None
        rows.append({
            "data": f"{path.parent.name if path.stem == 'labels' else path.stem}{group}{given}",
            "candidate": row["name"],
            "chosen": "yes" if chosen else "",
            "accuracy": round(100 * row["accuracy"], 1),
            "standard error": round(100 * row["error"], 1),
            "flattery": round(100 * (flattered - row["accuracy"]), 1) if flattered is not None else "",
            "parameters (M)": round(float(str(row.get("parameters", 0))) / 1e6, 2) or "",
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("fields", nargs="*", help="NAME=VALUE")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows = rows_of(options.data, dict(field.split("=", 1) for field in options.fields))
    kept = [row for row in read_rows(options.csv) if row["data"] != rows[0]["data"]]
    write_rows(options.csv, [*kept, *rows])


if __name__ == "__main__":
    main()
