"""The small task of `tests/training` serves here as well."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "training"))
