"""The browser, by LiteRT.js."""

from keras_transfer.export.targets.base import Target, Verdict, custom_operators, dynamic, ends, not_built_in, verdict
from keras_transfer.litert import FileInfo


def _judge(content: bytes, info: FileInfo) -> Verdict:
    why = "takes or gives int8, which LiteRT.js refuses" if "int8" in ends(info) else ""
    return verdict("web", info, not_built_in(info) or dynamic(info) or why, custom_operators(info))


TARGET = Target("browsers, by LiteRT.js", _judge)
