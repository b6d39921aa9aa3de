"""A small model of two inputs, ids and values, and a modality whose items have both: for tests of several inputs."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import keras
import numpy as np

from keras_transfer.data import Split
from keras_transfer.data.split import Paths
from keras_transfer.errors import InputError
from keras_transfer.exporters.contract import plain_contract
from keras_transfer.files import read_file
from keras_transfer.inputs import MODALITIES, InputSpec, TensorNotes, TensorSpec
from keras_transfer.modalities import NoAugmenter


@dataclass(frozen=True)
class PairPreparer:
    """Four bytes are ids, the rest float32 values."""

    modality: str = "pair"
    settings = property(lambda self: {"ids": 4})
    augmenter = staticmethod(lambda strength, per_class, classes: NoAugmenter())

    load = staticmethod(read_file)

    def spec(self, inputs):
        ids, values = inputs
        return InputSpec(
            "pair",
            (
                TensorSpec(ids.name, (4,), "int32", 0, 9, "ids"),
                TensorSpec(values.name, (8,), "float32", -1, 1, "values"),
            ),
            self.settings,
        )

    def prepare(self, content, spec):
        if len(content) != 36:
            raise InputError(f"a pair has 36 bytes. Received: {len(content)}")
        return np.frombuffer(content[:4], np.uint8).astype(np.int32), np.frombuffer(content[4:], np.float32)


@contextmanager
def registered() -> Iterator[None]:
    """The modality `pair` is known to the package meanwhile."""
    module = ModuleType("pair_modality")
    module.MODALITY = SimpleNamespace(
        parts=lambda source, inputs: [source],
        quantized_part=lambda model: model,
        preparer_with=lambda model, preparer: preparer,
        preparer=lambda preparation: PairPreparer(),
        kits={},
        input_contract=plain_contract,
        tensor_notes=lambda inputs: [TensorNotes(tensor.name, tensor.meaning) for tensor in inputs.tensors],
    )
    sys.modules["pair_modality"], MODALITIES["pair"] = module, "pair_modality"
    yield
    del MODALITIES["pair"], sys.modules["pair_modality"]


def two_inputs(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    ids, values = keras.Input((4,), name="ids", dtype="int32"), keras.Input((8,), name="values")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 3)(ids))
    x = keras.layers.Concatenate()([embedded, keras.layers.Dense(5, activation="relu")(values)])
    return keras.Model([ids, values], keras.layers.Dense(3, activation="softmax")(x))


def make_pairs(folder: Path, count: int, seed: int = 0) -> Split:
    """Files in a folder; the class follows from the first id and the first value, so that both inputs matter."""
    random = np.random.default_rng(seed)
    paths, hashes, labels = [], [], []
    for i in range(count):
        ids, values = random.integers(0, 10, 4), random.uniform(-1, 1, 8).astype(np.float32)
        content = bytes(ids.tolist()) + values.tobytes()
        paths.append(folder / f"{i}.pair")
        paths[-1].write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
        labels.append(2 if values[0] > 0.3 else int(ids[0] >= 5))
    return Split("test", Paths(paths), np.array(labels, np.int32), hashes, ["a", "b", "c"], PairPreparer())
