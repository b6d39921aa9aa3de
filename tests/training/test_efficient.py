"""LoRA, BitFit and adapters: few numbers train, and after the phase the model is as any other."""

from pathlib import Path

import keras
import numpy as np
import pytest
from encoders import write_encoder

from keras_transfer import InputError
from keras_transfer.modalities.text.builder import build_text_classifier
from keras_transfer.models import head_layers
from keras_transfer.recipe import Phase
from keras_transfer.training.efficient import METHODS, add_adapters, efficiently, merge_lora
from keras_transfer.training.phases import compile_top, phase_tensors, unfreeze_phase


@pytest.fixture
def model(tmp_path: Path) -> keras.Model:
    return build_text_classifier(str(write_encoder(tmp_path / "encoder")), 3, dropout=0.0)


def phase(method: str) -> Phase:
    return Phase(name=method, method=method, stages="all", learning_rate=1e-2, rank=2)


def train(model: keras.Model, wanted: Phase) -> list[str]:
    """One step on made ids; returns the names of the variables that trained."""
    ids = np.random.default_rng(0).integers(4, 60, (8, 12)).astype(np.int32)
    (tensor,) = phase_tensors(model, [wanted])
    with efficiently(model, wanted):
        top = compile_top(model, wanted, tensor, 4)
        names = [variable.path for variable in top.trainable_variables]
        top.fit(ids, keras.utils.to_categorical(np.arange(8) % 3, 3), epochs=2, verbose=0)
    return names


@pytest.mark.parametrize("method", METHODS)
def test_few_numbers_train_and_the_model_is_whole_after(model: keras.Model, method: str, tmp_path: Path) -> None:
    model = add_adapters(model, 2) if method == "adapter" else model
    before = {weight.path: weight.numpy().copy() for weight in model.weights}
    names = train(model, phase(method))
    assert [weight.path for weight in model.weights] == list(before)  # nothing was added, nothing renamed
    changed = {weight.path for weight in model.weights if not np.array_equal(weight.numpy(), before[weight.path])}
    kinds = {path.rsplit("/", 1)[-1] for path in changed if not path.startswith("logits")}
    assert kinds == {"lora": {"kernel"}, "bitfit": {"bias", "beta"}}.get(method, {"kernel", "bias", "gamma", "beta"})
    assert any(name.startswith("logits") for name in names)
    assert not any(name.startswith(("words", "places")) for name in names)
    unfreeze_phase(model, Phase(name="all", stages="all"))
    assert any(weight.path.endswith("query/kernel") for weight in model.trainable_weights)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    ids = np.arange(4, 28).reshape(2, 12).astype(np.int32)
    assert np.allclose(again(ids), model(ids), atol=1e-6)


def test_merged_it_answers_as_in_training(model: keras.Model) -> None:
    ids = np.arange(4, 28).reshape(2, 12).astype(np.int32)
    unfreeze_phase(model, phase("lora"))
    with efficiently(model, phase("lora")):
        adapted = [layer for layer in model.layers if getattr(layer, "lora_enabled", False)]
        for layer in adapted:
            layer.lora_kernel_b.assign(np.random.default_rng(1).normal(0, 0.1, layer.lora_kernel_b.shape))
        wanted = np.array(model(ids, training=False))
    assert len(adapted) == 2 * 6 and not any(layer.lora_enabled for layer in adapted)
    assert np.allclose(model(ids, training=False), wanted, atol=1e-5)


def test_adapters_begin_as_nothing_and_stand_behind_each_block(model: keras.Model) -> None:
    ids = np.arange(4, 28).reshape(2, 12).astype(np.int32)
    adapted = add_adapters(model, 2)
    assert np.allclose(adapted(ids), model(ids), atol=1e-6)
    assert [layer.name for layer in adapted.layers if layer.name.startswith("adapter")] == [
        f"adapter{block}_{part}" for block in range(2) for part in ("down", "up")
    ]
    assert [layer.name for layer in head_layers(adapted)] == [layer.name for layer in head_layers(model)]
    names = train(adapted, phase("adapter"))
    assert {name.split("/")[0] for name in names if "norm" not in name} == {
        *(f"adapter{block}_{part}" for block in range(2) for part in ("down", "up")), "logits",
    }  # fmt: skip


def test_a_model_without_adapters_or_blocks_is_refused(model: keras.Model) -> None:
    with pytest.raises(InputError, match="has no adapters to train"):
        train(model, phase("adapter"))
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    x = keras.layers.Dense(2, activation="softmax", name="logits")(x)
    with pytest.raises(InputError, match="this backbone has none"):
        add_adapters(keras.Model(inputs, x))


def test_lora_of_a_transformer_of_pictures() -> None:
    """`MultiHeadAttention`'s own dense layers are found inside of it."""
    inputs = keras.Input((16, 8))
    x = keras.layers.Dense(8, name="patches")(inputs)
    for block in range(2):
        attended = keras.layers.MultiHeadAttention(2, 4, name=f"attention{block}")(x, x)
        x = keras.layers.LayerNormalization(name=f"norm{block}")(keras.layers.Add()([x, attended]))
    x = keras.layers.Dense(2, name="logits")(keras.layers.GlobalAveragePooling1D(name="pool")(x))
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(x))
    unfreeze_phase(model, phase("lora"))
    items = np.random.default_rng(0).normal(size=(2, 16, 8)).astype(np.float32)
    head = {layer.name for layer in head_layers(model)}
    with efficiently(model, phase("lora")):
        adapted = [layer for layer in model._flatten_layers() if getattr(layer, "lora_enabled", False)]
        assert len(adapted) == 1 + 2 * 4 and not head & {layer.name for layer in adapted}
        before = np.array(model(items, training=False))
    assert np.allclose(model(items, training=False), before, atol=1e-6)


def test_a_network_without_dense_layers_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="a")(inputs))
    model = keras.Model(inputs, keras.layers.Activation("softmax")(keras.layers.Dense(2, name="logits")(x)))
    unfreeze_phase(model, phase("lora"))
    with pytest.raises(InputError, match="lora needs dense layers"), efficiently(model, phase("lora")):
        pass


def test_merging_what_has_nothing_to_merge() -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    merge_lora(layer)
    assert len(layer.weights) == 2
