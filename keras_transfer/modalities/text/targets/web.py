"""The page of `web_demo/` around a model of texts: a text field, and BERT's tokenizer in JavaScript."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import write_page
from keras_transfer.files import write_bytes
from keras_transfer.inputs import open_asset
from keras_transfer.modalities.text.characters import CHARACTERS
from keras_transfer.modalities.text.preparer import open_preparer
from keras_transfer.progress import say

PAGE = {"index.html": "text.html", "text.js": "text.js", "wordpiece.js": "wordpiece.js"}
"""Its own files."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, with the tokenizer's vocabulary; see `keras_transfer.exporters.web_page.write_page`.

    The page knows BERT's WordPiece alone: of a model with another tokenizer nothing is written, and a note says so.
    """
    preparer = open_preparer(kit.inputs.preparation)
    if preparer.tokenizer != "wordpiece":
        say(f"Note: {kit.name} has no page: pages for texts know BERT's WordPiece alone, not its tokenizer.")
        return []
    (vocabulary,) = map(open_asset, preparer.assets.values())
    strips = preparer.lowercase if preparer.strip_accents is None else preparer.strip_accents
    files = write_page(kit, folder, PAGE, {"lowercase": preparer.lowercase, "strip_accents": strips})
    characters = write_bytes(folder / CHARACTERS.name, CHARACTERS.read_bytes())
    return [*files, write_bytes(folder / "vocab.txt", vocabulary), characters]
