"""A quicker start and end of the processes that are ours alone: TensorFlow's import takes half the time."""

import atexit
import ctypes
import gc
import os
import platform
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_ARENAS = 2  # each keeps some of what its threads have freed
# Keras loads these, where they are installed, for wrappers and plots of its own that nothing here uses.
UNUSED = frozenset({"IPython", "cv2", "matplotlib", "scipy", "sklearn"})


class _Unused(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = getattr(sys.modules.get("keras"), "__spec__", None) if fullname in UNUSED else None
        if getattr(spec, "_initializing", False):
            raise ModuleNotFoundError(f"{fullname} is left out while Keras is imported", name=fullname)
        return None


def quicken() -> None:
    """Makes this process start and end faster, before TensorFlow is imported. Not for one that runs others' code.

    The first import of Keras leaves out what is `UNUSED` (only Keras does without; all else imports it as ever). The
    garbage collector looks at the many objects of such imports less often, and not once more when the process ends,
    which takes over a second with TensorFlow loaded. Memory that many threads have freed is shared. On x86-64
    TensorFlow computes by oneDNN, which it does by itself only where there is AVX-512: with AVX2 alone a forward pass
    of MobileNetV2 then took two thirds of the time.
    """
    if any(isinstance(finder, _Unused) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, _Unused())
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    gc.set_threshold(50_000, 10, 10)
    atexit.register(gc.freeze)
    _set_malloc(_M_ARENA_MAX, _ARENAS)


def keep_memory() -> None:
    """Keeps freed memory for the next large block instead of giving it back: the converter copies weights many times.

    For a process that does little else, and calls `give_back_memory` when it waits.
    """
    _set_malloc(_M_MMAP_THRESHOLD, 1 << 30)
    _set_malloc(_M_TRIM_THRESHOLD, (1 << 31) - 1)


def give_back_memory() -> None:
    """Gives the system all memory that is free."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _set_malloc(option: int, value: int) -> None:
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(option, value)
