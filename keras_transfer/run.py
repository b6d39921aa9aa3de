"""A run directory: opened by one process at a time, and readable by others at any moment."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.recipe import Recipe, differences, make_recipe, write_recipe

_PACKAGES = ("keras-transfer", "tensorflow", "keras", "ai-edge-litert", "numpy", "pillow", "scikit-learn")


@contextmanager
def open_run(folder: str | Path, recipe: Recipe) -> Iterator[Path]:
    """Opens a new run directory, or the one in which the same recipe was stopped.

    Args:
        folder: the directory; made if missing.
        recipe: what this run is told.

    Yields:
        The directory, locked against other processes.

    Raises:
        InputError: the folder holds something else, or a run of another recipe, or is being written by another process.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder: choose another --out.")
    earlier = folder / "recipe.yaml"
    if folder.is_dir() and not earlier.is_file() and any(file.name[0] != "." for file in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no run: choose another --out.")
    # A run that ended before its model was built, by a name misspelt say, has done nothing that is worth keeping.
    void = (folder / ".lock").is_file() and not (folder / "environment.json").is_file()
    if earlier.is_file() and not void:
        changed = differences(recipe, make_recipe(earlier))
        if changed:
            raise InputError(
                f"{folder} holds another run, which differs in {', '.join(f'`{name}`' for name in changed)}: "
                "choose another --out, or repeat that run's options to go on with it."
            )
    with _locked(folder):
        if void:
            (folder / "data.csv").unlink(missing_ok=True)
        if void or not earlier.is_file():  # at once, so that whatever is killed from here on is known as this run
            write_recipe(earlier, recipe)
        yield folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror or error}. Choose another --out.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"Another process is writing {folder}: wait for it, or choose another --out.") from None
        yield


def begin(folder: Path, recipe: Recipe, **more: Any) -> None:
    """Writes `recipe.yaml` again, now that what it left open has been chosen, and `environment.json`."""
    write_recipe(folder / "recipe.yaml", recipe)
    write_json(folder / "environment.json", environment() | more)


def environment() -> dict[str, Any]:
    """Versions, machine and git state: what is needed to tell why two runs differ."""
    packages: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    return {
        "python": platform.python_version(),
        "packages": packages,
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": _cores(),
        "git": _git_state(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _cores() -> int:
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git_state() -> str | None:
    """The commit of the user's working folder with `+` where it has changes, or None outside git."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changes = subprocess.run(
            ["git", "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def read_result(folder: Path) -> dict[str, Any] | None:
    """`result.json` of a finished run, or None."""
    try:
        return json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return None
