"""KerasHub's presets of texts: their networks as flat graphs, and their tokenizers, with random weights."""

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from encoders import VOCABULARY

from keras_transfer.errors import InputError
from keras_transfer.litert import convert, open_litert
from keras_transfer.modalities.text.builder import build_text_classifier
from keras_transfer.modalities.text.preparer import TextPreparer, open_preparer
from keras_transfer.models import load_model, model_inputs, save_model, stages
from keras_transfer.models.replay import at_size

keras_hub = pytest.importorskip("keras_hub", reason="needs keras-hub: pip install keras-hub", exc_type=ImportError)
spm = pytest.importorskip("sentencepiece")

# KerasHub leaves the file of a SentencePiece model open; its T5 takes masks as arguments as well.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:.*does not support masking:UserWarning"),
]

SENTENCES = [
    "the soup was good",
    "A  cold   tea, and it is bad.",
    "don't wait 3 days\nfor it!",
    "naïve café 😀 is fine",
]
CORPUS = [*SENTENCES, *(f"the {word} was not very good and it is {word}." for word in VOCABULARY[5:])]
SIZE = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
BERT = ("Bert", "DistilBert", "Electra")
PAIRS = ("Roberta", "GPT2")
UNIGRAMS = ("Albert", "XLMRoberta", "T5")


def word_pieces(kind: str) -> Any:
    return getattr(keras_hub.tokenizers, f"{kind}Tokenizer")(VOCABULARY, lowercase=True)


def byte_pairs(kind: str) -> Any:
    from tokenizers import ByteLevelBPETokenizer

    trained = ByteLevelBPETokenizer()
    marks = ["<|endoftext|>"] if kind == "GPT2" else ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(CORPUS, 400, special_tokens=marks, show_progress=False)
    import json

    about = json.loads(trained.to_str())["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in about["merges"]]
    return getattr(keras_hub.tokenizers, f"{kind}Tokenizer")(about["vocab"], merges)


def unigrams(kind: str) -> Any:
    ids = {
        "Albert": {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "pad_piece": "<pad>",
                   "user_defined_symbols": "[CLS],[SEP],[MASK]", "normalization_rule_name": "nmt_nfkc_cf"},
        "XLMRoberta": {"unk_id": 0, "bos_id": 1, "eos_id": 2},
        "T5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    }[kind]  # fmt: skip
    written = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=written, vocab_size=76, model_type="unigram", minloglevel=2, **ids
    )
    return getattr(keras_hub.tokenizers, f"{kind}Tokenizer")(written.getvalue())


@pytest.fixture(scope="module", params=[*BERT, *PAIRS, *UNIGRAMS])
def preset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Any]:
    """The kind, the folder, and KerasHub's own tokenizer."""
    kind, folder = request.param, tmp_path_factory.mktemp("preset") / request.param
    make = word_pieces if kind in BERT else byte_pairs if kind in PAIRS else unigrams
    tokenizer = make(kind)
    sizes: dict[str, Any] = SIZE | {"vocab_size" if kind == "Electra" else "vocabulary_size": 0}
    sizes = dict.fromkeys(list(sizes)[-1:], tokenizer.vocabulary_size()) | SIZE
    if kind == "T5":
        sizes["key_value_dim"] = 8
    else:
        sizes["max_sequence_length"] = 64
    if kind in ("Albert", "Electra"):
        sizes["embedding_dim"] = 8
    keras.utils.set_random_seed(0)
    backbone = getattr(keras_hub.models, f"{kind}Backbone")(**sizes)
    for weight in backbone.weights:  # as after a pretraining: every part matters
        weight.assign(weight + keras.random.normal(weight.shape, stddev=0.2))
    backbone.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))
    return kind, folder, tokenizer


def opened(folder: Path) -> TextPreparer:
    return open_preparer({"backbone": str(folder)})


def test_ids_are_kerashubs_own(preset: tuple[str, Path, Any]) -> None:
    kind, folder, tokenizer = preset
    preparer = opened(folder)
    for sentence in SENTENCES:
        own = [int(i) for i in np.asarray(tokenizer(sentence))]
        ids = preparer.encode(sentence.encode())
        first, last = (0, 0) if kind == "GPT2" else (0, 1) if kind == "T5" else (1, 1)
        assert ids[first : len(ids) - last] == own, (sentence, preparer.tokens_of.pieces(np.array(ids)))
    assert preparer.longest == (512 if kind == "T5" else 64)


def test_features_are_kerashubs_own_and_padding_changes_nothing(preset: tuple[str, Path, Any]) -> None:
    kind, folder, _ = preset
    preparer = opened(folder)
    model = build_text_classifier(str(folder), 3)
    ids = preparer.prepare(SENTENCES[0].encode(), preparer.spec(24))[None]
    inside = (ids != preparer.padding).astype(np.int32)
    given = {"token_ids": ids, "padding_mask": inside, "segment_ids": ids * 0}
    backbone = keras_hub.models.Backbone.from_preset(str(folder))
    names = {name: name.removeprefix("encoder_").removeprefix("decoder_") for name in backbone.input}
    found = backbone({name: given[key] for name, key in names.items()})
    if isinstance(found, dict):
        found = found.get("sequence_output", found.get("encoder_sequence_output"))
    count = int(inside.sum())
    wanted = np.array(found)[:, count - 1] if kind == "GPT2" else np.array(found)[:, :count].mean(axis=1)
    head = keras.Model(model.inputs[0], model.get_layer("dropout").input)
    assert np.allclose(np.array(head(ids)), wanted, atol=1e-4)
    short = preparer.prepare(SENTENCES[0].encode(), preparer.spec(count))[None]
    assert np.allclose(np.array(model(ids)), np.array(model(short)), atol=1e-4)


def test_it_is_cut_saved_and_made_into_files(preset: tuple[str, Path, Any], tmp_path: Path) -> None:
    kind, folder, _ = preset
    preparer = opened(folder)
    model = build_text_classifier(str(folder), 3)
    blocks = 1 if kind in ("Albert", "T5") else 2  # T5: the first one's bias goes to all
    assert len(stages(model)) >= blocks + 1, [stage.name for stage in stages(model)]
    spec = preparer.spec(model_inputs(model))
    ids = np.stack([preparer.prepare(sentence.encode(), spec) for sentence in SENTENCES])
    again = load_model(save_model(model, tmp_path / "model.keras", spec))
    assert np.allclose(np.array(again(ids)), np.array(model(ids)), atol=1e-5)
    files = convert(at_size(model, spec.tensors), ["float32", "dynamic"], item=spec.tensors)
    for name, limit in (("float32", 1e-4), ("dynamic", 0.1)):
        assert np.abs(open_litert(files[name]).predict(ids) - np.array(model(ids))).max() < limit


def test_what_is_no_backbone_of_texts_is_refused(tmp_path: Path) -> None:
    vit = keras_hub.models.ViTBackbone((32, 32, 3), 8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=32)
    vit.save_to_preset(str(tmp_path / "vit"))
    with pytest.raises(InputError, match="cannot load the tokenizer"):
        opened(tmp_path / "vit")
