"""Puts a student into the package: `python pretraining/text/pack.py student/student`."""

import shutil
import sys
from pathlib import Path

from safetensors.numpy import load_file

from keras_transfer.modalities.text import bundled


def main() -> None:
    student = Path(sys.argv[1])
    bundled.pack(load_file(student / "model.safetensors"), bundled.FILE)
    for name in ("config.json", "vocab.txt"):
        shutil.copyfile(student / name, bundled.FOLDER / name)
    print(f"{sum(path.stat().st_size for path in bundled.FOLDER.glob('*.*') if path.suffix != '.py'):,} bytes")


if __name__ == "__main__":
    main()
