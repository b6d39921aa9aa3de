"""`keras-transfer train`: from photographs to proven files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


class _Mix(StrEnum):
    mixup = "mixup"
    cutmix = "cutmix"


_MIX = {"mixup": 0.2, "cutmix": 1.0}  # the usual parameter of either's Beta distribution


def command(
    data: options.RecipeData = None,
    backbone: options.Backbone = None,
    alpha: options.Alpha = None,
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    geometry: options.Geometry = None,
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="The run directory.  [runs/DATA-BACKBONE]")] = None,
    recipe: options.RecipeFile = None,
    allow_bad: Annotated[
        bool | None, typer.Option("--allow-bad", help="Go on though over 5% of the files are unusable.")
    ] = None,
    group_by: options.GroupBy = None,
    root: options.Root = None,
    path_column: options.PathColumn = None,
    label_column: options.LabelColumn = None,
    classes_at_depth: options.ClassesAtDepth = None,
    few_shot: options.FewShot = None,
    gradual: Annotated[
        bool | None, typer.Option("--gradual", help="Unfreeze one stage after another, from the top down.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Most epochs of fine-tuning; of the head with --strategy feature-extraction.  [5; 40]"),
    ] = None,
    augmentation: Annotated[
        str | None, typer.Option(help="How strong: auto, none, light, medium or strong.  [auto]")
    ] = None,
    mix: Annotated[_Mix | None, typer.Option(help="Mix photographs and labels as well.")] = None,
    views: Annotated[int | None, typer.Option(help="Augmented views computed of each image.  [chosen]")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Label smoothing, 0 to 1.  [0]")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before the last layer, 0 to 1.  [0.2]")] = None,
    hidden: Annotated[list[int] | None, typer.Option(help="Units of a hidden dense layer; may be repeated.")] = None,
    formats: options.Formats = None,
    targets: options.Targets = None,
    tolerance: options.Tolerance = None,
    baselines: options.Baselines = None,
    compare_backbones: options.CompareBackbones = None,
    json: Annotated[bool, typer.Option("--json", help="Print result.json instead of tables.")] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time went.")] = False,
) -> None:
    """Train a classifier on photographs; export proven files.

    Stopped, the same command with the same --out goes on from there.
    """
    from keras_transfer.cli.summary import train_and_print
    from keras_transfer.run import follow_recipe

    told = follow_recipe(
        recipe,
        data=data,
        backbone=backbone,
        alpha=alpha,
        weights=weights,
        image_size=image_size,
        geometry=geometry and geometry.value,
        strategy=strategy and strategy.value,
        seed=seed,
        allow_bad=allow_bad,
        group_by=group_by,
        root=root,
        path_column=path_column,
        label_column=label_column,
        classes_at_depth=classes_at_depth,
        few_shot=few_shot,
        gradual=gradual,
        epochs=epochs,
        augmentation={"strength": augmentation or "auto", mix.value: _MIX[mix.value]} if mix else augmentation,
        views=views,
        label_smoothing=label_smoothing,
        dropout=dropout,
        hidden=hidden or None,
        formats=formats or None,
        targets=targets or None,
        tolerance=tolerance,
        baselines=baselines and baselines.value,
        compare_backbones=compare_backbones or None,
    )
    if out is None:
        name = Path(told.data.source).stem.replace(":", "-") or "data"
        backbone = Path(told.model.backbone).name.replace(":", "-")
        out = Path("runs") / f"{name}-{backbone}"
    train_and_print(told, out, json, profile)
