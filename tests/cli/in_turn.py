"""`python in_turn.py REQUEST ANSWERS`: commands in turn in this one new process, as `keras-transfer` runs them.

The request is a JSON object: `commands`, lists of words; `missing`, modules that cannot be imported here, as in an
installation without the extras that bring them. The answers are a list of `[exit code, standard output, error]`.
"""

import contextlib
import io
import json
import os
import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path


def hide(modules):
    find, which = PathFinder.find_spec, shutil.which

    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in modules else find(name, path, target)

    PathFinder.find_spec = find_spec
    if "ethosu" in modules:  # whose compiler is a program
        shutil.which = lambda name, *more, **options: None if name == "vela" else which(name, *more, **options)


def shorten_networks():
    from keras_transfer.quick_start import quicken

    quicken()  # as a command does, before Keras is imported
    import keras
    from short_mobilenet import short_mobilenet

    keras.applications.MobileNet = short_mobilenet


def short_command(*words):
    """`keras-transfer` with short networks as a process of its own: its words, and the environment it needs."""
    program = "from in_turn import shorten_networks as shorten; shorten(); from keras_transfer.cli import main; main()"
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    return [sys.executable, "-c", program, *map(str, words)], {"PYTHONPATH": path}


def answer(words):
    from keras_transfer.cli.app import run

    output, error, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["keras-transfer", *words]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        try:
            run()
        except SystemExit as ending:
            code = ending.code or 0
    return [code, output.getvalue(), error.getvalue()]


if __name__ == "__main__":
    request = json.loads(Path(sys.argv[1]).read_text())
    hide(set(request["missing"]))
    shorten_networks()
    Path(sys.argv[2]).write_text(json.dumps([answer(words) for words in request["commands"]]))
