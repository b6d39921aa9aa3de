"""`docs/architecture.md` names every room of the package, on the floors that the import contract has."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows() -> list[tuple[int, set[str]]]:
    """The table of floors: number -> rooms, from the top down."""
    lines = re.findall(r"^\| (\d) \| (.*?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    return [(int(number), set(re.findall(r"`([\w./]+)`", rooms))) for number, rooms in lines]


def test_every_room_is_in_the_table_and_is_there():
    package = ROOT / "keras_transfer"
    rooms = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").is_file()}
    rooms |= {path.name for path in package.glob("*.py") if path.name != "__init__.py"}
    named = set().union(*(rooms for _, rooms in rows()))
    assert {room.partition("/")[0] + ("/" if "/" in room else "") for room in named} == rooms
    assert all((package / room).exists() for room in named)


def test_the_floors_are_those_of_the_import_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    height = {name: -i for i, layer in enumerate(layers) for name in re.findall(r"keras_transfer\.(\w+)", layer)}
    floors = {re.split(r"[/.]", room)[0]: number for number, rooms in rows() for room in rooms}
    ordered = sorted(height, key=height.__getitem__)
    assert [floors[name] for name in ordered] == sorted(floors[name] for name in ordered)


def test_what_the_page_lists_is_there():
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = set(re.findall(r"`(\w+)\(", page[page.index("## What rooms offer") :]))
    defined = {
        node.name
        for path in (ROOT / "keras_transfer").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    assert len(listed) > 30 and listed <= defined
