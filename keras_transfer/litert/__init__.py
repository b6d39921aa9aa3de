"""Converting Keras models to LiteRT files, and running and reading such files."""

from keras_transfer.litert.convert import convert, convert_frozen, warm_up
from keras_transfer.litert.flatbuffer import FileInfo, OperatorInfo, TensorInfo, read_flatbuffer
from keras_transfer.litert.labels import read_inputs, read_labels, write_labels
from keras_transfer.litert.runtime import LiteRT, open_litert

__all__ = [
    "FileInfo",
    "LiteRT",
    "OperatorInfo",
    "TensorInfo",
    "convert",
    "convert_frozen",
    "open_litert",
    "read_flatbuffer",
    "read_inputs",
    "read_labels",
    "warm_up",
    "write_labels",
]
