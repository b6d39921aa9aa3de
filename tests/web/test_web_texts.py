"""The page for texts: what is typed becomes Python's token ids, and gets the file's own scores."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from encoders import write_encoder
from serving import browse, serve, written
from text_kits import LENGTH, NAMES, make_kit

from keras_transfer.exporters import web_page
from keras_transfer.exporters.targets import Kit, judge, kit_writer
from keras_transfer.litert import open_litert
from keras_transfer.modalities.text.golden import made_sentences
from keras_transfer.modalities.text.preparer import open_preparer
from keras_transfer.modalities.text.targets import web


@pytest.fixture(scope="module")
def text_kit(tmp_path_factory: pytest.TempPathFactory) -> Kit:
    return make_kit(write_encoder(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def text_site(text_kit: Kit, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from written(web.write, text_kit, tmp_path_factory.mktemp("site"))


def test_what_is_written(text_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "_add_runtime", lambda source, folder: "")
    assert kit_writer("web", "text") is web.write and judge(text_kit.content, "web")["ok"]
    files = {path.name for path in web.write(text_kit, tmp_path)}
    made = {"model.json", "model_dynamic.tflite", "vocab.txt", "characters.txt"}
    assert files == {"index.html", *web.PAGE.scripts, *web_page.SHARED, *web_page.NPM, *made}
    about = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert (about["input"]["dtype"], about["input"]["shape"]) == ("int32", [1, LENGTH])
    assert about["class_names"] == NAMES
    assert about["lowercase"] is True and about["strip_accents"] is True
    assert "<textarea" in (tmp_path / "index.html").read_text("utf-8")


def test_other_tokenizers_have_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert web.write(make_kit(write_encoder(tmp_path / "encoder", "roberta")), tmp_path / "web") == []
    assert not (tmp_path / "web").exists() and "WordPiece alone" in capsys.readouterr().err


def test_scores_of_what_is_typed(node: str, chromium: str, text_site: str, text_kit: Kit) -> None:
    texts = ["The soup was very good!", "poor tea \U0001f375, very bad", "\u6bd2 na\u00efve Caf\u00e9", "good " * 60]
    texts += [text for text in made_sentences(12, seed=3) if text.strip() and text.isprintable()]
    preparer, file = open_preparer(text_kit.inputs.preparation), open_litert(text_kit.content, threads=1)
    for text, result in zip(texts, browse(node, chromium, text_site, [], texts=texts)["results"], strict=True):
        ids = np.asarray(preparer.prepare(text.encode(), text_kit.inputs))
        scores = file.predict(ids[None])[0]
        assert result["text"] == text and result["ids"] == ids.tolist()
        np.testing.assert_allclose(result["scores"], scores, atol=1e-4)
        assert result["said"].startswith(NAMES[int(scores.argmax())]) and "75% right of 400 texts" in result["facts"]
        assert ("the first 22 of 60 tokens" in result["facts"]) == (text == "good " * 60)


def test_the_page_for_texts(chromium: str, audit: Callable[..., list[str]], text_site: str) -> None:
    assert audit(text_site) == []


def test_a_missing_vocabulary_is_named(node: str, chromium: str, text_kit: Kit, text_site: str, tmp_path: Path) -> None:
    web.write(text_kit, tmp_path)
    (tmp_path / "vocab.txt").unlink()
    for url in serve(tmp_path):
        assert "vocab.txt is missing" in browse(node, chromium, url, [])["ready"]
