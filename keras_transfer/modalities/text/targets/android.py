"""The Android app of `android_demo/` around a model of texts: it shows a text field, and has BERT's tokenizer."""

from pathlib import Path

from keras_transfer.exporters.android_app import ASSETS, GOLDEN, write_app, write_readme
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.files import write_bytes
from keras_transfer.modalities.text.golden import golden_vectors
from keras_transfer.modalities.text.preparer import open_wordpiece
from keras_transfer.progress import say

_CASES = 500
_OWN = """vocab.txt, characters.txt, tokenizer.csv
    how texts become token ids; by them the app knows that it is to show a text field"""
_GOLDEN = f"{_CASES} made sentences, and the token ids that they must become."


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the app, with the model, its labels and tokenizer, and golden vectors of made sentences.

    The app knows BERT's WordPiece alone: of a model with another tokenizer nothing is written, and a note says so. See
    `write_app` for the rest.
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
    readme = write_readme(kit, folder, "texts", _OWN, _GOLDEN)
    return [*files, *made, *assets, readme]
