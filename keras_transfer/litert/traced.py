"""Fake-quantized TensorFlow functions as integer LiteRT files."""

import warnings

import tensorflow as tf

from keras_transfer.errors import KerasTransferError
from keras_transfer.litert.flatbuffer import read_flatbuffer
from keras_transfer.litert.trust import mark_as_ours


def convert_fake_quantized(function: "tf.types.experimental.ConcreteFunction", input_dtype: str = "uint8") -> bytes:
    """Converts a traced function with fake quantization in it, whose ranges become the file's scales and zero points.

    Args:
        function: a `tf.types.experimental.ConcreteFunction` of one float32 input of fixed shape, first fake-quantized;
            its variables become constants.
        input_dtype: of the file's input and output: `"uint8"` or `"int8"`.

    Returns:
        The content of a file in which all is integer.

    Raises:
        KerasTransferError: some operator would have stayed in float: its output is not fake-quantized.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(function)])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]  # without it fake quantization is left out
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(input_dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Statistics for quantized inputs were expected": the function has them
        content = bytes(converter.convert())
    floats = [tensor.name for tensor in read_flatbuffer(content).tensors if tensor.dtype == "float32"]
    if floats:
        raise KerasTransferError(f"The converter left {len(floats)} tensors in float: {', '.join(floats[:3])}.")
    return mark_as_ours(content)
