"""`keras-transfer inspect`: what is broken, double, leaking, mislabelled or strange in a data set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import Inspection


def command(
    context: typer.Context,
    data: options.Data,
    network: options.Network = options.Network(),
    layout: options.SplitLayout = options.SplitLayout(),
    seed: options.Seed = None,
    out: Annotated[Path | None, typer.Option(help="Where the pages go.  [inspections/DATA]")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print inspection.json instead of a table.")] = False,
) -> None:
    """Look for broken files, copies, leaks and wrong labels.

    Also for items that are far from all others. Nothing of DATA is changed.
    """
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.jobs.inspect import inspect_data
    from keras_transfer.progress import set_quiet
    from keras_transfer.recipe import make_recipe

    set_quiet(json)
    place = out if out is not None else Path("inspections") / (Path(data).stem.replace(":", "-") or "data")
    found = inspect_data(make_recipe(None, **options.recipe_values(context)), place)
    if json:
        print_json(found)
        return
    rows = [
        ("unusable files", len(found["broken"])),
        ("groups of near-duplicates", len(found["groups"])),
        ("of these across splits", found["leaks"]),
        ("of these with different labels", found["clashes"]),
        ("probably wrong labels", found["suspect_count"]),
        ("far from all others", len(found["outliers"])),
    ]
    print_table(("what", "count"), rows, title=f"{data}: {sum(found['images'].values())} files")
    print(_judge(found))
    for warning in found["warnings"]:
        print(f"Note: {warning}")
    print(f"\nPage: {place / 'inspection.html'}\nNext: look at {place / 'corrected.csv'}, then train on it.")


def _judge(found: "Inspection") -> str:
    """How far the list of labels can be trusted."""
    right = found["probe_accuracy"]
    weights = {"imagenet": "", "bundled": ", bundled weights", "none": ", random weights"}
    skill = "" if right is None else f", which is right on {right:.0%} of the items"
    return (
        f"Labels are judged by a linear probe on {found['backbone']}{weights.get(found['weights'], '')}{skill}. "
        f"About {found['label_error_rate']:.1%} of all labels seem wrong; listed are those that more probably are "
        "than not."
    )
