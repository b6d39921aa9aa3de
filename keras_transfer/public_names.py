"""Packages whose public names are imported when they are first used, so that importing the package is quick."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def on_first_use(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """A package's `__getattr__`.

    Args:
        package: its name.
        modules: each public name, and the module below the package that holds it.

    >>> get = on_first_use("keras_transfer", {"InputError": "errors"})
    >>> get("InputError").__name__
    'InputError'
    >>> get("fits")
    Traceback (most recent call last):
    ...
    AttributeError: module 'keras_transfer' has no attribute 'fits'
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
