"""The browser, by LiteRT.js."""

from keras_transfer.exporters.targets.base import (
    Target,
    custom_operators,
    dynamic,
    ends,
    not_built_in,
    verdict,
)
from keras_transfer.litert import FileInfo
from keras_transfer.schemas import TargetVerdict

_TYPES = {"float32", "int32", "uint8"}  # that LiteRT.js 2.5.3 passes in and out (its `DATATYPES`)


def judge(content: bytes, info: FileInfo) -> TargetVerdict:
    """Judges a file; see `targets.judge`."""
    others = ends(info) - _TYPES
    why = f"takes or gives {' and '.join(sorted(others))}, which LiteRT.js refuses" if others else ""
    return verdict("web", info, not_built_in(info) or dynamic(info) or why, custom_operators(info))


TARGET = Target("browsers, by LiteRT.js", judge)
