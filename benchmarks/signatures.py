"""Counts what a reader cannot trust: parameters of type `Any`, by folder, functions over 60 lines, and files that name
pictures outside of their modality, the report and the commands.

python benchmarks/signatures.py
"""

import ast
import re
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "keras_transfer"
LONG = 60
PICTURES = re.compile(r"(?<!nd)image|pixel(?![-_ ]\d)|photograph", re.IGNORECASE)  # not the telephones of that name


def functions(path: Path) -> list[ast.FunctionDef]:
    """Every function of a module, methods included."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def files_that_name_pictures() -> list[str]:
    """Modules that have one of the words of `PICTURES`, in code, text or comments."""
    apart = ("modalities/image/", "report/", "cli/")
    paths = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
    return [path for path in paths if not path.startswith(apart) and PICTURES.search((PACKAGE / path).read_text())]


def main() -> None:
    total, unknown, long = Counter[str](), Counter[str](), []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        for function in functions(path):
            parts = function.args
            every = [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, parts.vararg, parts.kwarg]
            for parameter in every:
                if parameter is None or parameter.arg in ("self", "cls"):
                    continue
                total[room] += 1
                said = ast.unparse(parameter.annotation) if parameter.annotation is not None else ""
                unknown[room] += bool(re.search(r"\bAny\b", said))
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > LONG:
                long.append((lines, f"{path.relative_to(PACKAGE)}:{function.name}"))
    for room, count in unknown.most_common():
        print(f"{count:4} of {total[room]:4} parameters have Any in {room}")
    print(f"{unknown.total():4} of {total.total():4} in all; {len(long)} functions over {LONG} lines")
    for lines, name in sorted(long, reverse=True):
        print(f"{lines:4} {name}")
    pictures = files_that_name_pictures()
    print(f"{len(pictures):4} files name pictures: {', '.join(pictures)}")


if __name__ == "__main__":
    main()
