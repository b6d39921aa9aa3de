"""Small networks of other kinds than photographs' convolutional ones, of Keras's own layers."""

import keras
import numpy as np

TOKENS, WIDTH = 6, 8


def bert(blocks=3):
    """Three integer inputs, a padding mask that every block reads, and a classifier on the first token."""
    tokens, segments, padding = (
        keras.Input((TOKENS,), dtype="int32", name=name) for name in ("token_ids", "segment_ids", "padding_mask")
    )
    x = keras.layers.Embedding(20, WIDTH, name="token_embedding")(tokens)
    x = keras.layers.Add(name="embedded")([x, keras.layers.Embedding(2, WIDTH, name="segment_embedding")(segments)])
    x = keras.layers.LayerNormalization(name="embedding_norm")(x)
    attention = keras.ops.expand_dims(padding, 1)
    for number in range(blocks):
        x = _block(x, f"block{number}", attention)
    x = keras.layers.Flatten(name="first_token")(keras.layers.Cropping1D((0, TOKENS - 1), name="crop")(x))
    x = keras.layers.Dense(WIDTH, "tanh", name="pooler")(x)
    return _classifier([tokens, segments, padding], x)


def vit(blocks=3):
    """Pixels to four patches to a classifier on their mean; pre-normalization, and one normalization at the end."""
    pixels = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, name="preprocessing")(pixels)
    x = keras.layers.Conv2D(WIDTH, 8, strides=8, name="patches")(x)
    x = keras.layers.Reshape((4, WIDTH), name="as_tokens")(x)
    for number in range(blocks):
        x = _block(x, f"block{number}", None)
    x = keras.layers.LayerNormalization(name="last_norm")(x)
    return _classifier(pixels, keras.layers.GlobalAveragePooling1D(name="pool")(x))


def series():
    """Sixty-four time steps of three channels, halved three times."""
    values = keras.Input((64, 3), name="values")
    x = values
    for number, strides in enumerate((2, 1, 2, 2)):
        x = keras.layers.Conv1D(WIDTH * 2**number, 3, strides=strides, padding="same", name=f"conv{number}")(x)
        x = keras.layers.ReLU(name=f"relu{number}")(keras.layers.BatchNormalization(name=f"norm{number}")(x))
    return _classifier(values, keras.layers.GlobalAveragePooling1D(name="pool")(x))


def dense():
    """Ten numbers through three hidden layers."""
    x = values = keras.Input((10,), name="values")
    for number in range(3):
        x = keras.layers.Dense(WIDTH, "relu", name=f"dense{number}")(x)
    return _classifier(values, x)


def arrays(model, count=4):
    """Random values for a model's inputs, in their order; the last tokens of a padding mask are 0."""
    random = np.random.default_rng(0)
    found = []
    for tensor in model.inputs:
        shape = (count, *tensor.shape[1:])
        if tensor.name == "padding_mask":
            lengths = 2 + np.arange(count)[:, None] % (TOKENS - 2)
            found.append((np.arange(TOKENS) < lengths).astype("int32"))
        elif tensor.dtype == "int32":
            found.append(random.integers(0, 2, shape, "int32"))
        else:
            found.append(random.uniform(0, 255, shape).astype("float32"))
    return found


def _block(x, name, attention):
    y = keras.layers.LayerNormalization(name=f"{name}_norm1")(x)
    mask = None if attention is None else keras.ops.cast(attention, "bool")
    y = keras.layers.MultiHeadAttention(2, WIDTH // 2, name=f"{name}_attention")(y, y, attention_mask=mask)
    x = keras.layers.Add(name=f"{name}_attended")([x, y])
    y = keras.layers.LayerNormalization(name=f"{name}_norm2")(x)
    y = keras.layers.Dense(WIDTH, name=f"{name}_down")(keras.layers.Dense(2 * WIDTH, "gelu", name=f"{name}_up")(y))
    return keras.layers.Add(name=name)([x, y])


def _classifier(inputs, x):
    x = keras.layers.Dense(2, name="logits")(keras.layers.Dropout(0.2, name="dropout")(x))
    model = keras.Model(inputs, keras.layers.Activation("softmax", name="predictions")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model
