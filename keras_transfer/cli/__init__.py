"""The `keras-transfer` command. Each command is one module of `COMMANDS` with a function `command`."""

import sys
from importlib import import_module
from typing import Annotated

import typer

from keras_transfer import __version__
from keras_transfer.errors import KerasTransferError
from keras_transfer.quick_start import quicken

# Modules of this folder, in the order of the help. Each defines `command`, whose signature and docstring are the
# command's; `RESUMABLE = True` in it says that the same command run again goes on where it was stopped. What is heavy
# is imported inside `command`, so that the help and wrong calls answer at once.
COMMANDS = (
    "demo",
    "inspect",
    "train",
    "report",
    "learning_curve",
    "cross_validate",
    "see",
    "shift",
    "adapt",
    "compress",
    "compare",
    "sensitivity",
    "export",
    "evaluate",
    "predict",
    "check",
    "benchmark",
    "backbones",
    "lr_find",
    "cache",
)

app = typer.Typer(
    name="keras-transfer",
    help="Transfer learning with Keras: from photographs in folders to a proven file on a device.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_modules = {name.replace("_", "-"): import_module(f"{__name__}.{name}") for name in COMMANDS}
for _name, _module in _modules.items():
    app.command(_name)(_module.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"keras-transfer {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the libraries' own logs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Declares what stands before every command; `main` acts on `--debug`, wherever it stands."""


def main() -> None:
    """Runs the command line: results on standard output, all else on standard error.

    Exit codes: 0 done, 1 a fault of ours, 2 the call or the input is wrong, 3 done but a gate failed, 130 stopped.
    """
    quicken()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not debug:
        from keras_transfer.cli.output import hush

        hush()
    try:
        app(arguments, prog_name="keras-transfer")
    except SystemExit as ending:  # typer's own: done, a wrong call, or Ctrl-C
        if ending.code == 130:
            module = next((_modules[argument] for argument in arguments if argument in _modules), None)
            again = "; run the same command again to go on from here" if getattr(module, "RESUMABLE", False) else ""
            print(f"Stopped{again}.", file=sys.stderr)
        raise
    except Exception as error:
        if debug:
            raise
        ours = isinstance(error, KerasTransferError)
        sentence = str(error) if ours else f"{type(error).__name__}: {error} (--debug shows where it happened)"
        print("Error:", " ".join(sentence.split()), file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, KerasTransferError) else 1)
