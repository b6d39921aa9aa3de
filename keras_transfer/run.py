"""A run directory: opened by one process at a time, and readable by others at any moment."""

import errno
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from keras_transfer.errors import InputError
from keras_transfer.files import write_json
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe, differences, make_recipe, map_paths, moved_root, write_recipe
from keras_transfer.schemas import Result

_PACKAGES = (
    "keras-transfer",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "numpy",
    "pillow",
    "pillow-heif",
    "scikit-learn",
)

_UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


class LockedError(InputError):
    """Another process is writing the folder."""


@contextmanager
def open_run(folder: str | Path, recipe: Recipe) -> Iterator[Path]:
    """Opens a new run directory, or the one in which the same recipe was stopped.

    Args:
        folder: the directory; made if missing.
        recipe: what this run is asked for.

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
        changed = differences(recipe, _moved(make_recipe(earlier), folder))
        if changed:
            raise InputError(
                f"{folder} holds another run, which differs in {', '.join(f'`{name}`' for name in changed)}: "
                "choose another --out, or repeat that run's options to go on with it."
            )
    with _locked(folder, "choose another --out"):
        if void:
            (folder / "data.csv").unlink(missing_ok=True)
        if void or not earlier.is_file():  # at once, so that whatever is killed from here on is known as this run
            write_recipe(earlier, recipe)
        yield folder


@contextmanager
def add_to_run(folder: Path) -> Iterator[None]:
    """Locks a finished run against other processes while files are added to it.

    Raises:
        InputError: the folder cannot be written, or another process is writing it.
    """
    with _locked(folder, "copy the run to where you can write, and name the copy"):
        yield


@contextmanager
def _locked(folder: Path, advice: str) -> Iterator[None]:
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):  # its lock may be there already, and writable
            raise PermissionError(errno.EACCES, "Permission denied")
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise InputError(f"Cannot write to {folder} ({error.strerror or error}): {advice}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(f"Another process is writing {folder}: wait for it, or {advice}.") from None
        yield


def begin(folder: Path, recipe: Recipe, **facts: object) -> None:
    """Writes `recipe.yaml` again, now that what it left open has been chosen, and `environment.json`."""
    write_recipe(folder / "recipe.yaml", recipe)
    write_json(folder / "environment.json", environment() | {"run": str(folder.resolve())} | facts)


def environment() -> dict[str, object]:
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
        "processor": processor(),
        "cores": _cores(),
        "git": _git_state(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def processor() -> str:
    """The processor's name and what speeds training on it up, such as `AMD EPYC (avx2, avx512f, avx512_bf16)`."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    units = [unit for unit in _UNITS if unit in facts.get("flags", "").split()]
    return f"{facts.get('model name', platform.machine())} ({', '.join(units) or platform.machine()})"


def _cores() -> int:
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


def read_run(folder: Path, **changes: object) -> tuple[Recipe, Result]:
    """Recipe and result of a finished run.

    Where the run was moved, and what its recipe names moved with it, the recipe names the new places.

    Args:
        folder: a run directory.
        **changes: fields of the recipe that have another value from now on, as for `make_recipe`.

    Raises:
        InputError: the folder holds no finished run, or a change is out of its range.
    """
    result = read_result(folder)
    if result is None:
        begun = (folder / "recipe.yaml").is_file()
        raise InputError(
            f"{folder} is a model, not a run: `{command_line('export', folder)} --data PHOTOS` makes a run of it."
            if folder.is_file()
            else f"{folder} does not exist: give the --out of a finished `keras-transfer train`."
            if not folder.exists()
            else f"{folder} holds a run that was stopped before its end: give the same command again to end it."
            if begun
            else f"{folder} holds no finished run: give the --out of a `keras-transfer train`."
        )
    recipe = _moved(make_recipe(folder / "recipe.yaml"), folder)
    set_now = {name: value for name, value in changes.items() if value is not None}
    fields = recipe.fields() | moved_root(recipe.model_dump(), set_now) | set_now
    return make_recipe(None, **fields), result


def follow_recipe(base: Path | None, **values: object) -> Recipe:
    """As `make_recipe`; of the recipe of a run that was moved, paths that moved with it name the new places.

    Args:
        base: a recipe file, maybe that of a run, or None.
        **values: as for `make_recipe`.

    Raises:
        InputError: as for `make_recipe`.
    """
    recipe = make_recipe(base, **values)
    if base is None:
        return recipe
    set_now = {name for name, value in values.items() if value is not None}
    kept = set_now | {"root"} if "data" in set_now else set_now
    fields = recipe.fields()
    return _moved(recipe, base.parent).replace(**{name: fields[name] for name in kept})


def _moved(recipe: Recipe, run: Path) -> Recipe:
    return map_paths(recipe, lambda name: moved_path(run, name))


def moved_path(run: Path, name: str) -> str:
    """Where a path that a run's recipe names lies now: seen from the run as it was, where that is there, else as is."""
    try:
        before = json.loads((run / "environment.json").read_text())["run"]
    except (OSError, ValueError, KeyError, TypeError):
        return name
    here = str(run.resolve())
    if not (isinstance(before, str) and Path(name).is_absolute()) or here == before:
        return name
    now = os.path.normpath(Path(here, os.path.relpath(name, before)))
    return now if Path(now).exists() else name


def data_option(run: Path, recipe: Recipe) -> tuple[str, ...]:
    """The option of commands on a run whose items lie elsewhere than the run knows."""
    return () if read_run(run)[0].data.source == recipe.data.source else ("--data", recipe.data.source)


def command_line(*words: object) -> str:
    """A command of this package as it can be pasted into a shell.

    Paths below the working directory are shown relative to it, and quoted where they must be.

    >>> command_line("report", Path("my runs/-first"))
    "keras-transfer report 'my runs/-first'"
    >>> command_line("predict", Path("-first"), "PHOTO.jpg")
    'keras-transfer predict ./-first PHOTO.jpg'
    """
    return shlex.join(["keras-transfer", *(_word(word) for word in words)])


def _word(word: object) -> str:
    if not isinstance(word, Path) and not (isinstance(word, str) and word.startswith(os.sep)):
        return str(word)
    path, here = Path(word), Path.cwd()
    shown = str(path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path)
    return f"./{shown}" if shown.startswith("-") else shown


def recommended_file(path: Path) -> Path:
    """The LiteRT file that a run recommends, which is said; the path itself where it is no run with such a file."""
    result = read_result(path) if path.is_dir() else None
    recommended = result.get("recommended") if result is not None else None
    if not recommended or not recommended.endswith(".tflite") or not (path / recommended).is_file():
        return path
    say(f"Note: of the run {path} this is {path / recommended}, the file that it recommends.")
    return path / recommended


def beside(run: Path, suffix: str) -> Path:
    """Where a run that is made from another goes: beside it, its name and a suffix.

    >>> beside(Path("runs/first"), "adabn")
    PosixPath('runs/first-adabn')
    """
    named = run if run.name not in ("", "..") else run.resolve()
    return named.with_name(f"{named.name}-{suffix}")


def read_result(folder: Path) -> Result | None:
    """`result.json` of a finished run, or None."""
    try:
        result: Result = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return None
    return result
