"""`keras-transfer predict`: what a model says of photographs, texts, recordings or series."""

from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from keras_transfer.cli import options

if TYPE_CHECKING:
    from contextlib import ExitStack
    from io import BufferedReader

    from keras_transfer.evaluation import Classifier, Prediction
    from keras_transfer.evaluation.predictions import Watcher
    from keras_transfer.modalities import Modality


_Files = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders of them, patterns such as 'a/*.jpg', tables of texts, a text in quotes, or - for "
        "standard input: one item, a list of paths, one per line, or raw sound (16-bit, mono, 16,000 Hz)."
    ),
]
_Camera = Annotated[int | None, typer.Option(min=0, help="Take a photograph with this camera; 0 is the first.")]
_Calibrated = Annotated[
    bool, typer.Option("--calibrated", help="Scale the probabilities by the temperature that the run's report fitted.")
]
_Hop = Annotated[
    float | None,
    typer.Option(min=0.01, help="Say what is heard from when to when, by windows that begin so many seconds apart."),
]
_Delegate = Annotated[
    str, typer.Option(help="For a .tflite on a device of its own: its library, such as libedgetpu.so.1.")
]


def command(
    model: options.Model,
    files: _Files = None,
    camera: _Camera = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many classes to show for each item.")] = 3,
    calibrated: _Calibrated = False,
    delegate: _Delegate = "",
    hop: _Hop = None,
    own: options.OwnFile = options.OwnFile(),
    logging: options.Log = options.Log(),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per line, as they come.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV, as they come.")] = False,
) -> None:
    """Say what a model sees in photographs, hears in recordings, or makes of texts and series.

    One that cannot be read is reported in its place.
    """
    import sys
    from contextlib import ExitStack

    from keras_transfer.cli.heard import print_live, print_timeline
    from keras_transfer.errors import InputError
    from keras_transfer.evaluation import open_classifier, predict_files
    from keras_transfer.evaluation.timeline import live, timeline
    from keras_transfer.modalities import open_modality
    from keras_transfer.progress import set_quiet, track

    wanted = [name for name, on in (("json", json), ("jsonl", jsonl), ("csv", csv)) if on]
    if len(wanted) > 1:
        raise InputError(f"Only one of --{' and --'.join(wanted)} can be printed.")
    set_quiet(bool(wanted))
    if not files and camera is None:
        raise InputError("There is nothing to predict. Give files, folders, patterns, a text in quotes, - or --camera.")
    if logging.log is None and (logging.log_sketch or logging.log_items or logging.log_sync):
        raise InputError("--log-sketch, --log-items and --log-sync say what --log FILE keeps: give it, too.")
    if logging.log is not None and hop is not None:
        raise InputError("A log (--log) has a line for each item, not for what is heard from when to when (--hop).")
    classifier = open_classifier(model, delegate=delegate, **own.options())
    modality = open_modality(classifier.inputs.modality)
    if calibrated:
        from keras_transfer.evaluation.calibration import calibrated as scaled

        classifier = scaled(classifier)
    standard_input = cast("BufferedReader", sys.stdin.buffer)
    if files == ["-"] and (windows := modality.stream(standard_input, classifier.inputs, hop)) is not None:
        if logging.log is not None:
            raise InputError("A log (--log) has a line for each item, and raw sound from standard input has none.")
        print_live(live(classifier, windows), wanted[0] if wanted else "table")
        return
    sources = list(_expand(files or (), modality))
    if camera is not None:
        sources.append((f"camera {camera}", modality.capture(camera)))
    if hop is not None:
        heard = (segment for path in sources for segment in timeline(classifier, _path(path), hop))
        print_timeline(heard, wanted[0] if wanted else "table")
        return
    readable, first = 0, None
    show, shown = _PRINT[wanted[0] if wanted else "table"], min(top_k, len(classifier.class_names))
    with ExitStack() as opened:
        watcher = _watcher(opened, classifier, logging)
        found = track(predict_files(classifier, sources, top_k, watcher), "Predicting", total=len(sources))
        for prediction in show(found, shown, classifier.limit is not None):
            first = first or prediction
            readable += not prediction.problem
    if not readable and first is not None:
        item = modality.kind.item
        raise InputError(
            f"None of {len(sources)} files can be read as a {item} ({first.path or repr('')}: {first.problem})."
        )


def _watcher(opened: "ExitStack", classifier: "Classifier", logging: options.Log) -> "Watcher | None":
    """What writes the log, if there is to be one."""
    if logging.log is None:
        return None
    from keras_transfer.jobs.log import log_predictions
    from keras_transfer.operations.log import LogWriter

    log = opened.enter_context(LogWriter(logging.log, sync=logging.log_sync))
    return log_predictions(classifier, log, sketch=logging.log_sketch, items=logging.log_items)


