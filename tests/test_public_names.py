"""What the package offers, by name."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import keras_transfer
from keras_transfer import PUBLIC, exporters, models

EVERY_MODULE_THEN_EVERY_NAME = """
import pkgutil
from importlib import import_module
from types import ModuleType

import keras_transfer

for found in pkgutil.walk_packages(keras_transfer.__path__, "keras_transfer."):
    if not found.name.endswith("__main__") and ".targets._" not in found.name:
        import_module(found.name)
for package in (keras_transfer, *map(import_module, {f"keras_transfer.{wing}" for wing in WINGS})):
    for name in getattr(package, "__all__", ()):
        if isinstance(getattr(package, name), ModuleType):
            print(f"{package.__name__}.{name}")
"""


@pytest.mark.parametrize("package", [keras_transfer, models, exporters])
def test_type_checkers_and_editors_see_every_name(package: ModuleType) -> None:
    stub = Path(package.__file__ or "").with_name("__init__.pyi").read_text()
    below = re.escape(package.__name__)
    seen = re.findall(rf"^from {below}\.([\w.]+) import (\w+) as (\w+)$", stub, re.MULTILINE)
    assert {(module, name) for module, name, shown in seen if name == shown} == {
        (module, name) for module, names in package.PUBLIC.items() for name in names.split()
    }


def test_no_module_hides_a_public_function() -> None:
    """Importing `a.b` sets `b` on `a`: a module by a public function's name would take its place."""
    script = EVERY_MODULE_THEN_EVERY_NAME.replace("WINGS", repr(sorted({*PUBLIC} - {"errors"})))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr[-2000:]
