"""How text is encoded: UTF-8, UTF-16, UTF-32 or Windows-1252."""

import codecs
import re
from collections.abc import Iterable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_START = 4096  # bytes, whose zeros show UTF-16 without a mark
_FOREIGN = re.compile("[\udc80-\udcff]")


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError) or not error.encoding.startswith("utf-8"):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("cp1252", _as_cp1252)  # for UTF-8 with single bytes of Windows-1252 between


def detect_encoding(chunks: Iterable[bytes]) -> tuple[str, int]:
    """The encoding of a text: by its mark, by zeros in every other byte, or by what most of its letters are.

    Decode it with `errors="cp1252"`: then single bytes that are no UTF-8 are read as Windows-1252, and all of UTF-8
    stays as it is.

    Args:
        chunks: the text in order, in pieces of at least a few kB. They are all read, unless the first ones suffice.

    Returns:
        Python's name of the codec, and how many bytes of the text are no UTF-8.

    >>> detect_encoding(["na\u00efve".encode("cp1252")]), detect_encoding(["na\u00efve".encode("utf-16-le")])
    (('cp1252', 1), ('utf-16-le', 0))
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    start, foreign, size, letters = b"", 0, 0, 0
    for chunk in chunks:
        if not start:
            start = chunk[:_START]
            if known := _by_start(start):
                return known, 0
        text = decoder.decode(chunk)
        size, letters, foreign = size + len(chunk), letters + len(text), foreign + _foreign(text)
    text = decoder.decode(b"", final=True)
    foreign, own = foreign + len(text), size - letters - len(text)  # of UTF-8 the bytes that continue a letter
    return "cp1252" if foreign and foreign >= own else "utf-8", foreign


def _by_start(start: bytes) -> str | None:
    """What a mark or zeros at the start say."""
    if marked := next((name for mark, name in _MARKS if start.startswith(mark)), None):
        return marked
    even, odd = start[::2].count(0), start[1::2].count(0)
    if len(start) >= 8 and max(even, odd) > len(start) // 20 and not min(even, odd):
        return "utf-16-le" if odd else "utf-16-be"
    return None


def _foreign(text: str) -> int:
    try:
        text.encode()  # much faster than to look
    except UnicodeEncodeError:
        return len(_FOREIGN.findall(text))
    return 0
