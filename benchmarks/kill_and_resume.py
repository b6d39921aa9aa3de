"""Kills a training job with SIGKILL at random moments, resumes it, and compares it with an undisturbed one.

    python benchmarks/kill_and_resume.py photos/ --kills 10 --csv out.csv -- --backbone mobilenet --image-size 128 ...

Each kill comes after a random share of the time that the undisturbed job took, in a run and cache of its own; then
the same command is run to its end. All figures of `result.json` but the seconds must be equal.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from table import write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", type=Path, required=True)
    own, more = sys.argv[1:], []
    if "--" in own:
        own, more = own[: own.index("--")], own[own.index("--") + 1 :]
    options = parser.parse_args(own)
    moments = random.Random(options.seed)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = run(options.data, folder / "whole", folder / "cache", more)
        expected = figures(folder / "whole")
        for number in range(options.kills):
            target, cache = folder / f"run{number}", folder / f"cache{number}"
            moment = moments.uniform(0.05, 0.98) * seconds
            run(options.data, target, cache, more, kill_after=moment)
            reached = progress(target)
            run(options.data, target, cache, more)
            same = figures(target) == expected
            rows.append({"kill": number, "after_seconds": round(moment, 1), "reached": reached, "same_figures": same})
            print(rows[-1], flush=True)
    write_rows(options.csv, rows)
    sys.exit(not all(row["same_figures"] for row in rows))


def run(data: str, out: Path, cache: Path, more: list[str], kill_after: float | None = None) -> float:
    """Runs the job, or kills it and all its processes after some seconds; returns the seconds it took."""
    command = [sys.executable, "-m", "keras_transfer.cli", "train", data, "--out", str(out), *more]
    environment = os.environ | {"KERAS_TRANSFER_CACHE": str(cache)}
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=kill_after)
        if process.returncode not in (0, 3):
            sys.exit(errors.decode()[-2000:])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return time.monotonic() - started


def progress(run: Path) -> str:
    """How far a killed run had come."""
    if (run / "result.json").exists():
        return "finished"
    if (run / "export").exists():
        return "export"
    if (run / "model.keras").exists():
        return "evaluation"
    if (run / "history.csv").exists():
        return (run / "history.csv").read_text().splitlines()[-1].rsplit(",", 5)[0]
    return "model" if (run / "data.csv").exists() else "data"


def figures(run: Path) -> Any:
    """`result.json` without what is timed."""

    def untimed(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: untimed(v) for k, v in value.items() if k not in ("wall_seconds", "seconds", "parts", "latency_ms")
            }
        return [untimed(v) for v in value] if isinstance(value, list) else value

    return untimed(json.loads((run / "result.json").read_text()))


if __name__ == "__main__":
    main()
