"""The page of `web_demo/` around a model of texts: a text field, and BERT's tokenizer in JavaScript."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import Page, write_page
from keras_transfer.files import write_bytes
from keras_transfer.inputs import open_asset
from keras_transfer.modalities.text.characters import CHARACTERS
from keras_transfer.modalities.text.preparer import open_wordpiece
from keras_transfer.progress import say

PAGE = Page("text", "What does the text say?", ("wordpiece.js",))


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, with the tokenizer's vocabulary; see `keras_transfer.exporters.web_page.write_page`.

    The page knows BERT's WordPiece alone: of a model with another tokenizer nothing is written, and a note says so.
    """
    words = open_wordpiece(kit.inputs)
    if words is None:
        say(f"Note: {kit.name} has no page: pages for texts know BERT's WordPiece alone, not its tokenizer.")
        return []
    files = write_page(kit, folder, PAGE, {"lowercase": words.lowercase, "strip_accents": words.decomposes})
    for name, digest in kit.inputs.assets.items():
        files.append(write_bytes(folder / name, open_asset(digest)))
    return [*files, write_bytes(folder / CHARACTERS.name, CHARACTERS.read_bytes())]
