"""Android and iOS phones, by LiteRT."""

from keras_transfer.export.targets.base import Target, Verdict, custom_operators, dynamic, not_built_in, verdict
from keras_transfer.litert import FileInfo


def _judge(content: bytes, info: FileInfo) -> Verdict:
    return verdict("android", info, not_built_in(info) or dynamic(info), custom_operators(info))


TARGET = Target("phones, by LiteRT", _judge)
