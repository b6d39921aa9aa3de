"""Encoders read from folders compute what their authors' do, on any length, and can be cut, saved and converted."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from encoders import KINDS, LETTERS, VOCABULARY, WIDTH, write_encoder

from keras_transfer import InputError
from keras_transfer.inputs import InputSpec, item_lengths, like_lengths
from keras_transfer.modalities.text import bundled
from keras_transfer.modalities.text.builder import build_text_classifier
from keras_transfer.modalities.text.preparer import open_preparer, text_of
from keras_transfer.modalities.text.presets import BUNDLED, find_preset
from keras_transfer.models import load_model, model_inputs, read_inputs, save_model, stages, suffix
from keras_transfer.models.replay import at_size

TEXTS = ["The soup was very good!", "Bad tea, poor soup, not good and not fine", "fine"]


@pytest.fixture(scope="module", params=KINDS)
def folder(request, tmp_path_factory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoders") / request.param, request.param)


@pytest.fixture(scope="module")
def model(folder: Path) -> keras.Model:
    return build_text_classifier(str(folder), ["no", "yes"])


def ids_of(folder: Path, length: int) -> np.ndarray:
    preparer = open_preparer({"backbone": str(folder), "length": length})
    return np.stack([preparer.prepare(text.encode(), preparer.spec(length)) for text in TEXTS])


def test_padding_changes_nothing(folder: Path, model: keras.Model) -> None:
    short, long = ids_of(folder, 24), ids_of(folder, 40)
    assert np.allclose(model(short, training=False), model(long, training=False), atol=1e-5)
    alone = model(short[2:, :8], training=False)
    assert np.allclose(model(short, training=False)[2:], alone, atol=1e-5)


def test_every_word_and_its_place_count(folder: Path, model: keras.Model) -> None:
    ids = ids_of(folder, 24)
    swapped = ids.copy()
    swapped[:, [1, 2]] = swapped[:, [2, 1]]
    features = keras.Model(model.inputs[0], model.get_layer("pool").output)
    assert not np.allclose(features(ids[:2], training=False), features(swapped[:2], training=False), atol=1e-3)


def test_a_stage_is_a_block(folder: Path, model: keras.Model) -> None:
    found = stages(model)
    assert len(found) == (2 if "albert" in folder.name else 3)  # the embeddings are one
    names = [layer.name for layer in found[-1].layers if layer.weights]
    assert any(name.endswith("_query") for name in names) and any(name.endswith("_outer_norm") for name in names)
    ids = ids_of(folder, 24)
    for stage in found[:-1]:
        below = keras.Model(model.inputs[0], stage.output)(ids, training=False)
        above = suffix(model, stage.output)([below, keras.ops.convert_to_tensor(ids)], training=False)
        assert np.allclose(above, model(ids, training=False), atol=1e-5)


def test_saved_it_brings_its_tokenizer(folder: Path, model: keras.Model, tmp_path: Path, monkeypatch) -> None:
    preparer = open_preparer({"backbone": str(folder), "length": 24})
    path = save_model(model, tmp_path / "model.keras", preparer.spec(model_inputs(model)))
    monkeypatch.setattr("keras_transfer.inputs._assets", {})
    for cached in ("_wordpiece", "_hugging_face"):
        monkeypatch.setattr(
            f"keras_transfer.modalities.text.preparer.{cached}",
            getattr(__import__("keras_transfer.modalities.text.preparer", fromlist=[cached]), cached).__wrapped__,
        )
    spec = read_inputs(path)
    assert spec is not None and spec.tensor.shape == (24,)
    again = open_preparer(spec.preparation)
    assert np.array_equal(again.prepare(TEXTS[0].encode(), spec), ids_of(folder, 24)[0])
    assert np.allclose(load_model(path)(ids_of(folder, 24)), model(ids_of(folder, 24)), atol=1e-6)


def test_at_a_fixed_length_it_is_the_same(folder: Path, model: keras.Model) -> None:
    spec = open_preparer({"backbone": str(folder), "length": 24}).spec(model_inputs(model))
    fixed = at_size(model, spec.tensors)
    assert fixed.input_shape == (None, 24) and at_size(fixed, spec.tensors) is fixed
    assert np.allclose(fixed(ids_of(folder, 24)), model(ids_of(folder, 24)), atol=1e-6)


def test_texts_survive_tokens(folder: Path) -> None:
    preparer = open_preparer({"backbone": str(folder), "length": 24})
    tokens = text_of(ids_of(folder, 24)[2], preparer)
    assert tokens[1:-1] == ["fine"] and len(tokens) == 3


def test_bert_against_a_plain_computation(tmp_path: Path) -> None:
    """The forward pass written out in NumPy from the weights' own names."""
    from safetensors.numpy import load_file

    folder = write_encoder(tmp_path / "bert")
    model = build_text_classifier(str(folder), 2)
    weights = {name: values.astype(np.float64) for name, values in load_file(folder / "model.safetensors").items()}
    ids = ids_of(folder, 24)[0]
    ids = ids[: item_lengths(ids[None], 0)[0]]

    def dense(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(x):
        from scipy.special import erf

        return x * (1 + erf(x / np.sqrt(2))) / 2

    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for block in ("encoder.layer.0.", "encoder.layer.1."):
        query, key, value = (
            dense(x, f"{block}attention.self.{part}").reshape(len(ids), 2, WIDTH // 2).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(WIDTH // 2)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ value).transpose(1, 0, 2).reshape(len(ids), WIDTH)
        x = norm(x + dense(mixed, f"{block}attention.output.dense"), f"{block}attention.output.LayerNorm")
        inner = gelu(dense(x, f"{block}intermediate.dense"))
        x = norm(x + dense(inner, f"{block}output.dense"), f"{block}output.LayerNorm")
    pooled = keras.Model(model.inputs[0], model.get_layer("pool").output)(ids[None], training=False)
    assert np.allclose(pooled[0], x.mean(0), atol=1e-4)


@pytest.mark.parametrize("pooling", ["avg", "max", "token"])
def test_poolings_ignore_padding(tmp_path: Path, pooling: str) -> None:
    folder = write_encoder(tmp_path / "bert")
    model = build_text_classifier(str(folder), 3, pooling=pooling)
    assert np.allclose(model(ids_of(folder, 24)), model(ids_of(folder, 64)), atol=1e-5)


def test_random_weights_are_others(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "bert")
    own, random = (build_text_classifier(str(folder), 2, weights=weights) for weights in ("pretrained", "none"))
    assert not np.allclose(own.get_layer("words").get_weights()[0], random.get_layer("words").get_weights()[0])


BAD = {
    "no folder": (lambda folder: folder.rename(folder.with_name("gone")), "no text encoder"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "cannot be read"),
    "another model": (lambda folder: (folder / "config.json").write_text('{"model_type": "gpt2"}'), "type 'gpt2'"),
    "a damaged config": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    "a config that is a list": (lambda folder: (folder / "config.json").write_text("[]"), "must hold an object"),
    "a width of text": (lambda folder: _change(folder, hidden_size="wide"), "hidden_size must be a whole number"),
    "heads that do not divide": (lambda folder: _change(folder, num_attention_heads=3), "makes no sense"),
    "another width": (lambda folder: _change(folder, hidden_size=32), "have the shapes"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "pickles are not read"),
    "damaged weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"\0" * 64), "cannot be read"),
    "no tokenizer": (lambda folder: (folder / "vocab.txt").unlink(), "has no tokenizer"),
    "a short vocabulary": (lambda folder: (folder / "vocab.txt").write_text("[PAD]\n"), r"lacks \[UNK\]"),
    "another padding": (lambda folder: _change(folder, pad_token_id=1), "does not fit"),
}


def _change(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_refused_in_a_sentence(tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    folder = write_encoder(tmp_path / "bert")
    spoil(folder)
    with pytest.raises(InputError, match=message):
        open_preparer({"backbone": str(folder)})
        build_text_classifier(str(folder), 2)


def test_names_that_are_none(tmp_path: Path) -> None:
    for name in ("berd", "hf:", "hf:/no/such/folder", "", "../x"):
        with pytest.raises(InputError, match="no text encoder"):
            find_preset(name)


def test_a_download_that_fails_says_what_to_fetch(monkeypatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(InputError, match=r"some/encoder cannot be downloaded \(Name or service.*model.safetensors"):
        find_preset("hf:some/encoder")


def test_batches_of_like_length_hold_every_item_once(tmp_path: Path) -> None:
    preparer = open_preparer({"backbone": str(write_encoder(tmp_path / "bert")), "length": 32})
    spec: InputSpec = preparer.spec(32)
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(VOCABULARY[len(LETTERS) + 5 :], random.integers(1, 29))) for _ in range(50)]
    ids = np.stack([preparer.prepare(text.encode(), spec) for text in texts])
    seen = np.zeros(len(ids), int)
    for items, (part,) in like_lengths((ids,), spec, 8):
        seen[items] += 1
        assert part.shape[1] % 8 == 0 and not ids[items, part.shape[1] :].any()
    assert (seen == 1).all()


def test_only_the_vocabulary_is_kept_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_encoder(tmp_path / "bert")
    preparer = open_preparer({"backbone": str(folder), "length": 24})
    model = build_text_classifier(str(folder), 2)
    path = save_model(model, tmp_path / "model.keras", preparer.spec(model_inputs(model)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("keras_transfer/other.txt", "not asked for")
    monkeypatch.setattr("keras_transfer.inputs._assets", kept := {})
    read_inputs(path)
    assert list(kept) == [*preparer.assets.values()]


def test_the_encoder_in_the_package_knows_words_and_needs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("something optional is asked for")

    monkeypatch.setattr("keras_transfer.modalities.text.presets.require", fail)
    assert sum(path.stat().st_size for path in bundled.FOLDER.iterdir() if path.is_file()) < 5_000_000
    assert (bundled.FOLDER / "NOTICE").is_file()
    preparer = open_preparer({"backbone": BUNDLED, "length": 16})
    model = build_text_classifier(BUNDLED, 2)
    features = keras.Model(model.inputs[0], model.get_layer("pool").output)
    texts = ["The soup was delicious.", "A tasty meal!", "The service was awful.", "Terrible waiters."]
    ids = np.stack([preparer.prepare(text.encode(), preparer.spec(16)) for text in texts])
    found = np.array(features(ids, training=False))
    found -= found.mean(0)
    alike = found @ found.T
    assert alike[0, 1] > alike[0, 2] and alike[0, 1] > alike[0, 3] and alike[2, 3] > alike[1, 3]


def test_packing_keeps_eight_bits_of_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    weights = {"a": random.normal(size=(4, 300)).astype(np.float32), "b": np.arange(4, dtype=np.float32)}
    weights["a"][0] *= 100
    bundled.pack(weights, tmp_path / "model.npz")
    monkeypatch.setattr(bundled, "FILE", tmp_path / "model.npz")
    found = bundled.arrays.__wrapped__()
    assert found.keys() == weights.keys() and np.array_equal(found["b"], weights["b"])
    off = np.abs(found["a"] - weights["a"]).max(1) / np.abs(weights["a"]).max(1)
    assert (off < 0.005).all()
