"""The `keras-transfer` command: this module starts it, `keras_transfer.cli.app` is the command line."""

import sys

from keras_transfer.process import watch

# Commands that, stopped and run again, go on where they were.
RESUMABLE = frozenset({"demo", "train", "compress", "cross-validate"})


def stopped() -> str:
    """The sentence for a person whose command was stopped."""
    name = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    return "Stopped; the same command goes on from here." if name in RESUMABLE else "Stopped."


def main() -> None:
    """Runs the command line in this process, which ends with it."""
    watch(stopped)  # first of all: the rest takes a while to import
    from keras_transfer.cli.app import run
    from keras_transfer.files import gather_temporary_files

    gather_temporary_files()
    run()
