"""What the folder of every app must be."""

from collections.abc import Sequence
from pathlib import Path

from keras_transfer.exporters.android_app import ASSETS, GOLDEN
from keras_transfer.exporters.demos import demo_folder


def check_app(files: Sequence[Path], out: Path) -> set[str]:
    """Asserts that it is the app of `android_demo/` but for a model's own files; returns the names of its assets."""
    assert sorted(files) == sorted(path for path in out.rglob("*") if path.is_file())
    own = {out / "README.txt", *(out / ASSETS).iterdir(), *(out / GOLDEN).iterdir()}
    for path in set(files) - own:
        assert path.read_bytes() == (demo_folder("android_demo") / path.relative_to(out)).read_bytes()
    return {path.name for path in (out / ASSETS).iterdir()}
