"""Programs for microcontrollers, compiled here and run against the TFLM of the package `tflite-micro`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

API = Path(__file__).parent / "exporters" / "tflm_api"
"""What the sources use of TFLM and Arduino, declared: no registry has their headers."""
STRICT = ("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{API}")
# A program is a library here, opened in a process that has TFLM's library: it is made for Python, which must be there.
_RUN = """
import ctypes, os, sys
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
from tflite_micro import runtime
library = ctypes.CDLL(sys.argv[1])
code = library.main()
library.fflush(None)
sys.exit(code)
"""


def run_program(folder: Path, program: str, sources: Sequence[str], given: bytes = b"") -> tuple[int, str]:
    """The exit status of a program of a kit's folder, and what it prints, with `given` as its standard input."""
    library = folder.parent / f"{program}.so"
    names = (folder / name for name in (program, *sources))
    subprocess.run([*STRICT, "-fPIC", "-shared", f"-I{folder}", *names, "-o", library], check=True)
    done = subprocess.run([sys.executable, "-c", _RUN, library], input=given, capture_output=True, check=False)
    return done.returncode, done.stdout.decode()


def check_sketch(folder: Path) -> set[str]:
    """Asserts that the sketch of a kit's folder compiles with what lies beside it; returns its sources' names."""
    sketch = folder / "arduino" / "classifier"
    command = [*STRICT, "-fsyntax-only", f"-I{API / 'arduino'}"]
    subprocess.run([*command, *sorted(sketch.glob("*.cpp"))], check=True)
    subprocess.run([*command, "-include", "Arduino.h", "-x", "c++", sketch / "classifier.ino"], check=True)
    return {path.stem for path in sketch.glob("*.cpp")}
