"""Fixtures shared by all tests."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

WEB = Path(__file__).parent / "web"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"needs ../shared/{name}, which is not on this machine")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs (food10, flowers5, photos1000)."""
    return _shared("data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """The folder of ImageNet weights."""
    return _shared("weights")


@pytest.fixture(scope="session")
def import_benchmark() -> Callable[[str], ModuleType]:
    """Imports a script of `benchmarks/` as they import one another: by its name."""

    def load(name: str) -> ModuleType:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(Path(__file__).resolve().parents[1] / "benchmarks")
            return import_module(name)

    return load


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("needs node")
    return found


@pytest.fixture(scope="session")
def chromium(node: str) -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs chromium (apt-get install chromium)")
    if not (WEB / "node_modules").is_dir():
        pytest.skip("needs playwright-core and axe-core: npm ci in tests/web")
    return found


@pytest.fixture(scope="session")
def audit(request: pytest.FixtureRequest) -> Callable[..., list[str]]:
    """What Chromium and axe find wrong with pages; nothing without a browser, which `tests/web` then tells of."""
    try:
        node, chromium = request.getfixturevalue("node"), request.getfixturevalue("chromium")
    except pytest.skip.Exception:
        return lambda *_: []

    def look(*pages: Path) -> list[str]:
        call = [node, str(WEB / "audit.js"), chromium, *map(str, pages)]
        found: list[str] = json.loads(subprocess.run(call, capture_output=True, check=True, timeout=120).stdout)
        return found

    return look


@pytest.fixture(scope="session", autouse=True)
def converter_kept() -> None:
    """The converting process serves longer than in a job: the tests' networks are small, and what it leaks of them."""
    module = sys.modules.get("keras_transfer.litert.convert")
    if module is not None:
        module._RENEW_AFTER = 100  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def remarks_shown():
    """Commands run in this process may have switched remarks off."""
    from keras_transfer.progress import set_quiet

    set_quiet(False)
