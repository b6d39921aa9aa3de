"""What `keras-transfer predict` prints of sounds over time."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_transfer.evaluation.timeline import Segment


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
