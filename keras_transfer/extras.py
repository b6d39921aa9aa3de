"""Optional packages: what brings one that is missing, read from the metadata of this installation."""

import importlib.util
import shlex
import shutil
import sys
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path

from keras_transfer.errors import InputError

_DISTRIBUTION = "keras-transfer"


def require(module: str, extra: str, purpose: str) -> None:
    """Raises `InputError` with the command to run when an optional package is missing.

    Args:
        module: the import name, such as `"pyarrow"`.
        extra: the extra of this package that brings it, such as `"parquet"`.
        purpose: what it is needed for, as the start of the sentence.

    Raises:
        InputError: the module is not installed.

    >>> require("json", "parquet", "Reading JSON")
    """
    if importlib.util.find_spec(module) is None:
        raise InputError(f"{purpose} needs `{module}`, which is not installed. {install_hint(extra)}")


def install_hint(extra: str) -> str:
    """A sentence that says how to complete this installation with an extra.

    It ends with a command for a shell; it names packages, because this one may be on no index.

    >>> install_hint("parquet").split(": ")[0]
    'To install it, run'
    """
    packages = extra_packages(extra)
    if not packages:
        return f"It does not exist for this system ({sys.platform})."
    return f"To install it, run: {shlex.join([*_installer(), *packages])}"


def extra_packages(extra: str) -> list[str]:
    """The requirements of an extra on this system, such as `["pyarrow>=18"]`.

    Raises:
        ValueError: there is no such extra.
    """
    from packaging.requirements import Requirement

    try:
        installed = metadata.distribution(_DISTRIBUTION)
    except metadata.PackageNotFoundError:  # used from its source folder without being installed
        return [f"{Path(__file__).resolve().parents[1]}[{extra}]"]
    if extra not in (installed.metadata.get_all("Provides-Extra") or ()):
        raise ValueError(f"`extra` must be an extra of {_DISTRIBUTION}. Received: {extra!r}.")
    packages = []
    for requirement in map(Requirement, installed.requires or ()):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == _DISTRIBUTION:  # an extra made of others
            packages += [package for part in sorted(requirement.extras) for package in extra_packages(part)]
        else:
            requirement.marker = None
            packages.append(str(requirement))
    return packages


def _installer() -> list[str]:
    """The command that installs packages for the Python that runs this."""
    name = Path(sys.executable).name
    python = name if shutil.which(name) == sys.executable else sys.executable
    if PathFinder.find_spec("pip") is None:  # an environment made by uv
        return ["uv", "pip", "install", "--python", python]
    return [python, "-m", "pip", "install"]
