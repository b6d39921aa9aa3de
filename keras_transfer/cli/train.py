"""`keras-transfer train`: from photographs to proven files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

RESUMABLE = True


class _Strategy(StrEnum):
    auto = "auto"
    feature_extraction = "feature-extraction"
    fine_tuning = "fine-tuning"
    full = "full"
    scratch = "scratch"


class _Mix(StrEnum):
    mixup = "mixup"
    cutmix = "cutmix"


_MIX = {"mixup": 0.2, "cutmix": 1.0}  # the usual parameter of either's Beta distribution


def command(
    data: Annotated[
        str | None,
        typer.Argument(help="A folder of photographs, a CSV or Parquet file, or tfds:NAME. May stand in the recipe."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="See `keras-transfer backbones`.  [mobilenet_v2]")] = None,
    alpha: Annotated[float | None, typer.Option(help="Width multiplier of the MobileNets.  [1.0]")] = None,
    weights: Annotated[str | None, typer.Option(help="imagenet, none, or a weights file.  [imagenet]")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side in pixels.  [the backbone's own]")] = None,
    strategy: Annotated[_Strategy | None, typer.Option(help="What to train.  [auto]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of splits, views, orders and dropout.  [0]")] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [runs/DATA-BACKBONE]")] = None,
    recipe: Annotated[Path | None, typer.Option(help="A recipe file; options given here win over it.")] = None,
    allow_bad: Annotated[
        bool | None, typer.Option("--allow-bad", help="Go on though over 5% of the files are unusable.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(help="Keep together in one split: a CSV column, 'folder', or a regular expression.")
    ] = None,
    gradual: Annotated[
        bool | None, typer.Option("--gradual", help="Unfreeze one stage after another, from the top down.")
    ] = None,
    augmentation: Annotated[str | None, typer.Option(help="auto, none, light, medium or strong.  [auto]")] = None,
    mix: Annotated[_Mix | None, typer.Option(help="Mix photographs and labels as well.")] = None,
    views: Annotated[int | None, typer.Option(help="Augmented views computed of each image.  [chosen]")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="In 0..1.  [0]")] = None,
    dropout: Annotated[float | None, typer.Option(help="Before the last layer, in 0..1.  [0.2]")] = None,
    hidden: Annotated[list[int] | None, typer.Option(help="Units of a hidden dense layer; may be repeated.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="float32, float16, dynamic, int8; may be repeated.  [all]")
    ] = None,
    targets: Annotated[
        list[str] | None, typer.Option("--target", help="A device to judge the files for; may be repeated.")
    ] = None,
    tolerance: Annotated[
        float | None, typer.Option(help="Top-1 that a file may lose against the Keras model.  [0.01]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time went.")] = False,
) -> None:
    """Train a classifier on photographs and export proven files; run again with the same --out, it resumes."""
    from keras_transfer.cli.output import print_json
    from keras_transfer.cli.summary import print_result
    from keras_transfer.errors import GateError
    from keras_transfer.jobs.train import train
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import make_recipe
    from keras_transfer.run import read_result

    told = make_recipe(
        recipe,
        data=data,
        backbone=backbone,
        alpha=alpha,
        weights=weights,
        image_size=image_size,
        strategy=strategy and strategy.value,
        seed=seed,
        allow_bad=allow_bad,
        group_by=group_by,
        gradual=gradual,
        augmentation={"strength": augmentation or "auto", mix.value: _MIX[mix.value]} if mix else augmentation,
        views=views,
        label_smoothing=label_smoothing,
        dropout=dropout,
        hidden=hidden or None,
        formats=formats or None,
        targets=targets or None,
        tolerance=tolerance,
    )
    if out is None:
        name = Path(told.data).stem.replace(":", "-") or "data"
        out = Path("runs") / f"{name}-{told.backbone}"
    set_quiet(json)
    try:
        train(told, out)
    except GateError:
        _show(read_result(out), out, json, profile, print_json, print_result)
        raise
    _show(read_result(out), out, json, profile, print_json, print_result)


def _show(result, out, json, profile, print_json, print_result) -> None:  # type: ignore[no-untyped-def]
    if json:
        print_json(result)
    else:
        print_result(result, out, profile)
