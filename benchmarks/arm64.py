"""Whether LiteRT answers on arm64 as it does on this machine, byte by byte, without an arm64 machine.

    python benchmarks/arm64.py RUN/export/model_int8.tflite --photos photos/ --csv docs/results/arm64.csv

Debian's arm64 Python 3.11 and the aarch64 wheels of LiteRT 2.1.6 and NumPy are unpacked in a folder (`--root`) and
run by qemu's user-mode emulator (`apt-get install qemu-user-static`, on Debian 12, whose Python is 3.11; root is not
needed, and the machine's own packages stay as they are). The pictures are those of golden vectors: reduced photographs,
or made-up ones. XNNPACK has kernels for each generation of processors, so each file is run on several. Times would be
the emulator's and are not taken. Exit code 1: an int8 file answers otherwise on a processor without SME; for one with
it see docs/targets.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from table import write_rows

from keras_transfer.litert import open_litert
from keras_transfer.modalities.image.golden import golden_vectors

EMULATOR = "qemu-aarch64-static"
DEBS = (
    "libbz2-1.0", "libc6", "libcrypt1", "libexpat1", "libffi8", "libgcc-s1", "liblzma5", "libpython3.11-minimal",
    "libpython3.11-stdlib", "libssl3", "libstdc++6", "libuuid1", "python3.11-minimal", "zlib1g",
)  # fmt: skip
LITERT = "2.1.6"  # those of 2.2 and 2.3 end in a segmentation fault under qemu 7.2, before any file is read
PROCESSORS = {
    "cortex-a53": "NEON",
    "cortex-a76": "NEON, dot products",
    "max,sme=off": "NEON, dot products, i8mm, SVE2",
    "max": "NEON, dot products, i8mm, SVE2, SME",
}  # as qemu names them
RUNNER = """
import sys
from pathlib import Path
import numpy as np
from table import write_rows
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
[image], [output] = interpreter.get_input_details(), interpreter.get_output_details()
for path in sorted(Path(sys.argv[2]).glob("*.input")):
    interpreter.set_tensor(image["index"], np.fromfile(path, image["dtype"]).reshape(image["shape"]))
    interpreter.invoke()
    interpreter.get_tensor(output["index"]).tofile(path.with_suffix(".arm64"))
"""
COLUMNS = (
    "file", "bytes", "processor", "instructions", "litert", "litert_arm64", "pictures", "equal_outputs", "same_top_1",
    "largest_difference",
)  # fmt: skip


def unpack(root: Path) -> Path:
    """Fills `root` with an arm64 Python and its packages, unless it is there; returns the interpreter."""
    python, site = root / "usr/bin/python3.11", root / "site"
    if not python.exists():
        root.mkdir(parents=True, exist_ok=True)
        state = root / "apt"
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        options = ["APT::Architecture=arm64", "APT::Architectures=arm64", "APT::Sandbox::User=root"]
        options += [f"Dir::State::Lists={state / 'lists'}", f"Dir::Cache={state / 'cache'}", "Debug::NoLocking=1"]
        apt = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "download", *(f"{name}:arm64" for name in DEBS)], check=True, cwd=state)
        for package in sorted(state.glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
        shutil.rmtree(state)
    wanted = [f"ai-edge-litert=={LITERT}", *(f"{name}=={version(name)}" for name in ("flatbuffers", "numpy"))]
    if not (site / "numpy").exists():
        target = ["--target", str(site), "--only-binary", ":all:", "--no-deps", "--python-version", "3.11"]
        platforms = [part for glibc in (17, 27, 28) for part in ("--platform", f"manylinux_2_{glibc}_aarch64")]
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", *target, *platforms, *wanted], check=True)
    return python


def run(root: Path, processor: str, file: Path, folder: Path) -> None:
    """Answers every `*.input` of a folder under emulation."""
    call = [EMULATOR, "-L", str(root), "-cpu", processor, str(root / "usr/bin/python3.11"), "-S", "-c", RUNNER]
    environment = os.environ | {"PYTHONPATH": str(root / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([*call, str(file), str(folder)], check=True, env=environment)


def compare(file: Path, root: Path, pictures: Sequence[Path] | None, count: int) -> list[dict[str, object]]:
    """A row a processor."""
    content = file.read_bytes()
    output = open_litert(content, threads=1).outputs[0]
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as place:
        golden_vectors(place, content, pictures, count=count)
        for processor, instructions in PROCESSORS.items():
            run(root, processor, file.resolve(), Path(place))
            expected, found = (
                np.stack([np.fromfile(path, output.dtype) for path in sorted(Path(place).glob(f"*.{kind}"))])
                for kind in ("output", "arm64")
            )
            values = (
                file.stem, len(content), processor, instructions, version("ai-edge-litert"), LITERT, len(found),
                int((expected == found).all(axis=1).sum()),
                int((expected.argmax(axis=1) == found.argmax(axis=1)).sum()),
                float(np.abs(expected.astype(float) - found.astype(float)).max()),
            )  # fmt: skip
            rows.append(dict(zip(COLUMNS, values, strict=True)))
            print(rows[-1], flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="LiteRT image classifiers")
    parser.add_argument("--photos", type=Path, help="a folder of photographs; without it, pictures are made up")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--root", type=Path, default=Path("build/arm64"), help="where the arm64 packages are unpacked")
    parser.add_argument("--csv", type=Path)
    told = parser.parse_args()
    if shutil.which(EMULATOR) is None:
        print(f"{EMULATOR} is missing: apt-get install qemu-user-static", file=sys.stderr)
        return 2
    root = told.root.resolve()
    unpack(root)
    pictures = None
    if told.photos:
        found = sorted(path for path in told.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        pictures = [found[i] for i in np.linspace(0, len(found) - 1, told.count).round().astype(int)]
    rows = [row for file in told.files for row in compare(file, root, pictures, told.count)]
    if told.csv:
        write_rows(told.csv, rows)
    counted = [row for row in rows if "int8" in str(row["file"]) and "SME" not in str(row["instructions"])]
    return int(any(row["equal_outputs"] != row["pictures"] for row in counted))


if __name__ == "__main__":
    sys.exit(main())
