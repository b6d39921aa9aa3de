"""Draws what the command shows at the end of a run as an SVG picture, for the README.

    python docs/picture.py RUN docs/pictures/run.svg

Runs `keras-transfer train` once more on the finished run directory RUN, which prints its tables, in a pseudo-terminal.
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

OUT = "runs/photos-mobilenet_v2"


def main() -> None:
    run, picture = Path(sys.argv[1]), Path(sys.argv[2]).absolute()
    data = make_recipe(run / "recipe.yaml").data.source
    command = [sys.executable, "-m", "keras_transfer.cli", "train", "--recipe", "recipe.yaml", "--out", "."]
    shown = capture([*command, "--profile"], run)
    told = "keras-transfer train photos/ --profile"
    console = Console(record=True, width=92, file=io.StringIO())
    console.print(Text(f"$ {told}"))
    for line in shown.splitlines():
        if "is finished already" not in line:
            line = (
                line.replace(data, "photos")
                .replace(" ./", f" {OUT}/")
                .replace("predict export", f"predict {OUT}/export")
            )
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
