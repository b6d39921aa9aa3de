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


def main() -> None:
    run, picture = Path(sys.argv[1]), Path(sys.argv[2])
    command = [sys.executable, "-m", "keras_transfer.cli", "train", "--recipe", "recipe.yaml", "--out", "."]
    shown = capture([*command, "--profile"], run)
    told = "keras-transfer train photos/ --profile"
    console = Console(record=True, width=86, file=io.StringIO())
    console.print(Text(f"$ {told}"))
    for line in shown.splitlines():
        if "is finished already" not in line:
            console.print(Text.from_ansi(line.replace(" ./", " runs/photos-mobilenet_v2/")))
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

    os.environ |= {"COLUMNS": "86", "LINES": "60", "TERM": "xterm-256color"}
    os.chdir(folder)
    pty.spawn(command, read)
    return b"".join(parts).decode()


if __name__ == "__main__":
    main()
