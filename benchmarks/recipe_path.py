"""Which modules a recipe passes through in one run of `keras-transfer train`, and how often the way goes up again.

    python benchmarks/recipe_path.py

Counted are calls of functions that are given the recipe or one of its sections, comprehensions and the recipe's own
methods left out. A way up is a call, in the same thread, of a module on a higher floor than the one before.
"""

import sys
import tempfile
import threading
import tomllib
from itertools import groupby, pairwise
from pathlib import Path
from types import FrameType

from pydantic import BaseModel

from keras_transfer.recipe import Recipe, make_recipe

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_transfer"
SECTIONS = tuple(type(section) for section in vars(make_recipe(data="")).values() if isinstance(section, BaseModel))


def floors() -> list[tuple[str, ...]]:
    """The rooms of each floor, from the top down, as the import contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [tuple(room.strip() for room in layer.replace("|", ":").split(":")) for layer in layers]


def main() -> None:
    from keras_transfer.cli.summary import train_and_print

    passed: dict[int, list[str]] = {}

    def look(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(PACKAGE)) or code.co_name.startswith("<"):
            return
        given = [frame.f_locals.get(name) for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]
        if any(isinstance(value, (Recipe, *SECTIONS)) for value in given):
            module = ".".join(Path(code.co_filename).relative_to(ROOT).with_suffix("").parts)
            if module != Recipe.__module__:
                passed.setdefault(threading.get_ident(), []).append(module.removesuffix(".__init__"))

    recipe = make_recipe(data="digits", weights="none", image_size=32, few_shot=5, epochs=1, formats=["float32"])
    with tempfile.TemporaryDirectory() as folder:
        threading.setprofile(look)
        sys.setprofile(look)
        train_and_print(recipe, Path(folder) / "run", json=False)
        sys.setprofile(None)
    rooms = floors()

    def height(module: str) -> int:
        return -next(i for i, floor in enumerate(rooms) if any(f"{module}.".startswith(f"{room}.") for room in floor))

    modules = list(dict.fromkeys(module for path in passed.values() for module in path))
    ups = sum(height(b) > height(a) for path in passed.values() for a, b in pairwise(path))
    print()
    for path in passed.values():
        print(" -> ".join(module.removeprefix("keras_transfer.") for module, _ in groupby(path)))
    print(f"{len(modules)} modules, {ups} times up: {', '.join(modules)}")


if __name__ == "__main__":
    main()
