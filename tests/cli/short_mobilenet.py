"""A MobileNet of 5 blocks in place of 13, for tests of commands and jobs: most of their time is spent on its layers."""

import keras
from keras.src.applications import mobilenet


def short_mobilenet(
    input_tensor: keras.KerasTensor,
    input_shape: tuple[int, int, int],
    alpha: float,
    pooling: str | None = None,
    **_: object,
) -> keras.Model:
    """What `keras.applications.MobileNet` makes without its classifier: the same kinds of layers, the same stages."""
    x = mobilenet._conv_block(input_tensor, 32, alpha, strides=(2, 2))
    for block, filters in enumerate((64, 128, 256, 512, 1024), 1):
        strides = (1, 1) if block == 1 else (2, 2)
        x = mobilenet._depthwise_conv_block(x, filters, alpha, 1, strides=strides, block_id=block)
    if pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D()(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D()(x)
    inputs = keras.utils.get_source_inputs(input_tensor)
    return keras.Model(inputs, x, name=f"mobilenet_{alpha:.2f}_{input_shape[0]}")
