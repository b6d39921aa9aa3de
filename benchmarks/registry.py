"""Writers of a registry at once, killed at random moments, a rollback, and single bytes changed.

    python benchmarks/registry.py --writers 20 --kills 50 --flips 200 --csv docs/results/registry.csv

Made runs of some MB, in a folder that is removed again. Exits with 1 if a version was lost or half-written, or a byte
that changed was not found.
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
from collections.abc import Callable
from pathlib import Path

from table import write_rows

from keras_transfer.operations.registry import Registry, add, history, open_registry, promote, verify, versions
from keras_transfer.recipe import make_recipe, write_recipe

LARGEST = 1 << 20  # bytes of a made model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=20)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = folder / "registry"
        registry = open_registry(place)
        rows = [
            at_once(registry, folder, options.writers),
            killed(registry, folder, options.kills),
            rolled_back(place),
            flipped(registry, place, options.flips),
        ]
    write_rows(options.csv, rows)
    print(json.dumps(rows, indent=1))
    sys.exit(not all(row["ok"] for row in rows))


def made_run(folder: Path, seed: int) -> Path:
    """A finished run whose model is noise."""
    folder.mkdir(exist_ok=True)
    chance = random.Random(seed)
    write_recipe(folder / "recipe.yaml", make_recipe(data="photos", seed=seed))
    result = {"test": {"accuracy": 0.5}, "gate": None, "recommended": "export/model_int8.tflite", "base": None}
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "data.csv").write_text(f"path,class,split,sha256,problem\na.jpg,cat,train,{seed:064x},\n")
    (folder / "model.keras").write_bytes(chance.randbytes(LARGEST))
    (folder / "export").mkdir(exist_ok=True)
    (folder / "export" / "model_int8.tflite").write_bytes(chance.randbytes(LARGEST // 4))
    return folder


def child(work: Callable[[int], None]) -> tuple[int, int]:
    """A process that works, with a pipe to say what it has done: its number, and the end to read from."""
    reading, writing = os.pipe()
    number = os.fork()
    if number == 0:
        code = 1
        try:
            work(writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return number, reading


def said(reading: int) -> list[int]:
    """The numbers of the versions that a process said it had added."""
    with os.fdopen(reading) as pipe:
        return [int(line) for line in pipe.read().splitlines()]


def at_once(registry: Registry, folder: Path, writers: int) -> dict[str, object]:
    """Writers that add and promote a run each, at the same time."""
    runs = [made_run(folder / f"run{seed}", seed) for seed in range(writers)]
    begun = time.perf_counter()

    def work(seed: int) -> Callable[[int], None]:
        def write(pipe: int) -> None:
            version = add(registry, runs[seed], "model")
            promote(registry, f"model@{version['version']}")
            os.write(pipe, f"{version['version']}\n".encode())

        return write

    children = [child(work(seed)) for seed in range(writers)]
    added = [version for _, reading in children for version in said(reading)]
    ended = [os.waitpid(number, 0)[1] for number, _ in children]
    seconds = time.perf_counter() - begun
    kept = [version["version"] for version in versions(registry, "model")]
    whole = sorted(added) == kept == list(range(1, writers + 1)) and len(history(registry, "model")) == writers
    return row("writers at once", writers, seconds, whole and not any(ended) and not verify(registry))


def killed(registry: Registry, folder: Path, kills: int) -> dict[str, object]:
    """Writers that are killed at a random moment, each followed by a look at what is there."""
    moments, begun, ok, count = random.Random(0), time.perf_counter(), True, 0
    for kill in range(kills):

        def write(pipe: int, kill: int = kill) -> None:
            for turn in range(1_000_000):
                version = add(registry, made_run(folder / "killed", 1000 + 1000 * kill + turn), "killed")
                os.write(pipe, f"{version['version']}\n".encode())
                promote(registry, f"killed@{version['version']}")

        number, reading = child(write)
        time.sleep(moments.uniform(0.0, 0.25))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        added, kept = said(reading), [version["version"] for version in versions(registry, "killed")]
        ok = ok and set(added) <= set(kept) and kept == list(range(1, len(kept) + 1))
        count = len(kept)
    ok = ok and count > 0 and verify(registry, ["killed"] if count else ()) == []
    return row(f"killed, {count} versions added", kills, time.perf_counter() - begun, ok)


def rolled_back(place: Path) -> dict[str, object]:
    """The whole command, its start included; the slowest of three."""
    command = [sys.executable, "-m", "keras_transfer.cli", "models", "rollback", "model", "--registry", str(place)]
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begun)
    return row("rollback, slowest of 3", 3, max(seconds), max(seconds) < 1)


def flipped(registry: Registry, place: Path, flips: int) -> dict[str, object]:
    """One bit of one file changed, and changed back."""
    chance, begun, found = random.Random(0), time.perf_counter(), 0
    files = sorted(path for path in (place / "model").rglob("*") if path.is_file())
    for _ in range(flips):
        path = chance.choice(files)
        content = path.read_bytes()
        at = chance.randrange(len(content))
        path.write_bytes(content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :])
        found += bool(verify(registry, ["model"]))
        path.write_bytes(content)
    return row("changed bits found", flips, time.perf_counter() - begun, found == flips and not verify(registry))


def row(what: str, count: int, seconds: float, ok: bool) -> dict[str, object]:
    return {"what": what, "count": count, "seconds": round(seconds, 2), "ok": ok}


if __name__ == "__main__":
    main()
