"""`keras-transfer compress`: a finished run made smaller."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.recipe import Compression
    from keras_transfer.schemas import Result


_Run = Annotated[
    Path, typer.Argument(help="The --out of a finished `train` or `compress`; or a .keras of your own, with --data.")
]
_Student = Annotated[
    str | None, typer.Option(help="Distill into this backbone (with --alpha, --weights, --image-size).")
]
_Channels = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Remove channels until this share of the multiply-adds is left, such as 0.6."),
]
_Prune = Annotated[float | None, typer.Option(min=0, max=1, help="Set this share of the weights to zero, such as 0.5.")]
_Pattern = Annotated[str | None, typer.Option(help="With --prune: of the zeros, 2:4 or a block such as 1x4.")]
_Cluster = Annotated[int | None, typer.Option(help="Leave each layer so many different weights, such as 16.")]
_Qat = Annotated[bool, typer.Option("--qat", help="Quantization-aware training: the int8 file is trained.")]
_QatStages = Annotated[int | None, typer.Option(help="With --qat: how many top stages train.  [2]")]
_PerTensor = Annotated[
    bool, typer.Option("--per-tensor", help="With --qat: one scale for each tensor, for old runtimes.")
]


def command(
    context: typer.Context,
    run: _Run,
    student: _Student = None,
    alpha: options.Alpha = None,
    weights: options.Weights = None,
    channels: _Channels = None,
    prune: _Prune = None,
    pattern: _Pattern = None,
    cluster: _Cluster = None,
    qat: _Qat = False,
    qat_stages: _QatStages = None,
    per_tensor: _PerTensor = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each step.  [the step's own]")] = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory.  [RUN-STEPS]")] = None,
    data: options.RunData = None,
    own: options.OwnFile = options.OwnFile(),
    files: options.Files = options.Files(),
    json: options.ResultJson = False,
    profile: options.Profile = False,
) -> None:
    """Make the model of a finished run smaller.

    The steps that are asked for come in this order: distill, remove channels, prune, cluster, quantize. The result of
    each is measured, and each file proved.
    """
    from keras_transfer.cli.summary import run_and_print
    from keras_transfer.jobs.adopt import is_model, run_of
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import make_compression
    from keras_transfer.run import beside

    _check(context, is_model(run))
    names = {"channels": "multiply_adds", "prune": "sparsity", "cluster": "clusters"}
    values = {names.get(name, name): value for name, value in context.params.items() if name in _STEPS}
    compression = make_compression(distill=student is not None, **values)
    set_quiet(json)
    changes = {name: value for name, value in options.recipe_values(context).items() if name in _CHANGES}
    if student is not None:  # whose image size it is then
        changes |= {"backbone": student, "image_size": own.image_size}
        own = replace(own, image_size=None)
    run, data = run_of(run, data, **own.options())
    place = out if out is not None else beside(run, _suffix(compression, student))

    def job() -> "Result":
        from keras_transfer.jobs.compress import compress

        return compress(run, place, compression, **changes | {"data": data})

    run_and_print(job, place, json, profile)


_STEPS = ("channels", "prune", "pattern", "cluster", "qat", "qat_stages", "per_tensor", "epochs")
_CHANGES = ("alpha", "weights", "formats", "targets", "tolerance")  # options that change the new run's recipe


def _check(context: typer.Context, is_model: bool) -> None:
    """Raises `InputError` where an option needs another one that is missing."""
    from keras_transfer.errors import InputError

    given = context.params
    for option, needs in (
        ("alpha", "student"),
        ("weights", "student"),
        ("pattern", "prune"),
        ("qat_stages", "qat"),
        ("per_tensor", "qat"),
    ):
        if given[option] and not given[needs]:
            raise InputError(f"--{option.replace('_', '-')} is for --{needs}: add it.")
    if given["image_size"] and not (given["student"] or is_model):
        raise InputError("--image-size is for --student, or a .keras of any size: add it.")


def _suffix(compression: "Compression", student: str | None) -> str:
    """What the new run's name says of its steps, such as `prune50-qat`."""
    steps = (
        ("channels", compression.multiply_adds and 100 * compression.multiply_adds),
        ("prune", compression.sparsity and 100 * compression.sparsity),
        ("cluster", compression.clusters),
    )
    parts = [student or "", *(f"{word}{value:g}" for word, value in steps if value), "qat" if compression.qat else ""]
    return "-".join(filter(None, parts))
