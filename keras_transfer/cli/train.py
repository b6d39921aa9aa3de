"""`keras-transfer train`: from labelled items to proven files."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from keras_transfer.cli import options


class _Mix(StrEnum):
    mixup = "mixup"
    cutmix = "cutmix"


class _Normalize(StrEnum):
    channel = "channel"
    window = "window"


_MIX = {"mixup": 0.2, "cutmix": 1.0}  # the usual parameter of each one's Beta distribution
_AllowBad = Annotated[bool | None, typer.Option("--allow-bad", help="Go on though over 5% of the files are unusable.")]
_Gradual = Annotated[
    bool | None, typer.Option("--gradual", help="Unfreeze one stage after another, from the top down.")
]
_Epochs = Annotated[
    int | None,
    typer.Option(
        help="Most epochs of fine-tuning; of the head with --strategy feature-extraction.  [4, of texts 3; 40]"
    ),
]
_Augmentation = Annotated[str | None, typer.Option(help="How strong: auto, none, light, medium or strong.  [auto]")]
_Out = Annotated[Path | None, typer.Option(help="The run directory.  [runs/DATA-BACKBONE]")]
_Views = Annotated[int | None, typer.Option(help="Augmented views computed of each item.  [chosen]")]
_Hidden = Annotated[list[int] | None, typer.Option(help="Units of a hidden dense layer; may be repeated.")]
_Dropout = Annotated[float | None, typer.Option(help="Dropout before the last layer, 0 to 1.  [0.2]")]


def command(
    context: typer.Context,
    data: options.RecipeData = None,
    network: options.Network = options.Network(),
    geometry: options.Geometry = None,
    effort: options.Effort = None,
    strategy: options.Strategy = None,
    seed: options.Seed = None,
    out: _Out = None,
    recipe: options.RecipeFile = None,
    allow_bad: _AllowBad = None,
    layout: options.SplitLayout = options.SplitLayout(),
    few_shot: options.FewShot = None,
    gradual: _Gradual = None,
    epochs: _Epochs = None,
    augmentation: _Augmentation = None,
    mix: Annotated[_Mix | None, typer.Option(help="Mix items and labels as well.")] = None,
    views: _Views = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Label smoothing, 0 to 1.  [0]")] = None,
    dropout: _Dropout = None,
    rank: Annotated[int | None, typer.Option(help="With --strategy lora or adapter: rank, units.  [8]")] = None,
    sequence_length: Annotated[
        int | None, typer.Option(help="Tokens to which texts are cut, samples to which series are.  [from the data]")
    ] = None,
    normalize: Annotated[
        _Normalize | None,
        typer.Option(help="Of series: channel, by the training series; or window, each by itself.  [channel]"),
    ] = None,
    hidden: _Hidden = None,
    fit: options.Fit = None,
    device: options.Device = None,
    files: options.Files = options.Files(),
    baselines: options.Baselines = None,
    compare_backbones: options.CompareBackbones = None,
    json: options.ResultJson = False,
    profile: options.Profile = False,
) -> None:
    """Train a classifier on photographs, texts, recordings or series; export proven files.

    Stopped, the same command with the same --out goes on from there.
    """
    from keras_transfer.cli.summary import train_and_print
    from keras_transfer.jobs.fit import for_budget
    from keras_transfer.modalities import settled
    from keras_transfer.run import follow_recipe

    values = options.recipe_values(context)
    if mix is not None:
        values["augmentation"] = {"strength": augmentation or "auto", mix.value: _MIX[mix.value]}
    wanted = settled(for_budget(follow_recipe(recipe, **values)))
    if out is None:
        name = Path(wanted.data.source).stem.replace(":", "-") or "data"
        out = Path("runs") / f"{name}-{Path(wanted.backbone).name.replace(':', '-')}"
    train_and_print(wanted, out, json, profile)
