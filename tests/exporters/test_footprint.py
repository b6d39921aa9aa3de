"""What an untrained network's file will need, against files of networks that have learned something."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.exporters import footprint as module
from keras_transfer.exporters.footprint import footprint, graph_digest
from keras_transfer.exporters.preview import preview
from keras_transfer.exporters.targets.fit import CODE_BYTES, MARGIN_BYTES, least_needs
from keras_transfer.litert import tflm
from keras_transfer.models.depth import at_depth

needs_tflm = pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path))


def build(seed, depth=6):
    keras.utils.set_random_seed(seed)
    return at_depth(kt.build_classifier("mobilenet_v2", 3, image_size=32, alpha=0.35, weights=None), depth)


@needs_tflm
def test_it_is_what_a_trained_network_needs():
    needs, why = footprint(build(0), "microcontroller")
    other, chance = build(1), np.random.default_rng(1)
    for weight in other.weights:
        weight.assign(weight + np.abs(chance.normal(0, 0.05, weight.shape)))
    content = preview(other, ["microcontroller"]).contents["microcontroller"]
    assert not why and needs.ram == tflm.least_arena(content) + MARGIN_BYTES
    assert needs.flash == pytest.approx(len(content) + CODE_BYTES, abs=0.02 * len(content))
    least = least_needs(other, "microcontroller")
    assert least.flash < needs.flash and least.ram < needs.ram and least.multiply_adds == needs.multiply_adds


@needs_tflm
def test_a_graph_is_measured_once_and_its_weights_stay(monkeypatch):
    model = build(0)
    before = model.get_weights()
    first = footprint(model, "microcontroller")
    assert all(map(np.array_equal, before, model.get_weights()))
    monkeypatch.setattr(module, "preview", None)
    assert footprint(build(5), "microcontroller") == first
    with pytest.raises(TypeError):
        footprint(build(0, depth=7), "microcontroller")


def test_other_targets():
    phone, tpu = footprint(build(0), "android"), footprint(build(0), "edgetpu")
    assert phone.needs.flash is phone.needs.ram is None and phone.needs.zip > 1000
    assert 0 < tpu.needs.ram < 8 << 20


def test_the_digest_knows_sizes_and_widths():
    digests = {graph_digest(build(seed, depth)) for seed in (0, 1) for depth in (5, 6)}
    assert len(digests) == 2
    wider = kt.build_classifier("mobilenet_v2", 3, image_size=32, alpha=0.5, weights=None)
    larger = kt.build_classifier("mobilenet_v2", 3, image_size=64, alpha=0.5, weights=None)
    assert graph_digest(wider) != graph_digest(larger)
