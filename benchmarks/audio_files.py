"""What files of sounds take and lose: bytes, and the least arena in which TFLM runs them.

    keras-transfer train DIGITS.csv --out RUN --group-by speaker --backbone speech_embedding --weights FOLDER \\
        --strategy feature-extraction --target microcontroller
    python benchmarks/audio_files.py RUN... --csv docs/results/audio_files.csv
"""

import argparse
import json
from pathlib import Path
from typing import Any

from table import show_rows


def rows_of(run: Path) -> list[dict[str, Any]]:
    """One row for each proven file of a run."""
    result = json.loads((run / "result.json").read_text())
    rows = []
    for artifact in result["artifacts"]:
        path = run / artifact["path"]
        proof = json.loads(path.with_suffix(".json").read_text())
        judged = proof["targets"].get("microcontroller", {})
        rows.append(
            {
                "backbone": result["backbone"],
                "seconds": result["clip_seconds"],
                "file": path.relative_to(run / "export").as_posix(),
                "bytes": path.stat().st_size,
                "arena_bytes": judged.get("arena_bytes") or "",
                "recordings": proof["images"],
                "accuracy": round(proof["test_accuracy"], 4),
                "agreement": round(proof["agreement"], 4),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    show_rows([row for run in options.runs for row in rows_of(run)], options.csv)


if __name__ == "__main__":
    main()
