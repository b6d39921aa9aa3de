"""Keras's downloads made safe: a file comes whole or not at all, and a network that does not answer is given up."""

import queue
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.files import replacing

SILENCE = 30  # seconds without an answer, or without another byte, after which a download is given up
_BLOCK = 1 << 16


class DownloadError(InputError):
    """A file cannot be had from the network: `url` says which, `path` where it was to go."""

    def __init__(self, url: str, path: str, reason: str) -> None:
        super().__init__(
            f"{url} cannot be downloaded ({reason}): fetch it on a connected machine and put it at {path}."
        )
        self.url, self.path, self.reason = url, path, reason


class WeightsUnreachable(InputError):
    """Pretrained weights are not on this machine and cannot be downloaded; `reason` says why."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@contextmanager
def safe_downloads() -> Iterator[None]:
    """What Keras downloads inside the block appears under its name only when it is complete.

    Keras itself writes in place, and has no checksum of the MobileNets' files: what a killed process left would be
    taken for the whole file.

    Raises:
        DownloadError: the network does not answer, or not with that file.
    """
    from keras.src.utils import file_utils

    before, file_utils.urlretrieve = file_utils.urlretrieve, retrieve
    try:
        yield
    finally:
        file_utils.urlretrieve = before


@contextmanager
def limited_silence() -> Iterator[None]:
    """Sockets that other libraries open inside the block give up after `SILENCE` seconds without a byte."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def retrieve(url: str, filename: str, reporthook: Callable[[int, int, int], object]) -> None:
    """`urllib.request.urlretrieve`, but atomic and with a time limit.

    Args:
        url: what to fetch.
        filename: where it goes.
        reporthook: called with the number of blocks so far, their size and the size of the whole (-1: unknown).

    Raises:
        DownloadError: the network does not answer, or not with that file, or stops in the middle.
        InputError: the file cannot be written.
    """
    try:
        with replacing(Path(filename)) as temporary, temporary.open("wb") as file, _open(url) as answer:
            size = int(answer.headers.get("Content-Length", -1))
            count, received = 0, 0
            while block := _read(answer):
                file.write(block)
                count, received = count + 1, received + len(block)
                reporthook(count, _BLOCK, size)
            if received < size:
                raise _NoAnswer(f"the connection ended after {received} of {size} bytes")
    except _NoAnswer as error:
        raise DownloadError(url, str(filename), str(error)) from error


class _NoAnswer(Exception):
    """The network does not do what was asked. No `OSError`, as those are the disk's here."""


def _open(url: str) -> HTTPResponse:
    """The answer to a request once its headers are read; the limit holds for looking up the name, too."""
    answers: queue.Queue[HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(url, timeout=SILENCE))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=SILENCE)
    except queue.Empty:
        raise _NoAnswer(f"no answer within {SILENCE} seconds") from None
    if isinstance(answer, Exception):
        getattr(answer, "close", lambda: None)()  # an error of HTTP is an open answer, too
        raise _NoAnswer(_reason(answer)) from answer
    return answer


def _read(answer: HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK)
    except Exception as error:
        raise _NoAnswer(_reason(error)) from error


def _reason(error: Exception) -> str:
    """What hindered a download, in words: without the wrapping of `urllib`."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.msg}"
    cause = getattr(error, "reason", error)
    return getattr(cause, "strerror", None) or in_one_line(cause if isinstance(cause, Exception) else error)
