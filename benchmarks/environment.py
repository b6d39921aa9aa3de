"""What each package of the default installation weighs, and how many of the commands load it.

    python benchmarks/environment.py --csv out.csv

Run it with the Python of a fresh environment made from `requirements.lock` (Linux). Every command runs once on the
embedded pizzas, and each Python module that any of its processes executes is counted for the package it came with.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from pathlib import Path

from table import write_rows

# Reports every file of Python code that a process executes, and every extension module that it loads.
HOOK = """
import os, sys
log, known = os.open(os.environ["EXECUTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT), set()
def look(event, arguments):
    path = None
    if event == "exec":
        path = getattr(arguments[0], "co_filename", None)
    elif event == "import":
        path = arguments[1]
    if path and path not in known:
        known.add(path)
        os.write(log, (path + "\\n").encode())
sys.addaudithook(look)
"""
SMALL = "pizza:per_class=20,side=64 --weights bundled --image-size 64"
COMMANDS = (
    "demo --few-shot 4 --out run",
    f"inspect {SMALL} --out inspection",
    f"train {SMALL} --out run2",
    "report run",
    "report run --learning-curve",
    f"cross-validate {SMALL} --folds 2 --repeats 1",
    "report run --see",
    "shift run photos",
    "adapt run --to photos --out adapted",
    "compress run --channels 0.7 --prune 0.5 --epochs 1 --out small",
    "compress run --cluster 16 --epochs 1 --out clustered",
    "compress run --qat --epochs 1 --out trained",
    "compare run small",
    "sensitivity run --images 20",
    "export run --target android --target web --target edgetpu --out files",
    "evaluate run photos",
    "predict run photos",
    "check run/export/model_int8.tflite",
    "benchmark run/export/model_int8.tflite",
    "backbones",
    f"lr-find {SMALL} --steps 10",
    "cache",
)


def weights() -> tuple[dict[str, int], dict[str, str]]:
    """Bytes on the disk of each package, and the package that each file came with."""
    sizes, owners = {}, {}
    for package in distributions():
        paths = [Path(str(package.locate_file(file))) for file in package.files or []]
        sizes[package.name] = sum(512 * path.lstat().st_blocks for path in paths if path.is_file())
        owners |= {str(path): package.name for path in paths}
    return sizes, owners


def executed(command: str, folder: Path) -> set[str]:
    """The files of Python that a command executed."""
    log = folder / "executed.txt"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(folder / "hook"), "EXECUTED": str(log)}
    environment["KERAS_TRANSFER_CACHE"] = str(folder / "cache")
    call = [sys.executable, "-m", "keras_transfer.cli", *command.split()]
    done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{command}: {done.returncode} {done.stderr[-2000:]}")
    return set(log.read_text().splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    sizes, owners = weights()
    users: dict[str, list[str]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)
        _draw_photos(folder / "photos")
        for command in COMMANDS:
            for name in {owners[path] for path in executed(command, folder) if path in owners}:
                users[name].append(command.split()[0])
            print(command, flush=True)
    rows = [
        {"package": name, "mb": round(size / 1e6, 1), "commands": len(set(users[name])), "for_example": users[name][:1]}
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    commands = {command.split()[0] for command in COMMANDS}
    rows.insert(0, {"package": "all", "mb": round(sum(sizes.values()) / 1e6, 1), "commands": len(commands)})
    write_rows(options.csv, [{**row, "for_example": " ".join(row.get("for_example", []))} for row in rows])


def _draw_photos(folder: Path) -> None:
    from PIL import Image

    from keras_transfer.modalities.image.pizza import draw_pizzas

    images, labels = draw_pizzas(per_class=20)
    for i in range(len(images)):
        (folder / labels[i]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i]).save(folder / labels[i] / f"{i}.png")


if __name__ == "__main__":
    main()
