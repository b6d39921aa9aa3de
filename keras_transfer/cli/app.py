"""The command line. Each command is one module of `COMMANDS` with a function `command`, or an `app` of several."""

import errno
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from keras_transfer import __version__
from keras_transfer.cli import stopped
from keras_transfer.cli.options import with_groups
from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.quick_start import quicken

if TYPE_CHECKING:
    from click import Context, HelpFormatter

# Modules of this folder, in the groups and the order of the help. Each defines `command`, whose signature and docstring
# are the command's, or `app`, which has commands of its own. What is heavy is imported inside them, so that the help
# and wrong calls answer at once.
GROUPS = {
    "Start": ("demo", "inspect", "backbones"),
    "Train": ("train", "search", "zero_shot", "cross_validate", "lr_find"),
    "Understand": ("report", "evaluate", "predict"),
    "Compress": ("compress", "compare", "sensitivity"),
    "Ship": ("export", "check", "benchmark"),
    "Maintain": ("monitor", "shift", "adapt", "add_class", "retrain", "models", "cache"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
# Commands of earlier releases, and what does their work now.
MERGED = {"learning-curve": "report RUN --learning-curve", "see": "report RUN --see"}

# What a disk says that takes no more.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class _Grouped(TyperGroup):
    """Lists the commands in their groups."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:  # type: ignore[override]
        """Writes a section for each group."""
        for title, names in GROUPS.items():
            shown = [name.replace("_", "-") for name in names]
            # Two columns and the gaps beside them.
            limit = formatter.width - 6 - max(len(name) for name in COMMANDS)
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit)) for name in shown])


app = typer.Typer(
    cls=_Grouped,
    name="keras-transfer",
    help="Transfer learning with Keras: from photographs, texts, recordings or series to a proven file.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name in COMMANDS:
    _module, _shown = import_module(f"keras_transfer.cli.{_name}"), _name.replace("_", "-")
    if hasattr(_module, "app"):
        app.add_typer(_module.app, name=_shown)
    else:
        app.command(_shown)(with_groups(_module.command))


def _pointer(old: str, new: str) -> Callable[[], None]:
    def command() -> None:
        raise InputError(f"`{old}` is now `keras-transfer {new}`.")

    return command


for _old, _new in MERGED.items():
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(_old, hidden=True, context_settings=settings)(_pointer(_old, _new))


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


def run() -> None:
    """Runs the command line: results on standard output, all else on standard error.

    Exit codes: 0 done, 1 a fault of ours, 2 the call or the input is wrong, 3 done but a gate failed or
    `monitor` alerts, 130 stopped.
    """
    quicken()
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    if not debug:
        from keras_transfer.cli.output import silence_libraries

        silence_libraries()
    try:
        app(arguments, prog_name="keras-transfer")
    except SystemExit as ending:  # typer's own: done, a wrong call, or an interrupt that a library made
        if ending.code == 130:
            print(stopped(), file=sys.stderr)
        raise
    except Exception as error:
        if debug:
            raise
        code, sentence = _explained(error)
        print("Error:", " ".join(sentence.split()), file=sys.stderr)
        sys.exit(code)


def _explained(error: Exception) -> tuple[int, str]:
    """The exit code and the sentence of an error."""
    if isinstance(error, KerasTransferError):
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        place = error.filename or "a file"
        return 2, (
            f"Cannot write {place}: {error.strerror}. Free some space there and in the folder for temporary files "
            "(TMPDIR), or choose other places."
        )
    return 1, f"{type(error).__name__}: {error} (--debug shows where it happened)"
