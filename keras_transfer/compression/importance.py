"""How important each channel of a model is."""

from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.compression.channel_graph import ChannelGraph
from keras_transfer.data import Split
from keras_transfer.data.labels import loss_targets
from keras_transfer.inputs import only
from keras_transfer.models.graph import model_inputs
from keras_transfer.models.head import head_loss
from keras_transfer.progress import track

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 16


def norm_importance(graph: ChannelGraph) -> NDArray[np.float64]:
    """The squared L2 norm of all kernel weights of each channel, as a share of its family's mean.

    Li et al. 2017, https://arxiv.org/abs/1608.08710; summed over all that goes with the channel as in Fang et al. 2023,
    https://arxiv.org/abs/2301.12900.

    Args:
        graph: from `channel_graph`.

    Returns:
        float64 `[graph.count]`.
    """
    total = np.zeros(graph.count)
    for part in graph.slices:
        if part.places:
            squares = np.square(np.asarray(part.layer.weights[part.weight], np.float64))
            for axis, ids in part.axes.items():
                # The mean over the other axes: so that layers of many inputs weigh no more than those of few.
                np.add.at(total, ids, squares.mean(tuple(_other_axes(axis, squares.ndim))) / max(squares.mean(), 1e-30))
    for family in graph.families:
        total[family] /= max(total[family].mean(), 1e-30)
    return total


def gate_importance(model: keras.Model, graph: ChannelGraph, split: Split, *, seed: int = 0) -> NDArray[np.float64]:
    """The squared first-order change of the loss when a channel is shut, averaged over batches.

    A channel's gate stands where kernels read it: the derivative of the loss by it is the sum of weight times gradient
    over what reads the channel. Molchanov et al. 2019, https://arxiv.org/abs/1906.10771.

    Args:
        model: a classifier that gives probabilities.
        graph: its channels.
        split: labelled items; they are augmented, because on items that it was trained on a model's loss is flat.
        seed: of the augmentation.

    Returns:
        float64 `[graph.count]`.
    """
    import tensorflow as tf

    classes = len(split.class_names)
    readers = [part for part in graph.slices if part.reads is not None]
    kernels = [part.layer.weights[part.weight].value for part in readers]
    outputs = model.output_shape[-1]
    loss, _ = head_loss(outputs, multi_label=split.multi_label)
    augmenter = split.augmenter("auto")

    @tf.function(reduce_retracing=True, jit_compile=False)
    def gates(items: "tf.Tensor", labels: "tf.Tensor") -> "list[tf.Tensor]":
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(kernels)
            value = loss(labels, model(tf.cast(items, tf.float32), training=False))
        changes = [kernel * slope for kernel, slope in zip(kernels, tape.gradient(value, kernels), strict=True)]
        return [
            tf.reduce_sum(one, _other_axes(part.reads, len(one.shape)))
            for part, one in zip(readers, changes, strict=True)
        ]

    total = np.zeros(graph.count)
    batches = split.batches(model_inputs(model), _BATCH)
    for step, (inputs, labels) in enumerate(track(batches, "Importance of channels", total=-(-len(split) // _BATCH))):
        items, _ = augmenter(only(inputs), labels, seed=seed + step)
        targets = loss_targets(labels, classes, outputs)
        change = np.zeros(graph.count)
        for part, gate in zip(readers, gates(items, targets), strict=True):
            np.add.at(change, part.axes[part.reads or 0], gate.numpy())
        total += np.square(change)
    return total / max(1, step + 1)


def _other_axes(axis: int | None, rank: int) -> list[int]:
    """All axes but one."""
    return [other for other in range(rank) if other != axis]
