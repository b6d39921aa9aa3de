"""Phones, by LiteRT."""

from keras_transfer.exporters.targets.base import Target, custom_operators, dynamic, not_built_in, verdict
from keras_transfer.litert import FileInfo
from keras_transfer.schemas import TargetVerdict


def judge(content: bytes, info: FileInfo) -> TargetVerdict:
    """Judges a file; see `targets.judge`."""
    return verdict("android", info, not_built_in(info) or dynamic(info), custom_operators(info))


TARGET = Target("phones, by LiteRT", judge)
