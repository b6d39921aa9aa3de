"""A quicker import of TensorFlow and Keras, for processes that are ours alone."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

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


def lighten_keras() -> None:
    """Makes the first import of Keras in this process leave out what is `UNUSED`: it takes two thirds of the time.

    Only Keras does without them (its scikit-learn wrappers, its plots); everything else imports them as ever. Not for
    a process that runs other people's code.

    >>> lighten_keras()
    """
    if not any(isinstance(finder, _Unused) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Unused())
