"""A classifier's head: its layers, its logits, and the loss and metrics that match it."""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import keras

from keras_transfer.errors import InputError
from keras_transfer.inputs import Array
from keras_transfer.models.graph import nodes, start_of

if TYPE_CHECKING:
    import tensorflow as tf


def add_head(
    features: keras.KerasTensor,
    classes: int,
    *,
    hidden: Sequence[int] = (),
    dropout: float = 0.0,
    multi_label: bool = False,
    binary: bool = False,
) -> keras.KerasTensor:
    """Class probabilities computed from pooled features by new layers.

    Args:
        features: `[n, features]`.
        classes: number of classes.
        hidden: units of Dense layers (ReLU) before the dropout.
        dropout: rate of the dropout before the logits.
        multi_label: one sigmoid per class instead of a softmax.
        binary: one sigmoid unit for two classes, the probability of the second.

    Returns:
        `[n, classes]`, or `[n, 1]` if `binary`; the last two layers are `logits` and `predictions`.

    >>> features = keras.Input((8,))
    >>> [layer.name for layer in keras.Model(features, add_head(features, 3, dropout=0.2)).layers[1:]]
    ['dropout', 'logits', 'predictions']
    """
    x = features
    for number, units in enumerate(hidden):
        x = keras.layers.Dense(units, activation="relu", name=f"hidden_{number}")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, name="dropout")(x)
    x = keras.layers.Dense(1 if binary else classes, name="logits")(x)
    return keras.layers.Activation("sigmoid" if binary or multi_label else "softmax", name="predictions")(x)


def head_loss(
    outputs: int,
    *,
    multi_label: bool = False,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    sparse: bool = False,
    library: ModuleType = keras,
) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    """Cross-entropy and accuracy: binary for sigmoid units, categorical for a softmax.

    Args:
        outputs: units of the head; 1 for a single sigmoid.
        multi_label: whether several classes may hold at once; a sigmoid unit for each.
        from_logits: whether the outputs are logits, without softmax or sigmoid.
        label_smoothing: share of each target spread over all classes (Szegedy et al. 2016,
            https://arxiv.org/abs/1512.00567).
        sparse: whether the targets of a softmax are class indices, and not one-hot rows.
        library: `keras`, or `tf_keras` for its models.

    Returns:
        The loss, and the metric named `accuracy`. Targets are as `keras_transfer.data.labels.loss_targets` makes them.

    >>> [part.name for part in head_loss(5)]
    ['categorical_crossentropy', 'accuracy']
    """
    losses, metrics = library.losses, library.metrics
    if multi_label or outputs == 1:
        threshold = 0.0 if from_logits else 0.5
        loss = losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing)
        return loss, metrics.BinaryAccuracy(name="accuracy", threshold=threshold)
    if sparse:  # Keras's sparse loss has no smoothing
        loss = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        return loss, metrics.SparseCategoricalAccuracy(name="accuracy")
    loss = losses.CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing)
    return loss, metrics.CategoricalAccuracy(name="accuracy")


def compile_classifier(
    model: keras.Model,
    optimizer: str | keras.optimizers.Optimizer | None = None,
    *,
    label_smoothing: float = 0.0,
    multi_label: bool = False,
) -> None:
    """Compiles a classifier with the loss and metrics that match its head; again is needed after (un)freezing.

    Args:
        model: a classifier that gives probabilities.
        optimizer: Adam at 1e-3 by default.
        label_smoothing: as in `build_classifier`.
        multi_label: whether several classes may hold at once; a sigmoid unit for each.
    """
    sparse = not label_smoothing
    loss, accuracy = head_loss(
        model.output_shape[-1], multi_label=multi_label, label_smoothing=label_smoothing, sparse=sparse
    )
    metrics = [accuracy, *([keras.metrics.F1Score("macro", 0.5, name="macro_f1")] if multi_label else [])]
    import tensorflow as tf

    # On a CPU, XLA is slower than TensorFlow's own kernels by a factor of up to twelve.
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    chosen = optimizer or keras.optimizers.Adam(1e-3)
    model.compile(optimizer=chosen, loss=loss, metrics=metrics, jit_compile="auto" if on_gpu else False)


