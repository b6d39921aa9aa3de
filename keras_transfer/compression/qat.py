"""Quantization-aware training: the integer file is what is trained; plain Keras models in and out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.distill import choose_views
from keras_transfer.compression.fake_quantization import (
    Network,
    constant_kernels,
    copy_back,
    correct_biases,
    fake_quantized,
    observer,
    update_weight_ranges,
)
from keras_transfer.compression.retrain import OnEpoch, Training, retrain
from keras_transfer.compression.teacher import INPUTS, label_table, open_teacher, teach
from keras_transfer.data import Dataset, Split
from keras_transfer.errors import InputError
from keras_transfer.inputs import Array, Strength, only
from keras_transfer.models.graph import model_inputs
from keras_transfer.models.stage import can_train, require_stages
from keras_transfer.models.stage import stages as find_stages
from keras_transfer.models.twin import copy_weights, make_twin
from keras_transfer.models.twin.walk import weighted_layers
from keras_transfer.schemas import HistoryRow
from keras_transfer.training.feed import Samples

if TYPE_CHECKING:
    import tf_keras

_STRUCTURES = ("sparsity", "clusters")
_CALIBRATION_ITEMS = 100
_STAGES = 2
_BATCH = 20


@dataclass(frozen=True)
class QuantizationAware:
    """The result of quantization-aware training.

    Attributes:
        model: a `keras.Model` of the same layers, not compiled, with the weights as trained, before rounding.
        rows: the figures of each epoch, from 0 (before training), of the fake-quantized network.
        val_accuracy: of the epoch whose weights were kept.
    """

    model: keras.Model
    rows: list[HistoryRow]
    val_accuracy: float
    _network: Network = field(repr=False)

    def convert(self, input_dtype: str = "uint8") -> bytes:
        """Writes the integer LiteRT file, rounded exactly as the network was in training.

        Args:
            input_dtype: of its input and output: `"uint8"`, or `"int8"` for microcontrollers.

        Returns:
            The file's content: raw items in (the preprocessing is the input's quantization, where it is one scale and
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
            lambda item: self._network.run(item, preprocessed=True),
            input_signature=[tf.TensorSpec(shape, tf.float32, name=self._network.model.input_names[0])],
            autograph=False,
        )
        with constant_kernels(self._network):
            return convert_fake_quantized(serve.get_concrete_function(), input_dtype)

    def predict(self, items: Array) -> NDArray[np.float32]:
        """The fake-quantized network's probabilities `float32 [n, classes]` for items `[n, ...]`."""
        return np.asarray(self._network.model.predict(np.asarray(items, np.float32), batch_size=_BATCH, verbose=0))


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
    on_epoch: OnEpoch | None = None,
) -> QuantizationAware:
    """Trains a classifier with the rounding of its int8 file in it (Jacob et al. 2018, https://arxiv.org/abs/1712.05877).

    Weights and activations are rounded in the forward pass where the file's operators round, BatchNormalization is
    frozen and folded in as the converter folds it, and gradients pass as if nothing were rounded. It starts from the
    ranges of training items, as post-training quantization does, and never ends worse on the validation items than it
    starts. It works for networks that have an int8 file, squeeze-and-excitation, swish and hard-swish included.

    Args:
        model: a functional or Sequential classifier with one input; it stays as it is.
        data: training items calibrate and train, validation items choose the epoch, test items are not read.
        epochs, learning_rate, batch_size: passes over the training items, Adam's highest rate, items per step.
        stages: train only so many top stages (see `stages`) and the head; everything is rounded all the same. None
            trains two, or the whole of a network without stages: at this rate lower layers forget more than they learn.
        per_tensor: one scale for all channels of a layer's weights, for runtimes and chips that know no other. Needs
            training: without it accuracy suffers.
        preserve: what training must not undo: `"sparsity"`, zeros stay zeros (PQAT); `"clusters"`, equal weights of a
            layer stay equal (CQAT); both (PCQAT).
        alpha: weight, from 0 to 1, of the model's own float predictions for the same view against the labels (Hinton et
            al. 2015, https://arxiv.org/abs/1503.02531). Labels (0) work better.
        augmentation, seed: see `keras_transfer.fit`.
        on_epoch: called with each epoch's figures.

    Returns:
        The trained model, the figures, and `.convert()` for the file.

    Raises:
        InputError: an argument is out of range, a layer has no integer operator or no twin.
    """
    _check(preserve, epochs, alpha)
    trained = _trained_layers(model, stages)
    label = "Quantization-aware training"
    training = Training(epochs, learning_rate, batch_size, augmentation, seed, on_epoch, label, keep_start=True)
    keras.utils.set_random_seed(seed)
    twin = make_twin(model)
    network = fake_quantized(twin, _input_range(model, data.train), per_tensor=per_tensor, preserve=preserve)
    _freeze_all_but(network, trained)
    rows = _train(network, model, data, training, alpha)
    return QuantizationAware(
        _copied_home(network, twin, model), rows, max(row["val_accuracy"] for row in rows), network
    )


