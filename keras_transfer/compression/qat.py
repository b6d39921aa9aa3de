"""Quantization-aware training: the integer file is what is trained; plain Keras models in and out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from keras_transfer.compression.distill import choose_views
from keras_transfer.compression.fake_quantization import (
    Network,
    carry_home,
    constant_kernels,
    correct_biases,
    fake_quantized,
    observer,
    settle,
)
from keras_transfer.compression.retrain import retrain
from keras_transfer.compression.teacher import label_table, open_teacher, teach
from keras_transfer.data import Dataset
from keras_transfer.errors import InputError
from keras_transfer.inputs import Strength, only
from keras_transfer.models.graph import model_inputs
from keras_transfer.models.stage import can_train, require_stages
from keras_transfer.models.stage import stages as find_stages
from keras_transfer.models.twin import copy_weights, make_twin
from keras_transfer.models.twin.walk import weighted_layers
from keras_transfer.training.feed import Samples

_STRUCTURES = ("sparsity", "clusters")
_CALIBRATION_IMAGES = 100
_STAGES = 2
_BATCH = 20


@dataclass(frozen=True)
class QuantizationAware:
    """What quantization-aware training gave.

    Attributes:
        model: a `keras.Model` of the same layers, not compiled, with the weights as trained, before rounding.
        rows: one an epoch, from 0 (before training): `epoch`, `seconds`, `loss`, `val_loss`, `val_accuracy`, the
            figures of the fake-quantized network.
        val_accuracy: of the epoch whose weights were kept.
    """

    model: keras.Model
    rows: list[dict[str, Any]]
    val_accuracy: float
    _network: Network = field(repr=False)

    def convert(self, input_dtype: str = "uint8") -> bytes:
        """Writes the integer LiteRT file, rounded exactly as the network was in training.

        Args:
            input_dtype: of its input and output: `"uint8"`, or `"int8"` for microcontrollers.

        Returns:
            The file's content: raw pixels in (the preprocessing is the input's quantization, where it is one scale and
            offset), probabilities out, no float inside; the operators are those of the post-training file.

        Raises:
            InputError: `input_dtype` is neither.
        """
        import tensorflow as tf

        from keras_transfer.litert.traced import convert_fake_quantized

        if input_dtype not in ("uint8", "int8"):
            raise InputError(f"`input_dtype` must be 'uint8' or 'int8'. Received: input_dtype={input_dtype!r}.")
        shape = (1, *self._network.model.input_shape[1:])
        serve = tf.function(
            lambda image: self._network.run(image, preprocessed=True),
            input_signature=[tf.TensorSpec(shape, tf.float32, name="image")],
            autograph=False,
        )
        with constant_kernels(self._network):
            return convert_fake_quantized(serve.get_concrete_function(), input_dtype)

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """The fake-quantized network's probabilities `float32 [n, classes]` for pixels `[n, H, W, 3]` in 0..255."""
        return self._network.model.predict(np.asarray(pixels, np.float32), batch_size=_BATCH, verbose=0)


