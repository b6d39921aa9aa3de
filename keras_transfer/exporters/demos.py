"""Where the sources of the demonstration apps lie: `web_demo/` and `android_demo/`, kept once, beside the package."""

from pathlib import Path

from keras_transfer.errors import InputError

_PACKAGE = Path(__file__).resolve().parents[1]


def demo_folder(name: str) -> Path:
    """Returns the folder of a demonstration app: in a wheel `keras_transfer/demos/NAME`, in a checkout `NAME`.

    Args:
        name: `"web_demo"` or `"android_demo"`.

    Raises:
        InputError: this installation came without it.

    >>> (demo_folder("web_demo") / "preprocess.js").is_file()
    True
    """
    for place in (_PACKAGE / "demos" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise InputError(f"This installation of keras-transfer has no {name}: install its wheel or work in a checkout.")
