"""One text: its bytes, from a file of its own or from a row of a table, its encoding, and an excerpt to show."""

import os
import threading
import unicodedata
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from keras_transfer.data.encodings import detect_encoding
from keras_transfer.data.listing import Kind, Layout
from keras_transfer.data.table_files import open_table
from keras_transfer.data.tables import cell_column, parse_row_name, wanted_columns
from keras_transfer.errors import InputError
from keras_transfer.files import MISSING, read_file

KIND = Kind(
    "texts",
    "text",
    frozenset({".txt"}),
    ("characters", "words", "encoding"),
    "A text of your own.",
    "texts",
    ("text", "sentence", "review", "content", "tweet", "body", "comment", "message"),
)
MAX_TEXTS = 4 << 30
"""Bytes of all texts of a table in memory; a table with more is refused."""

_DOCUMENTS = {b"%PDF": "a PDF", b"{\\rtf": "an RTF document", b"PK\3\4": "an archive, as Word's documents are"}
_OPEN = 4  # tables that are kept in memory
_JOINER = "\u200d"
_HIDDEN = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])  # they turn the rest of a line around


@dataclass
class _Texts:
    """The texts of a table, in UTF-8, one behind the other."""

    encoding: str
    buffer: bytearray = field(default_factory=bytearray)
    ends: "array[int]" = field(default_factory=lambda: array("q", [0]))
    problems: dict[int, str] = field(default_factory=dict)

    def text(self, row: int) -> bytes:
        if row in self.problems:
            raise InputError(self.problems[row])
        if not 0 < row < len(self.ends):
            raise InputError(f"there is no row {row}, only {len(self.ends) - 1}")
        return bytes(self.buffer[self.ends[row - 1] : self.ends[row]])


_tables: OrderedDict[tuple[str, str, int, int], _Texts] = OrderedDict()
_lock = threading.Lock()


def load_text(source: str) -> bytes:
    """The bytes of a text in UTF-8, without a byte order mark.

    Args:
        source: the path of a file, or `TABLE#ROW`, see `keras_transfer.data.tables.row_name`. The texts of a table
            stay in memory for the next ones.

    Raises:
        InputError: there is no such file or row, or it cannot be read.
    """
    return read_text(source)[0]


def read_text(source: str) -> tuple[bytes, str]:
    """The bytes that `load_text` gives, and Python's name of the encoding that they came in."""
    row = parse_row_name(source)
    if row is not None:
        table = _opened(row[0], row[2])
        return table.text(row[1]), table.encoding
    text, encoding = decode_text(read_file(source))
    return text.encode(), encoding


def decode_text(content: bytes) -> tuple[str, str]:
    """A text, and Python's name of its encoding: UTF-8, UTF-16 or UTF-32, or else Windows-1252.

    Single bytes that are no UTF-8 are read as Windows-1252.

    Raises:
        InputError: it is cut off within a letter of UTF-16 or UTF-32, or a document of another kind.

    >>> decode_text("na\u00efve".encode("cp1252"))
    ('na\u00efve', 'cp1252')
    """
    if (kind := next((kind for start, kind in _DOCUMENTS.items() if content.startswith(start)), None)) is not None:
        raise InputError(f"{kind}: save it as plain text")
    encoding, _ = detect_encoding([content])
    try:
        return content.decode(encoding, "replace" if encoding == "cp1252" else "cp1252"), encoding
    except UnicodeDecodeError as error:
        raise InputError(f"no text in {error.encoding.upper()} ({error.reason})") from error


def excerpt(text: str, limit: int = 200) -> str:
    """The beginning of a text on one line, safe to show: no control characters, none that turn the line around.

    Args:
        text: of any length.
        limit: characters at most.

    >>> excerpt("one\\n  two\\tthree", limit=9)
    'one two\u2026'
    """
    start = "".join(sign if unicodedata.category(sign) != "Cc" else " " for sign in text[: 4 * limit])
    line = " ".join(start.translate(_HIDDEN).split())
    if len(line) <= limit and len(text) <= 4 * limit:
        return line
    end = min(limit - 1, len(line))
    while 0 < end < len(line) and (_JOINER in line[end - 1 : end + 1] or unicodedata.category(line[end])[0] == "M"):
        end -= 1  # not between a letter and its accents, nor within an emoji
    return line[:end].rstrip() + "\u2026"


def _opened(path: str, column: str) -> _Texts:
    """A table's texts, read when they are first wanted and again when the file has changed."""
    try:
        about = os.stat(path)  # noqa: PTH116 (for every text: `Path` takes longer)
    except OSError as error:
        raise InputError(MISSING if isinstance(error, FileNotFoundError) else f"cannot be read: {error}") from error
    key = path, column, about.st_mtime_ns, about.st_size
    with _lock:
        if key not in _tables:
            _tables[key] = _read_table(Path(path), column)
            while len(_tables) > _OPEN:
                _tables.popitem(last=False)
        _tables.move_to_end(key)
        return _tables[key]


def _read_table(path: Path, column: str) -> _Texts:
    with open_table(path, wanted_columns(Layout(text_column=column or None), KIND)) as table:
        texts = _Texts(table.encoding)
        where = cell_column(path, table.columns, column or None, KIND)
        if where is None:
            raise InputError(f"{path} has no column of texts any more")
        for row in table.rows:
            if row.problem:
                texts.problems[row.number] = f"line {row.line}: {row.problem}"
            else:
                texts.buffer += row.cells[where].encode("utf-8", "replace")
            texts.ends.append(len(texts.buffer))
            if len(texts.buffer) > MAX_TEXTS:
                raise InputError(f"{path} holds over {MAX_TEXTS >> 30} GiB of texts. Give a smaller table.")
    return texts