def _check(preserve: Sequence[str], epochs: int, alpha: float) -> None:
    unknown = [name for name in preserve if name not in _STRUCTURES]
    if unknown or isinstance(preserve, str):
        raise InputError(f"`preserve` must be a list out of {', '.join(_STRUCTURES)}. Received: preserve={preserve!r}.")
    if epochs < 1:
        raise InputError(f"`epochs` must be at least 1. Received: epochs={epochs}.")
    if not 0 <= alpha <= 1:
        raise InputError(f"`alpha` must be from 0 to 1. Received: alpha={alpha}.")


def _input_range(model: keras.Model, split: Split) -> tuple[float, float]:
    """The range over which the file's input is quantized."""
    tensor = split.spec(model_inputs(model)).tensor
    if tensor.low is None or tensor.high is None or tensor.low >= tensor.high:
        raise InputError(
            f"Quantization-aware training needs an input with a known range. Received: input {tensor.name!r}, from "
            f"{tensor.low} to {tensor.high}. Use post-training quantization."
        )
    return min(tensor.low, 0.0), max(tensor.high, 0.0)  # a quantized range holds 0


def _freeze_all_but(network: Network, trained: set[str]) -> None:
    for step, layer in network.quantized_kernels():
        assert step.kernel is not None
        layer.trainable = step.kernel.layer.name in trained


def _train(network: Network, model: keras.Model, data: Dataset, training: Training, alpha: float) -> list[HistoryRow]:
    """Observes ranges, corrects biases, and trains; ranges follow the weights before each epoch."""
    calibration = data.train.stratified(min(_CALIBRATION_ITEMS, len(data.train)), training.seed)
    observe = observer(network, only(calibration.arrays(model_inputs(model))))
    correct_biases(network, observe())
    return retrain(
        network.model,
        data,
        training,
        samples=_soft_samples(model, data, training, alpha) if alpha else None,
        callbacks=[_on_epoch_begin(lambda epoch: observe() if epoch else None)],
    )


def _copied_home(network: Network, twin: "tf_keras.Model", model: keras.Model) -> keras.Model:
    """A copy of the model with the trained weights."""
    update_weight_ranges(network)
    copy_back(network)
    copy = keras.models.clone_model(model)
    copy_weights(twin, copy)
    return copy


@contextmanager
def _soft_samples(
    model: keras.Model, data: Dataset, training: Training, alpha: float
) -> Iterator[tuple[Samples, Samples]]:
    """Training items whose labels are in part what the model predicts for the same view; validation items as such."""
    inputs = model_inputs(model)
    augmenter = data.train.augmenter(training.augmentation)
    views = choose_views(augmenter, training.epochs, model, data)
    teacher = open_teacher(model, data.class_names)
    with ExitStack() as opened:
        samples = []
        for split, count, weight in ((data.train, views, alpha), (data.val, 1, 0.0)):
            arrays = teach(teacher, inputs, split, augmenter=augmenter, views=count, seed=training.seed)
            opened.callback(arrays.close)
            labels = np.asarray(arrays["labels"]) if "labels" in arrays else np.repeat(split.labels, count, axis=0)
            odds = np.exp(arrays["scores"] - np.max(arrays["scores"], axis=-1, keepdims=True))
            predictions = odds / odds.sum(-1, keepdims=True)
            table = weight * predictions + (1 - weight) * label_table(labels, teacher.groups)
            one_label = teacher.groups[0] == 1 and model.output_shape[-1] > 1
            samples.append(Samples(arrays, (INPUTS,), table[:, 0] if one_label else table[..., 1], count))
        yield samples[0], samples[1]


def _on_epoch_begin(call: Callable[[int], object]) -> "tf_keras.callbacks.Callback":
    import tf_keras

    return tf_keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: call(epoch))


def _trained_layers(model: keras.Model, stages: int | None) -> set[str]:
    """Names, as the twin has them, of the layers whose weights train."""
    every = {name for name, layer in weighted_layers(model).items() if can_train(layer)}
    if stages is None and not find_stages(model):
        return every
    all_stages = require_stages(model)
    stages = min(_STAGES, len(all_stages)) if stages is None else stages
    if not isinstance(stages, int) or not 0 <= stages <= len(all_stages):
        raise InputError(f"`stages` must be from 0 (the head alone) to {len(all_stages)}. Received: stages={stages!r}.")
    below = {layer.name for stage in all_stages[: len(all_stages) - stages] for layer in stage.layers}
    return every - below
