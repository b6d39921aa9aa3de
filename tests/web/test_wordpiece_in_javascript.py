"""The browser's tokenizer against Python's."""

import subprocess
from pathlib import Path

import pytest
from serving import HERE

from keras_transfer.modalities.text.golden import golden_vectors, made_vocabulary
from keras_transfer.modalities.text.wordpiece import WordPiece


def differing(node: str, folder: Path) -> list[str]:
    call = [node, str(HERE / "compare.js"), "ids", str(folder)]
    return subprocess.run(call, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()


@pytest.mark.parametrize("modes", [(True, None), (True, False), (False, None), (False, True)], ids=str)
def test_ids_are_equal(node: str, tmp_path: Path, modes: tuple[bool, bool | None]) -> None:
    golden_vectors(tmp_path, WordPiece(made_vocabulary(), *modes), count=2000)
    assert differing(node, tmp_path) == ["2000 sentences"]


def test_every_character_is_treated_alike(node: str, tmp_path: Path) -> None:
    codes = [*range(0xD800), *range(0xE000, 0x33480), *range(0xDFFF0, 0xE0200), *range(0x10FF00, 0x110000)]
    parts = [f"a{chr(code)}b{chr(code)}\u302e" for code in codes]
    texts = [" ".join(parts[start : start + 128]) for start in range(0, len(parts), 128)]
    golden_vectors(tmp_path, WordPiece([*made_vocabulary(), "\u302e", "##\u302e"]), texts, length=8)
    assert differing(node, tmp_path) == [f"{len(texts)} sentences"]


def test_a_differing_id_is_found(node: str, tmp_path: Path) -> None:
    index = golden_vectors(tmp_path, sentences=["one", "two"])
    index.write_text(index.read_text().replace(b"two".hex(), b"too".hex()))
    different, _ = differing(node, tmp_path)
    assert different.startswith(b"too".hex())
