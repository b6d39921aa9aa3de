"""The Android app of `android_demo/` around a model of texts: it shows a text field, and has BERT's tokenizer."""

from pathlib import Path
from string import Template

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, describe_model, write_app
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes, write_text
from keras_transfer.modalities.text.golden import golden_vectors
from keras_transfer.modalities.text.preparer import open_wordpiece
from keras_transfer.progress import say

_CASES = 500
_README = Template("""\
An Android app around $name: open this folder in Android Studio and run it. README.md explains more.

$assets/model.tflite
    the model: $size bytes, $input in, $output out, $accuracy of $items test texts right
$assets/labels.txt
    its $classes class names, in the order of its outputs
$assets/vocab.txt, characters.txt, tokenizer.csv
    how texts become token ids; by them the app knows that it is to show a text field
$golden/
    $cases made sentences with the token ids that they must become. The unit tests of :core compare themselves with
    them: gradlew :core:test

All lies where android_demo/ of keras_transfer has it. To give another copy of the app this model, copy the assets
there; to use it in an app of your own, copy the assets and :core, whose tokenizer is that of the training.
""")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels and tokenizer, and golden vectors of made sentences.

    The app knows BERT's WordPiece alone: of a model with another tokenizer nothing is written, and a note says so.

    Args:
        kit: what the exporter knows of the file.
        folder: the place to write to; what is in it of an earlier export is replaced.

    Returns:
        The files.

    Raises:
        InputError: this installation came without `android_demo`.
    """
    words = open_wordpiece(kit.inputs)
    if words is None:
        say(f"Note: {kit.name} has no app: the one for texts knows BERT's WordPiece alone, not its tokenizer.")
        return []
    files = write_app(kit, folder)
    length = kit.inputs.tensor.shape[0] or 0
    index = golden_vectors(folder / GOLDEN, words, count=_CASES, length=length)
    made = sorted(index.parent.iterdir())
    assets = [write_bytes(folder / ASSETS / path.name, path.read_bytes()) for path in made if path != index]
    text = _README.substitute(describe_model(kit), cases=_CASES)
    return [*files, *made, *assets, write_text(folder / "README.txt", text)]
