"""What an "install this" hint says can be run as it stands, and completes the installation without changing it."""

import ast
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from keras_transfer import extras
from keras_transfer.errors import InputError

PROJECT = Path(__file__).resolve().parents[1]
EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def _called() -> list[tuple[str, str | None]]:
    """`(extra, module)` of every `require` and `install_hint` in the package."""
    calls = []
    for path in (PROJECT / "keras_transfer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(getattr(node, "func", None), "id", "")
            if path.name == "extras.py" or name not in ("require", "install_hint") or not node.args:
                continue
            texts = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]
            calls.append((texts[0], None) if name == "install_hint" else (texts[1], texts[0]))
    return calls


def test_every_extra_asked_for_exists_and_the_other_way_round() -> None:
    asked = {extra for extra, _ in _called()}
    assert asked - set(EXTRAS) == set()
    assert set(EXTRAS) - asked == {"plots", "all"}  # the notebooks', and the sum


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_are_those_of_the_project(extra: str) -> None:
    told = {str(requirement) for requirement in map(Requirement, extras.extra_packages(extra))}
    parts = [part for name, part in EXTRAS.items() if name == extra or extra == "all" != name]
    expected = [Requirement(line) for part in parts for line in part if not line.startswith("keras-transfer")]
    here = [one for one in expected if one.marker is None or one.marker.evaluate()]
    for one in here:
        one.marker = None
    assert told == {str(one) for one in here}, "install the project again: its metadata has changed"


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_hint_is_a_command_of_a_shell(extra: str) -> None:
    sentence, command = extras.install_hint(extra).split(": ", 1)
    assert sentence == "To install it, run"
    words = shlex.split(command)
    assert words[-len(extras.extra_packages(extra)) :] == extras.extra_packages(extra)
    assert shutil.which(words[0]) is not None and words[1:4] == ["-m", "pip", "install"]
    assert all(Requirement(word).marker is None for word in words[4:])


def test_the_python_is_the_one_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", folder)
    assert f"run: {Path(sys.executable).name} -m pip install" in extras.install_hint("parquet")
    monkeypatch.setenv("PATH", "/nowhere")
    assert f"run: {sys.executable} -m pip install" in extras.install_hint("parquet")
    monkeypatch.setattr(extras.PathFinder, "find_spec", lambda name: None)
    assert f"run: uv pip install --python {sys.executable} " in extras.install_hint("parquet")


def test_what_is_missing_is_named_with_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"Reading Parquet needs `no_such_module`.* pip install 'pyarrow>=\d+'$"):
        extras.require("no_such_module", "parquet", "Reading Parquet")
    with pytest.raises(ValueError, match="compass"):
        extras.extra_packages("compass")

    def nothing(name: str) -> None:
        raise extras.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras.metadata, "distribution", nothing)
    assert extras.extra_packages("parquet") == [f"{PROJECT}[parquet]"]


def test_no_text_names_this_package_on_an_index() -> None:
    for path in [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md"), *(PROJECT / "notebooks").glob("*.ipynb"),
                 *(PROJECT / "keras_transfer").rglob("*.py")]:  # fmt: skip
        assert "keras-transfer[" not in path.read_text(), path


def _run(*command: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with what the README's first command installs."""
    if "slow" not in (request.config.option.markexpr or "") and not os.environ.get("KERAS_TRANSFER_SLOW"):
        pytest.skip("installs environments, which takes minutes: pytest -m slow, or KERAS_TRANSFER_SLOW=1")
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    _run(sys.executable, "-m", "venv", folder)
    pip = (folder / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check")
    probe = [*pip, "--retries", "0", "--timeout", "20", "download", "--no-deps", "-d", folder, "iniconfig"]
    if subprocess.run(list(map(str, probe)), capture_output=True, check=False).returncode:
        pytest.skip("needs a package index, which cannot be reached")
    _run(*pip, "install", "--require-hashes", "-r", PROJECT / "requirements.lock")
    _run(*pip, "install", "--no-deps", PROJECT)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("extra", EXTRAS)
def test_a_hint_completes_a_fresh_environment(installed: Path, tmp_path: Path, extra: str) -> None:
    place = tmp_path / "venv"
    shutil.copytree(installed, place, symlinks=True, copy_function=lambda a, b: os.link(a, b, follow_symlinks=False))
    python = place / "bin" / "python"
    before = set(_run(python, "-m", "pip", "freeze").split())
    tell = f"from keras_transfer.extras import install_hint; print(install_hint({extra!r}))"
    command = _run(python, "-c", tell).split(": ", 1)[1]
    assert str(python) in command
    _run("bash", "-c", command)
    assert before - set(_run(python, "-m", "pip", "freeze").split()) == set()  # nothing that was there has changed
    _run(python, "-m", "pip", "check")
    modules = [module for name, module in _called() if module and extra in (name, "all")]
    modules += ["tf2onnx", "onnx", "onnxruntime"] if extra in ("onnx", "all") else []
    _run(python, "-c", "".join(f"import {module}\n" for module in modules))
    if extra in ("ethos-u", "all"):
        _run(place / "bin" / "vela", "--version")
    shutil.rmtree(place)
