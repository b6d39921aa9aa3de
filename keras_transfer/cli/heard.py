"""What `keras-transfer predict` prints of sounds over time."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_transfer.evaluation.timeline import Segment
    from keras_transfer.schemas import EventFigures, EventScores


def print_timeline(heard: Iterable["Segment"], form: str) -> None:
    """What is heard in files; those that cannot be read stand in their place, and are an error where all are."""
    from dataclasses import asdict

    from keras_transfer.cli.output import print_json, print_table
    from keras_transfer.errors import InputError

    if form in ("jsonl", "csv"):
        segments = list(_print_lines(heard, form))
    else:
        segments = list(heard)
        if form == "json":
            print_json([asdict(segment) for segment in segments])
        else:
            rows = [
                (s.path, f"{s.start:.2f}", f"{s.end:.2f}", _words(s), s.problem or f"{s.confidence:.3f}")
                for s in segments
            ]
            print_table(("file", "from", "to", "class", "confidence"), rows)
    if segments and all(segment.problem for segment in segments):
        raise InputError(f"None of the files can be heard ({segments[0].path}: {segments[0].problem}).")


def print_live(heard: Iterable["Segment"], form: str) -> None:
    """What is heard now: every window as a line, or for people a line whenever that changes; a JSON list at the end."""
    from dataclasses import asdict

    from keras_transfer.cli.output import print_json

    if form == "json":
        print_json([asdict(segment) for segment in heard])
        return
    if form != "table":
        for _ in _print_lines(heard, form):
            pass
        return
    before: tuple[str, ...] | None = None
    for segment in heard:
        if segment.labels != before:
            print(
                f"{segment.end:9.1f} s  {', '.join(segment.labels) or 'none of them'}  {segment.confidence:.2f}",
                flush=True,
            )
            before = segment.labels


def print_events(found: "EventScores", title: str, *, as_json: bool) -> None:
    """What `evaluate --stream` found: in all at several thresholds, then of each class and group."""
    from keras_transfer.cli.output import print_json, print_table

    if as_json:
        print_json(found)
        return
    print_table(
        ("threshold", "events", "missed", "false accepts", "an hour"),
        [
            (f"{row['threshold']:g}{' *' * (row['threshold'] == found['threshold'])}", *_event_row(row))
            for row in found["curve"]
        ],
        f"{title}: {found['recordings']} recordings, {found['hours']:.2f} hours, a window every {found['hop']:g} s",
    )
    print_table(
        ("class", "events", "missed", "false accepts", "an hour"),
        [(name, *_event_row(row)) for name, row in found["per_class"].items()],
        f"At the threshold {found['threshold']:g}, give or take {found['tolerance']:g} s",
    )
    if found["per_group"]:
        rows = [(name, *_event_row(row)[:2]) for name, row in found["per_group"].items()]
        print_table(("group", "events", "missed"), rows)
    if not found["nothing"]:
        print(
            "Every class is an event: a class of background (`train --background FOLDER`) and files that say none of "
            "these (`train --reject`) lower false accepts."
        )
    print("Choose a threshold on other recordings than those that judge it.")


def _event_row(row: "EventFigures") -> tuple[int, str, int, str]:
    missed, rate = row["missed"], row["an_hour"]
    share = "" if missed is None else f"{missed['value']:.1%} ({missed['low']:.1%} to {missed['high']:.1%})"
    value, low, high = (_rate(end or 0.0) for end in (rate["value"], rate["low"], rate["high"]))
    return row["events"], share, row["false_accepts"], f"{value} ({low} to {high})"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _print_lines(heard: Iterable["Segment"], form: str) -> Iterator["Segment"]:
    import csv
    import json
    import sys
    from dataclasses import asdict

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(["path", "start", "end", "labels", "confidence", "problem"])
    for segment in heard:
        fields = asdict(segment)
        if form == "csv":
            writer.writerow([*(";".join(v) if isinstance(v, tuple) else v for v in fields.values())])
            sys.stdout.flush()
        else:
            print(json.dumps(fields, allow_nan=False), flush=True)
        yield segment


def _words(segment: "Segment") -> str:
    return "unreadable" if segment.problem else ", ".join(segment.labels) or "none of them"
