"""`keras-transfer compress`: a finished run made smaller."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import Result


def command(
    run: Annotated[
        Path,
        typer.Argument(help="The --out of a finished `train` or `compress`; or a .keras of your own, with --data."),
    ],
    student: Annotated[
        str | None, typer.Option(help="Distill into this backbone (with --alpha, --weights, --image-size).")
    ] = None,
    alpha: options.Alpha = None,
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    channels: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Remove channels until this share of the multiply-adds is left, such as 0.6."),
    ] = None,
    prune: Annotated[
        float | None, typer.Option(min=0, max=1, help="Set this share of the weights to zero, such as 0.5.")
    ] = None,
    pattern: Annotated[str | None, typer.Option(help="With --prune: of the zeros, 2:4 or a block such as 1x4.")] = None,
    cluster: Annotated[int | None, typer.Option(help="Leave each layer so many different weights, such as 16.")] = None,
    qat: Annotated[bool, typer.Option("--qat", help="Quantization-aware training: the int8 file is trained.")] = False,
    qat_stages: Annotated[int | None, typer.Option(help="With --qat: how many top stages train.  [2]")] = None,
    per_tensor: Annotated[
        bool, typer.Option("--per-tensor", help="With --qat: one scale a tensor, for old runtimes.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each step.  [the step's own]")] = None,
    out: Annotated[Path | None, typer.Option(help="The new run directory.  [RUN-STEPS]")] = None,
    data: options.RunData = None,
    pixels: options.Pixels = None,
    geometry: options.FileGeometry = None,
    formats: options.Formats = None,
    targets: options.Targets = None,
    tolerance: options.Tolerance = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time went.")] = False,
) -> None:
    """Make the model of a finished run smaller.

    The steps that are asked for come in this order: distill, remove channels, prune, cluster, quantize. The result of
    each is measured, and each file proved.
    """
    from keras_transfer.cli.summary import run_and_print
    from keras_transfer.errors import InputError
    from keras_transfer.jobs.adopt import is_model, run_of
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import make_compression
    from keras_transfer.run import beside

    for name, value, needs, there in (
        ("--alpha", alpha, "--student", student),
        ("--weights", weights, "--student", student),
        ("--image-size", image_size, "--student, or a .keras of any size", student or is_model(run)),
        ("--pattern", pattern, "--prune", prune),
        ("--qat-stages", qat_stages, "--qat", qat),
        ("--per-tensor", per_tensor, "--qat", qat),
    ):
        if value and not there:
            raise InputError(f"{name} is for {needs}: add it.")
    compression = make_compression(
        distill=student is not None,
        multiply_adds=channels,
        sparsity=prune,
        pattern=pattern,
        clusters=cluster,
        qat=qat,
        qat_stages=qat_stages,
        per_tensor=per_tensor,
        epochs=epochs,
    )
    set_quiet(json)
    own_size = image_size if student is None else None
    run, data = run_of(
        run, data, image_size=own_size, pixels=pixels and pixels.value, geometry=geometry and geometry.value
    )
    if out is None:
        told = (("channels", channels and 100 * channels), ("prune", prune and 100 * prune), ("cluster", cluster))
        parts = [student or "", *(f"{word}{value:g}" for word, value in told if value), "qat" if qat else ""]
        out = beside(run, "-".join(filter(None, parts)))
    changes = {
        "backbone": student,
        "alpha": alpha,
        "weights": weights,
        "image_size": image_size if student is not None else None,
        "data": data,
        "formats": formats or None,
        "targets": targets or None,
        "tolerance": tolerance,
    }

    def job() -> "Result":
        from keras_transfer.jobs.compress import compress

        return compress(run, out, compression, **changes)

    run_and_print(job, out, json, profile)
