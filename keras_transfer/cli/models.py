"""`keras-transfer models`: the registry of versions, see `keras_transfer.operations.registry`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from keras_transfer.operations.registry import Event

app = typer.Typer(
    help="The registry: versions of runs, which is in use, and back to the one before.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class _Alias(StrEnum):
    champion = "champion"
    challenger = "challenger"


class _Target(StrEnum):
    file = "file"
    web = "web"
    android = "android"


_Place = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="KERAS_TRANSFER_REGISTRY",
        help="A folder, or an address such as s3://bucket/models.  [registry]",
    ),
]
_Reference = Annotated[
    str, typer.Argument(metavar="NAME@VERSION", help="Such as cats@3, cats@champion or cats@challenger.")
]
_As = Annotated[_Alias, typer.Option("--as", help="Which of the two it becomes.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_versions(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these.")] = None,
    registry: _Place = None,
    json: _Json = False,
) -> None:
    """List the versions."""
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.operations.registry import aliases, history, open_registry, versions

    opened = open_registry(registry)
    rows = []
    for name in names or opened.names():
        held = aliases(history(opened, name))
        rows += [
            {
                "version": f"{name}@{version['version']}",
                "alias": ", ".join(alias for alias, number in held.items() if number == version["version"]),
                "accuracy": version["accuracy"],
                "items": version["data"]["items"],
                "parent": version["lineage"]["parent"],
                "created": version["created"],
                "id": version["id"],
            }
            for version in versions(opened, name)
        ]
    if json:
        print_json(rows)
        return
    shown = [{**row, "created": str(row["created"])[:16], "id": str(row["id"])[:16]} for row in rows]
    columns = ("version", "alias", "accuracy", "items", "parent", "created", "id")
    print_table(columns, [list(row.values()) for row in shown], title=f"{opened.place}: {len(rows)} versions")


@app.command()
def add(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a finished `train`.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the model is called here.")],
    parent: Annotated[
        str | None, typer.Option(help="The version that it follows.  [the one that RUN was made from]")
    ] = None,
    registry: _Place = None,
    json: _Json = False,
) -> None:
    """Add a finished run as the next version of a name."""
    from keras_transfer.cli.output import print_json
    from keras_transfer.operations.registry import add as add_run
    from keras_transfer.operations.registry import open_registry

    version = add_run(open_registry(registry), run, name, parent=parent)
    if json:
        print_json(version)
        return
    print(f"{name}@{version['version']} ({version['id'][:16]}, {len(version['files'])} files)")
    print(f"To use it: keras-transfer models promote {name}@{version['version']}")


@app.command()
def show(reference: _Reference, registry: _Place = None, json: _Json = False) -> None:
    """Show a version's record, and what was promoted when."""
    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.operations.registry import find, history, open_registry

    opened = open_registry(registry)
    version = find(opened, reference)
    events = history(opened, version["name"])
    if json:
        print_json({"version": version, "history": events})
        return
    lineage, data = version["lineage"], version["data"]
    facts = {
        "id": version["id"],
        "created": f"{version['created']} by {version['by']}",
        "accuracy": f"{version['accuracy']:.4f}",
        "file": version["recommended"],
        "gate": version["gate"] or "passed",
        "data": f"{data['items']} items, {data['sha256']}",
        "parent": lineage["parent"],
        "data since": f"{lineage['items_added']} items added, {lineage['items_removed']} removed",
        "recipe since": ", ".join(lineage["recipe_changes"]) or "the same",
        "run of before": lineage["base"],
        "files": len(version["files"]),
    }
    print_table(("", f"{version['name']}@{version['version']}"), list(facts.items()))
    rows = [(event["at"][:19], event["action"], event["alias"], event["before"], event["version"], event["by"])
            for event in events]  # fmt: skip
    print_table(("when (UTC)", "what", "alias", "from", "to", "by"), rows, title=f"History of {version['name']}")


@app.command()
def promote(reference: _Reference, alias: _As = _Alias.champion, registry: _Place = None, json: _Json = False) -> None:
    """Make a version the champion, or the challenger."""
    from keras_transfer.operations.registry import open_registry
    from keras_transfer.operations.registry import promote as promote_version

    event = promote_version(open_registry(registry), reference, alias.value)
    _print_event(event, reference.partition("@")[0], json)


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the model.")],
    alias: _As = _Alias.champion,
    registry: _Place = None,
    json: _Json = False,
) -> None:
    """Give the champion's place back to the version before."""
    from keras_transfer.operations.registry import open_registry
    from keras_transfer.operations.registry import rollback as roll_back

    _print_event(roll_back(open_registry(registry), name, alias.value), name, json)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these.")] = None,
    registry: _Place = None,
    json: _Json = False,
) -> None:
    """Read every file and find each that has changed."""
    from keras_transfer.cli.output import print_json
    from keras_transfer.errors import GateError
    from keras_transfer.operations.registry import open_registry
    from keras_transfer.operations.registry import verify as problems_of

    opened = open_registry(registry)
    problems = problems_of(opened, names or ())
    if json:
        print_json(problems)
    else:
        print(*problems or [f"{opened.place}: every file is as it was added."], sep="\n")
    if problems:
        raise GateError(f"{len(problems)} problems in {opened.place}.")


@app.command()
def publish(
    reference: _Reference,
    to: Annotated[str, typer.Option("--to", envvar="MLFLOW_TRACKING_URI", help="Of MLflow: http://..., sqlite:///...")],
    registry: _Place = None,
) -> None:
    """Bring a version to MLflow's registry, and its aliases with it."""
    from keras_transfer.jobs.mlflow_flavor import publish as publish_version
    from keras_transfer.operations.registry import open_registry

    number = publish_version(open_registry(registry), reference, to)
    print(f"{reference} is version {number} at {to}")


@app.command()
def key(file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key goes.")]) -> None:
    """Make a key that signs updates of devices, and print its public half."""
    from keras_transfer.operations.updates import make_key

    print(make_key(file))


@app.command()
def release(
    reference: _Reference,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that devices fetch from.")],
    key: Annotated[Path, typer.Option("--key", help="The private key, from `models key`.")],
    target: Annotated[_Target, typer.Option("--target", help="Whose files: those of a kit, or a LiteRT file.")],
    app_version: Annotated[int, typer.Option("--app", min=0, help="The oldest app that can use it.")] = 1,
    registry: _Place = None,
) -> None:
    """Write a version's files with a signed manifest, which devices check before they change over."""
    from keras_transfer.files import read_file
    from keras_transfer.operations.registry import find, open_registry, open_version
    from keras_transfer.operations.updates import make_update, read_key, release_files, write_update

    opened, private = open_registry(registry), read_key(key)
    version, run = find(opened, reference), open_version(opened, reference)
    files = release_files(run, target.value)
    labels = read_file(run / "labels.txt").decode().splitlines()
    model = f"{version['name']}@{version['version']}"
    manifest = make_update(files, labels, private, model=model, app=app_version)
    print(f"{model}: {len(files)} files, and {write_update(out, files, manifest)}")


def _print_event(event: "Event", name: str, json: bool) -> None:
    from keras_transfer.cli.output import print_json

    if json:
        print_json(event)
        return
    before = f" (before: {name}@{event['before']})" if event["before"] else ""
    print(f"The {event['alias']} is {name}@{event['version']}{before}.")
