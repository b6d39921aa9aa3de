"""Placeholder until the label writer lands."""

from keras_transfer.litert.flatbuffer import FileInfo


def read_normalization(info: FileInfo) -> None:
    return None
