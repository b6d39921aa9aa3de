"""Packages whose public names are imported when they are first used, so that importing the package is quick."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def on_first_use(
    package: str, table: Mapping[str, str]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """What such a package is made of.

    Args:
        package: its name.
        table: the modules below the package that hold its public names, and these names.

    Returns:
        `__all__`, `__getattr__` and `__dir__` of the package.

    >>> names, get, _ = on_first_use("keras_transfer", {"errors": "GateError InputError"})
    >>> names, get("InputError").__name__
    (['GateError', 'InputError'], 'InputError')
    >>> get("fits")
    Traceback (most recent call last):
    ...
    AttributeError: module 'keras_transfer' has no attribute 'fits'
    """
    modules = {name: module for module, names in table.items() for name in names.split()}

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    public = sorted(modules)
    return public, get, lambda: public
