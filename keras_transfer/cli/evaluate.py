"""`keras-transfer evaluate`: how good a model is on items it has not seen."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from keras_transfer.schemas import Metrics


class _Split(StrEnum):
    test = "test"
    val = "val"
    train = "train"
    all = "all"


def command(
    model: options.Model,
    data: Annotated[str, typer.Argument(help="Class folders, a .csv or .parquet, or tfds:NAME.")],
    split: Annotated[
        _Split | None, typer.Option(help="Default: the test split; all items where there are no splits.")
    ] = None,
    allow_bad: Annotated[
        bool, typer.Option("--allow-bad", help="Go on though over 5% of the files cannot be used.")
    ] = False,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream",
            help="Find events in long recordings: misses, and false accepts an hour. DATA: recordings beside label "
            "tracks, a table of their stretches, or of series a row for each moment.",
        ),
    ] = False,
    events: options.Events = options.Events(),
    own: options.OwnFile = options.OwnFile(),
    layout: options.Layout = options.Layout(),
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Score a model on labelled photographs, texts, recordings or series."""
    from keras_transfer.cli.output import print_json
    from keras_transfer.evaluation import chance_hint, classifier_of, evaluate, in_text_order, require_model
    from keras_transfer.evaluation.opening import known_inputs
    from keras_transfer.modalities import held_out, open_modality
    from keras_transfer.progress import say, set_quiet

    set_quiet(json)
    require_model(model)
    if stream:
        from keras_transfer.cli.heard import print_events
        from keras_transfer.errors import InputError
        from keras_transfer.jobs.stream import evaluate_stream

        if split is not None or allow_bad:
            raise InputError("--stream hears all recordings of DATA, whole: leave out --split and --allow-bad.")
        found = evaluate_stream(model, data, layout=events.layout(layout), **events.options(), **own.options())
        print_events(found, f"{model} on {data}", as_json=json)
        return
    events.refuse()
    inputs = known_inputs(model)
    part = held_out(
        data, split, allow_bad=allow_bad, layout=layout.source(), preparation=inputs.preparation if inputs else None
    )
    classifier = classifier_of(model, part, **own.options())
    if not classifier.named and not data.startswith("tfds:"):  # whose classes have an order of their own
        part = in_text_order(part)
    scores = evaluate(classifier, part)
    if hint := chance_hint(classifier, scores):
        say(f"Note: {hint}")
    if json:
        print_json({"model": str(model), "data": data, "split": part.name, **scores})
        return
    _print(scores, f"{model} on", part.name, data, open_modality(classifier.inputs.modality).kind.items)


def _print(scores: "Metrics", model: str, split: str, data: str, items: str) -> None:
    from keras_transfer.cli.output import print_table
    from keras_transfer.schemas import N_ITEMS

    title = f"{model} {'all items' if split == 'all' else f'the {split} split'} of {data}"
    if "label_accuracy" in scores:
        title += f"; accuracy: {items} with all labels right, label_accuracy: single labels"
    single = [(name, value) for name, value in scores.items() if not isinstance(value, dict | list)]
    shown = {N_ITEMS: items}
    without = scores["seen"]["without"] if "seen" in scores else None
    if without is None:
        print_table(("metric", "value"), [(shown.get(name, name), value) for name, value in single], title)
    else:
        others: Mapping[str, object] = without
        rows = [(shown.get(name, name), value, others[name]) for name, value in single]
        print_table(("metric", "value", "without those seen in training"), rows, title)
    if (files := scores.get("files")) is not None:
        print_table(("of whole files", "value"), list(files.items()), "Probabilities of a file's windows averaged")
    per_class = scores["per_class"]
    columns = list(next(iter(per_class.values())))
    print_table(("class", *columns), [(name, *row.values()) for name, row in per_class.items()])