def _print_table(found: Iterable["Prediction"], top_k: int, scored: bool) -> Iterable["Prediction"]:
    from keras_transfer.cli.output import print_table

    found = list(found)
    rows = [(p.path, _found(p), p.confidence if p.top else None, _details(p)) for p in found]
    print_table(("file", "class", "confidence", f"top {top_k}"), rows)
    return found


def _print_json(found: Iterable["Prediction"], top_k: int, scored: bool) -> Iterable["Prediction"]:
    from dataclasses import asdict

    from keras_transfer.cli.output import print_json

    found = list(found)
    print_json([asdict(prediction) for prediction in found])
    return found


def _print_json_lines(found: Iterable["Prediction"], top_k: int, scored: bool) -> Iterator["Prediction"]:
    import json
    from dataclasses import asdict

    for prediction in found:
        print(json.dumps(asdict(prediction), allow_nan=False), flush=True)
        yield prediction


def _print_csv(found: Iterable["Prediction"], top_k: int, scored: bool) -> Iterator["Prediction"]:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    columns = [f"{name}_{place}" for place in range(1, top_k + 1) for name in ("class", "probability")]
    own = ["unlikeness", "rejected"] if scored else []
    writer.writerow(["path", "labels", *columns, *own, "problem"])
    for prediction in found:
        cells = [cell for pair in prediction.top for cell in pair] or [""] * len(columns)
        said = [getattr(prediction, name) for name in own]
        writer.writerow([prediction.path, ";".join(prediction.labels), *cells, *said, prediction.problem])
        sys.stdout.flush()
        yield prediction


_PRINT = {"table": _print_table, "json": _print_json, "jsonl": _print_json_lines, "csv": _print_csv}


def _path(source: Path | tuple[str, bytes]) -> str:
    from keras_transfer.errors import InputError

    if isinstance(source, tuple):
        raise InputError(f"`hop` (--hop) needs files, or raw sound on standard input. Received: {source[0]}.")
    return str(source)


def _found(prediction: "Prediction") -> str:
    from keras_transfer.decisions import NONE_OF_THESE

    if prediction.problem:
        return "unreadable"
    if prediction.rejected:
        return f"{NONE_OF_THESE} ({prediction.unlikeness:.2f})"
    return ", ".join(prediction.labels) or "none of them"


def _details(prediction: "Prediction") -> str:
    return prediction.problem or ", ".join(f"{name} {probability:.3f}" for name, probability in prediction.top)


def _expand(files: Iterable[str], modality: "Modality") -> Iterator[Path | tuple[str, bytes]]:
    """Each file, each item below a folder, each match of a pattern, what standard input holds for `-`.

    A name that is none of these stays as it is.
    """
    from keras_transfer.data.folders import files_below
    from keras_transfer.errors import InputError

    kind = modality.kind
    for name in files:
        path = Path(name)
        if name == "-":
            yield from _standard_input(modality)
        elif not (name and _exists(path)) and (content := modality.literal(name)) is not None:
            yield name, content  # an empty name would be the current folder
        elif path.is_dir():
            below = sorted(p for p in files_below(path) if p.suffix.lower() in kind.extensions and p.is_file())
            if not below:
                known = ", ".join(sorted(kind.extensions))
                raise InputError(f"{name} holds no {kind.items} ({known}). Give another folder.")
            yield from below
        elif not path.exists() and has_magic(name):
            found = map(Path, glob(name, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
            matches = sorted(path for path in found if path.is_file())
            if not matches:
                raise InputError(f"No file matches {name}. Check the pattern.")
            yield from matches
        else:
            rows = modality.items_in(path) if path.is_file() else None
            yield from [path] if rows is None else map(Path, rows)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text longer than any name
        return False


def _standard_input(modality: "Modality") -> Iterator[Path | tuple[str, bytes]]:
    """An item's bytes, or else paths: one a line, or each ended by a zero byte as `find -print0` writes them."""
    import os
    import sys

    from keras_transfer.errors import InputError

    content = sys.stdin.buffer.read()
    if modality.is_item(content):
        yield "-", content
        return
    separator = b"\0" if b"\0" in content else b"\n"
    names = [name for name in (part.strip(b"\r\n") for part in content.split(separator)) if name]
    if not names or any(len(name) > 4096 for name in names):
        raise InputError(f"Standard input (-) holds neither a {modality.kind.item} nor a list of paths, one per line.")
    for name in names:
        yield Path(os.fsdecode(name))
