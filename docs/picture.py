"""Draws what the command shows at the end of a run as an SVG picture, for the README.

    keras-transfer demo && python docs/picture.py runs/demo-pizza docs/pictures/run.svg

Runs `keras-transfer train` once more on the finished run directory RUN, which prints its tables, in a pseudo-terminal.
A run of photographs in a folder is shown as one of `photos/`.
"""

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from keras_transfer.recipe import make_recipe


def main() -> None:
    run, picture = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
    data = make_recipe(run / "recipe.yaml").data.source
    demo = run.name.startswith("demo")
    out = f"runs/{run.name if demo else 'photos-mobilenet_v2'}"
    shown = capture([sys.executable, "-m", "keras_transfer.cli", "train", "--recipe", "recipe.yaml", "--out", "."], run)
    console = Console(record=True, width=92, file=io.StringIO())
    console.print(Text(f"$ keras-transfer {'demo' if demo else 'train photos/'}"))
    for line in shown.splitlines():
        if "is finished already" not in line:
            line = line.replace(data, "photos").replace(" ./", f" {out}/")
            line = re.sub(r"(Report: |predict )(?=report|export)", rf"\1{out}/", line)
            console.print(Text.from_ansi(line))
    drawing = console.export_svg(title="keras-transfer")
    drawing = re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.S)  # nothing is fetched to show it
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(drawing)


def capture(command: list[str], folder: Path) -> str:
    """What a command prints on a terminal."""
    parts = []

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        parts.append(data)
        return data

    os.environ |= {"COLUMNS": "92", "LINES": "60", "TERM": "xterm-256color"}
    os.chdir(folder)
    pty.spawn(command, read)
    return b"".join(parts).decode()


if __name__ == "__main__":
    main()