def logits_of(model: keras.Model) -> keras.KerasTensor:
    """The tensor before the final softmax or sigmoid, for losses, temperature scaling and distillation.

    Args:
        model: a functional or Sequential classifier.

    Returns:
        The KerasTensor that the last Activation or Softmax layer reads; the model's output where nothing activates it.

    Raises:
        InputError: the activation is fused into the last layer (`Dense(n, activation="softmax")`), so that no such
            tensor exists.

    >>> inputs = keras.Input((4,))
    >>> logits = keras.layers.Dense(3)(inputs)
    >>> logits_of(keras.Model(inputs, keras.layers.Activation("softmax")(logits))) is logits
    True
    """
    last = nodes(model)[-1]
    layer = last.operation
    if isinstance(layer, keras.layers.Softmax):
        return last.inputs[0]
    activation = getattr(layer, "activation", keras.activations.linear)
    if activation in (keras.activations.softmax, keras.activations.sigmoid):
        if isinstance(layer, keras.layers.Activation):
            return last.inputs[0]
        raise InputError(
            f"The last layer {layer.name!r} of model {model.name!r} applies {activation.__name__} itself, so there are "
            "no logits: end the model with a Dense layer without activation and an Activation layer."
        )
    return last.output


def divide_logits(model: keras.Model, temperature: float) -> bool:
    """Divides a classifier's logits by a temperature, in place: the weights of its last Dense layer.

    Args:
        model: a functional or Sequential classifier.
        temperature: above 0.

    Returns:
        Whether it was done; a model that does not end in a Dense layer stays as it is.

    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, bias_initializer="ones")])
    >>> divide_logits(model, 2.0), model.get_weights()[1].tolist()
    (True, [0.5, 0.5])
    """
    found = last_dense(model)
    if found is None or found[0].lora_enabled:
        return False
    found[0].set_weights([weight / temperature for weight in found[0].get_weights()])
    return True


def last_dense(model: keras.Model) -> tuple[keras.layers.Dense, keras.KerasTensor] | None:
    """The Dense layer that makes a classifier's logits, and the features it reads, `[n, ..., features]`.

    Args:
        model: a functional or Sequential classifier.

    Returns:
        None where the model ends in something else.
    """
    scores = scores_of(model)
    node = next((node for node in nodes(model) if node.output is scores), None)
    if node is None or not isinstance(node.operation, keras.layers.Dense):
        return None
    return node.operation, node.inputs[0]


def with_last_dense(model: keras.Model, kernel: Array, bias: Array) -> keras.Model:
    """The classifier with other weights in its last Dense layer, maybe of another number of classes, compiled.

    All other layers are shared with it.

    Args:
        model: ends in a Dense layer, with a softmax in it or behind it.
        kernel: float `[features, classes]`.
        bias: float `[classes]`.

    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, name="logits"), keras.layers.Softmax()])
    >>> with_last_dense(model, np.zeros((2, 3)), np.log([0.2, 0.3, 0.5])).predict(np.ones((1, 2)), verbose=0).round(2)
    array([[0.2, 0.3, 0.5]], dtype=float32)
    """
    found = last_dense(model)
    assert found is not None
    last, layer = nodes(model)[-1].operation, found[0]
    dense = keras.layers.Dense(kernel.shape[1], activation=layer.activation, name=layer.name)
    scores = dense(found[1])
    dense.set_weights([kernel, bias])
    if last is not layer:
        scores = type(last).from_config(last.get_config())(scores)
    wider = keras.Model(start_of(model), scores, name=model.name)
    compile_classifier(wider)
    return wider


def scores_of(model: keras.Model) -> keras.KerasTensor:
    """The logits of a classifier, or its output where the last layer applies its activation itself."""
    try:
        return logits_of(model)
    except InputError:
        return model.output


def class_scores(scores: "tf.Tensor", columns: "tf.Tensor") -> "tf.Tensor":
    """The score of one class for each item.

    Args:
        scores: `[n, units]`. One unit separates two classes: evidence for the first lowers it.
        columns: the classes, int32 `[n]`.

    >>> import numpy as np
    >>> class_scores(np.array([[1.0, 3.0], [2.0, 5.0]]), np.array([1, 0])).numpy().tolist()
    [3.0, 2.0]
    """
    if scores.shape[-1] == 1:
        return keras.ops.where(columns == 1, scores[:, 0], -scores[:, 0])
    return keras.ops.take_along_axis(scores, columns[:, None], axis=1)[:, 0]
