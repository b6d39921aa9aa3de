"""Running a file with a delegate: a library of our own that takes nothing stands in for a device's."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.litert import open_litert

# The C interface of tensorflow/lite/delegates/external: what `load_delegate` looks for in a library.
SOURCE = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
typedef struct Delegate {
  void* data; int (*prepare)(void*, struct Delegate*); void* from; void* to; void* release; int64_t flags;
  void* builder;
} Delegate;
static int prepare(void* context, Delegate* delegate) {
  FILE* seen = fopen(SEEN, "a");
  if (seen) { fputs("prepared\\n", seen); fclose(seen); }
  return 0;
}
Delegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  if (NO_DEVICE) return NULL;
  Delegate* delegate = calloc(1, sizeof(Delegate));
  delegate->prepare = prepare;
  return delegate;
}
void tflite_plugin_destroy_delegate(Delegate* delegate) { free(delegate); }
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compiles the library; `build(name, device)` gives its path and the file in which it notes that it was used."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("delegate")
    (folder / "delegate.c").write_text(SOURCE)

    def made(name: str, device: bool = True) -> tuple[str, Path]:
        library, seen = folder / f"{name}.so", folder / f"{name}.seen"
        define = [f'-DSEEN="{seen}"', f"-DNO_DEVICE={int(not device)}"]
        command = [compiler, "-shared", "-fPIC", *define, "-o", str(library), str(folder / "delegate.c")]
        subprocess.run(command, check=True)
        return str(library), seen

    return made


@pytest.mark.parametrize("trusted", [True, False])
def test_answers_with_a_delegate(files, pictures, build, trusted):
    library, seen = build(f"trusted{trusted}")
    opened = open_litert(files["int8"], trusted=trusted, delegate=library)
    np.testing.assert_array_equal(opened.predict(pictures[:6]), open_litert(files["int8"]).predict(pictures[:6]))
    assert seen.read_text().count("prepared") == (1 if trusted else 2)  # a file from outside is tried apart first


def test_a_classifier_on_a_delegate(files, pictures, build, tmp_path):
    library, seen = build("classifier")
    (tmp_path / "model.tflite").write_bytes(files["int8"])
    answers = open_classifier(tmp_path / "model.tflite", delegate=library).predict(pictures[:3])
    assert answers.shape == (3, 3)
    assert seen.is_file()


def test_no_such_library(files):
    with pytest.raises(InputError, match=r"Cannot load the delegate libabsent\.so\.1 .*Install the device's runtime"):
        open_litert(files["int8"], delegate="libabsent.so.1")


def test_a_library_that_is_no_delegate(files):
    from _ctypes import __file__ as library

    with pytest.raises(InputError, match="no LiteRT delegate"):
        open_litert(files["int8"], delegate=library)


def test_no_device(files, build):
    library, _ = build("nodevice", device=False)
    for trusted in (True, False):
        with pytest.raises(InputError, match="delegate"):
            open_litert(files["int8"], trusted=trusted, delegate=library)


def test_only_litert_files_take_one(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"computes \.tflite files"):
        open_classifier(tmp_path / "model.keras", delegate="libedgetpu.so.1")


def test_predict_says_it_in_one_sentence(files, tmp_path):
    from PIL import Image

    (tmp_path / "model.tflite").write_bytes(files["int8"])
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    words = [sys.executable, "-m", "keras_transfer.cli", "predict", "model.tflite", "a.png"]
    done = subprocess.run(
        [*words, "--delegate", "libabsent.so.1"], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Cannot load the delegate libabsent.so.1" in done.stderr