def quantize_aware(
    model: keras.Model,
    data: Dataset,
    *,
    epochs: int = 8,
    learning_rate: float = 5e-4,
    stages: int | None = None,
    per_tensor: bool = False,
    preserve: Sequence[str] = (),
    alpha: float = 0.0,
    batch_size: int = 16,
    augmentation: Strength = "auto",
    seed: int = 0,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> QuantizationAware:
    """Trains a classifier with the rounding of its int8 file in it (Jacob et al. 2018, https://arxiv.org/abs/1712.05877).

    Weights and activations are rounded in the forward pass where the file's operators round, BatchNormalization is
    frozen and folded in as the converter folds it, and gradients pass as if nothing were rounded. It starts from the
    ranges of training images, as post-training quantization does, and never ends worse on the validation images than it
    starts. Works through tensorflow-model-optimization and an exact `tf_keras` twin, for the networks that have an int8
    file, squeeze-and-excitation, swish and hard-swish included.

    Args:
        model: a functional or Sequential classifier on pixels in 0..255. It stays as it is.
        data: from `load_images`; training images calibrate and train, validation images choose the epoch, test images
            are not read.
        epochs: passes over the training images.
        learning_rate: Adam's highest.
        stages: train only so many top stages (see `stages`) and the head; everything is rounded all the same. None
            trains two, or the whole of a network that has no stages: at this rate the layers below would forget more
            than they learn, and an epoch takes less time.
        per_tensor: one scale for all channels of a layer's weights, for runtimes and chips that know no other. Needs
            training: without it accuracy suffers.
        preserve: what training must not undo: `"sparsity"`, zeros stay zeros (PQAT); `"clusters"`, equal weights of a
            layer stay equal (CQAT); both (PCQAT).
        alpha: weight, from 0 to 1, of the model's own answers in float for the same view (Hinton et al. 2015,
            https://arxiv.org/abs/1503.02531) against the labels. With 1, and a tenth of the rate, it learns to answer
            in integers as in float and no better; labels teach it more.
        batch_size: images a step.
        augmentation: see `keras_transfer.build_augmenter`.
        seed: of orders, augmentation and dropout.
        on_epoch: called with each epoch's figures.

    Returns:
        The trained model, the figures, and `.convert()` for the file.

    Raises:
        InputError: an argument is out of range, a layer has no integer operator or no twin.
    """
    unknown = [name for name in preserve if name not in _STRUCTURES]
    if unknown or isinstance(preserve, str):
        raise InputError(f"`preserve` must be a list out of {', '.join(_STRUCTURES)}. Received: preserve={preserve!r}.")
    if epochs < 1:
        raise InputError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    if not 0 <= alpha <= 1:
        raise InputError(f"`alpha` must be from 0 to 1. Received: alpha={alpha}.")
    trained = _trained_layers(model, stages)
    keras.utils.set_random_seed(seed)
    twin = make_twin(model)
    network = fake_quantized(twin, per_tensor=per_tensor, preserve=preserve)
    for step, layer in network.quantized_kernels():
        assert step.kernel is not None
        layer.trainable = step.kernel.layer.name in trained
    calibration = data.train.stratified(min(_CALIBRATION_IMAGES, len(data.train)), seed)
    images = only(calibration.arrays(model_inputs(model)))
    observe = observer(network, images)
    correct_biases(network, observe())
    rows = retrain(
        network.model,
        data,
        samples=_taught(model, data, alpha, augmentation, epochs, seed) if alpha else None,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        augmentation=augmentation,
        seed=seed,
        start=True,
        callbacks=[_on_epoch_begin(lambda epoch: epoch and observe())],
        label="Quantization-aware training",
        on_epoch=on_epoch,
    )
    settle(network)
    carry_home(network)
    home = keras.models.clone_model(model)
    copy_weights(twin, home)
    return QuantizationAware(home, rows, max(row["val_accuracy"] for row in rows), network)


@contextmanager
def _taught(
    model: keras.Model, data: Dataset, alpha: float, augmentation: Strength, epochs: int, seed: int
) -> Iterator[tuple[Samples, Samples]]:
    """Training images whose labels are in part what the model says of the same view; validation images as they are."""
    size = model_inputs(model)
    augmenter = data.train.augmenter(augmentation)
    views = choose_views(augmenter, epochs, len(data.train) * int(np.prod(model.input_shape[1:])))
    teacher = open_teacher(model, data.class_names)
    with ExitStack() as opened:
        found = []
        for split, count, weight in ((data.train, views, alpha), (data.val, 1, 0.0)):
            arrays = teach(teacher, size, split, augmenter=augmenter, views=count, seed=seed)
            opened.callback(arrays.close)
            labels = np.asarray(arrays["labels"]) if "labels" in arrays else np.repeat(split.labels, count, axis=0)
            odds = np.exp(arrays["scores"] - np.max(arrays["scores"], axis=-1, keepdims=True))
            said = odds / odds.sum(-1, keepdims=True)
            table = weight * said + (1 - weight) * label_table(labels, teacher.groups)
            several = teacher.groups[0] == 1 and model.output_shape[-1] > 1
            found.append(Samples(arrays, ("pixels",), table[:, 0] if several else table[..., 1], count))
        yield found[0], found[1]


def _on_epoch_begin(call: Callable[[int], Any]) -> Any:
    import tf_keras

    return tf_keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: call(epoch))


def _trained_layers(model: keras.Model, stages: int | None) -> set[str]:
    """Names, as the twin has them, of the layers whose weights train."""
    every = {name for name, layer in weighted_layers(model).items() if can_train(layer)}
    if stages is None and not find_stages(model):
        return every
    found = require_stages(model)
    stages = min(_STAGES, len(found)) if stages is None else stages
    if not isinstance(stages, int) or not 0 <= stages <= len(found):
        raise InputError(f"`stages` must be from 0 (the head alone) to {len(found)}. Received: stages={stages!r}.")
    below = {layer.name for stage in found[: len(found) - stages] for layer in stage.layers}
    return every - below
