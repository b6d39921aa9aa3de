"""The Android app of `android_demo/` around a model, whatever it takes: the app itself, the model and its labels."""

import json
from collections.abc import Iterator
from pathlib import Path
from string import Template

from keras_transfer.exporters.demos import demo_folder
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_text
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.labels import LABELS_FILE, LIMIT_FILE, labels_text
from keras_transfer.schemas import N_ITEMS

APP = (
    "README.md",
    "app/build.gradle.kts",
    "app/src/main/AndroidManifest.xml",
    "app/src/main/kotlin",
    "app/src/main/res",
    "build.gradle.kts",
    "core/build.gradle.kts",
    "core/src/main/kotlin",
    "core/src/test/kotlin",
    "gradle",
    "gradle.properties",
    "settings.gradle.kts",
)
"""Files and folders of `android_demo/` that make the app."""
ASSETS = "app/src/main/assets"
GOLDEN = "core/src/test/resources/golden"
_README = Template("""\
An Android app around $name: open this folder in Android Studio and run it. README.md explains more.

$assets/model.tflite
    the model: $size bytes, $input in, $output out, $accuracy of $n_items test $items right
$assets/labels.txt
    its $classes class names, in the order of its outputs
$assets/$own
$golden/
    $cases The unit tests of :core compare themselves with them: gradlew :core:test

All lies where android_demo/ of keras_transfer has it. To give another copy of the app this model, copy the assets
there; to use it in an app of your own, copy the assets and :core, which prepares $items as in training.
""")


def write_app(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model and its labels among its assets.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to; what is in it of an earlier export is replaced.

    Returns:
        The files.

    Raises:
        InputError: this installation came without `android_demo`.
    """
    files = [write_bytes(folder / path, content) for path, content in _app()]
    files.append(write_bytes(folder / ASSETS / "model.tflite", kit.content))
    if kit.limit is not None:
        files.append(write_text(folder / ASSETS / LIMIT_FILE, json.dumps(kit.limit.to_dict())))
    return [*files, write_text(folder / ASSETS / LABELS_FILE, labels_text(kit.class_names))]


def write_readme(kit: Kit, folder: Path, items: str, own: str, cases: str) -> Path:
    """Writes the folder's `README.txt`: what lies where.

    Args:
        kit: what the exporter knows of the file.
        folder: of the app.
        items: what the model takes, in the plural.
        own: the assets of the modality, and on the next line what they are for.
        cases: what the golden vectors are, a sentence.
    """
    info = read_flatbuffer(kit.content)
    input_, output = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    text = _README.substitute(
        name=kit.name,
        assets=ASSETS,
        golden=GOLDEN,
        size=f"{len(kit.content):,}",
        input=f"{input_.dtype} {list(input_.shape)}",
        output=f"{output.dtype} {list(output.shape)}",
        accuracy=f"{kit.proof['test_accuracy']:.1%}",
        n_items=kit.proof[N_ITEMS],
        classes=len(kit.class_names),
        items=items,
        own=own,
        cases=cases,
    )
    return write_text(folder / "README.txt", text)


def _app() -> Iterator[tuple[str, bytes]]:
    source = demo_folder("android_demo")
    for part in APP:
        paths = sorted((source / part).rglob("*")) if (source / part).is_dir() else [source / part]
        for path in paths:
            if path.is_file():
                yield path.relative_to(source).as_posix(), path.read_bytes()
