"""Runs the main job once a seed and writes one CSV row a run: accuracies, agreement, sizes, seconds, peak memory.

    python benchmarks/accuracy.py photos/ --weights imagenet --seeds 0 1 2 --csv results.csv -- --backbone mobilenet_v2

What follows `--` goes to `keras-transfer train`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from table import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="keep the runs here instead of in a temporary folder")
    parser.add_argument("--cold", action="store_true", help="give each run a cache of its own, empty at first")
    own, more = sys.argv[1:], []
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in options.seeds:
            run = (options.out or Path(temporary)) / f"seed{seed}"
            rows.append(one(options.data, seed, run, more, Path(temporary) / f"cache{seed}" if options.cold else None))
            print({key: value for key, value in rows[-1].items() if key != "phases"}, flush=True)
    write_rows(options.csv, rows)
    for name in ("keras", "int8", "int8_agreement", "seconds"):
        values = [float(row[name]) for row in rows]
        print(f"{name}: mean {statistics.mean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")


def one(data: str, seed: int, run: Path, more: list[str], cache: Path | None) -> dict[str, object]:
    """One run of the job, as a row."""
    command = [sys.executable, "-m", "keras_transfer.cli", "train", data, "--seed", str(seed), "--out", str(run)]
    environment = None
    if cache is not None:
        import os

        environment = os.environ | {"KERAS_TRANSFER_CACHE": str(cache)}
    done = subprocess.run([*command, *more], stdout=subprocess.DEVNULL, env=environment)
    if done.returncode not in (0, 3):
        sys.exit(f"seed {seed} ended with exit code {done.returncode}")
    result = json.loads((run / "result.json").read_text())
    files = {artifact["format"]: artifact for artifact in result["artifacts"]}
    return {
        "seed": seed,
        "exit": done.returncode,
        "test_images": result["test"]["images"],
        "phases": " ".join(f"{phase['name']}={phase['val_accuracy']:.4f}" for phase in result["phases"]),
        "kept": result["kept"],
        "keras": round(result["test"]["accuracy"], 4),
        **{name: round(artifact["test_accuracy"], 4) for name, artifact in files.items()},
        "int8_agreement": round(files["int8"]["agreement"], 4),
        "int8_size": round(files["int8"]["bytes"] / files["float32"]["bytes"], 4),
        "seconds": result["seconds"],
        "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,  # of the largest process so far
    }


if __name__ == "__main__":
    main()
