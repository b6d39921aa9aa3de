"""Groups that file names and columns betray: takes of one speaker, cuts of one recording, subjects of a study."""

from collections import Counter, defaultdict
from pathlib import Path

from keras_transfer.data.listing import Kind, Listing
from keras_transfer.data.stretches import whole_file
from keras_transfer.data.table_files import key

COLUMNS = (
    "speaker", "speakerid", "clientid", "subject", "subjectid", "patient", "patientid", "actor", "user", "userid",
    "person", "personid", "participant", "participantid", "volunteer", "animal", "record", "recording", "trial",
    "session", "recordingid", "source", "sourceid", "srcfile", "device", "machine", "machineid", "site", "location",
)  # fmt: skip
_SHARE = 0.2  # of the files share their value with another one
_MANY = 0.9  # of the files have names of the form


def group_warning(listing: Listing) -> str:
    """A warning that proposes a `--group-by`, where the items seem to come in groups and have none; else empty.

    Args:
        listing: its entries not yet cut into windows.
    """
    entries = listing.entries
    if len(entries) < 4 or any(entry.group for entry in entries) or listing.splits - {""}:
        return ""
    names = dict.fromkeys(name for entry in entries for name in entry.columns)
    column = next((name for name in names if is_group(name)), None)
    if column is not None and 1 < len({entry.columns.get(column) for entry in entries}) < len(entries):
        values = Counter(entry.columns.get(column, "") for entry in entries)
        return _sentence(f"The column `{column}`", values, column, listing.kind)
    found = betrayed_group([(whole_file(entry.file), entry.labels) for entry in entries])
    if found is None:
        return ""
    pattern, values = found
    return _sentence("A part of the file names", values, f"'{pattern}'", listing.kind)


def is_group(column: str) -> bool:
    """Whether a column's name says that it tells speakers, subjects or devices apart.

    >>> is_group("Subject_ID"), is_group("label")
    (True, False)
    """
    return key(column) in COLUMNS


def betrayed_group(files: list[tuple[str, tuple[str, ...]]]) -> tuple[str, Counter[str]] | None:
    """A part of file names that looks like a speaker or a source, as a regular expression, and how often each stands.

    A part is no group where it follows from the class, is the same everywhere, or only counts (0, 1, 2 or A, B, C).

    Args:
        files: with their labels.

    >>> names = [(f"{digit}/{digit}_{who}_{take}.wav", (digit,)) for digit in "01" for who in ("ann", "bob")
    ...          for take in range(3)]
    >>> betrayed_group(names)
    ('([^/_]+)[_][^/_]+$', Counter({'ann': 6, 'bob': 6}))
    """
    stems = [Path(file).stem for file, _ in files]
    candidates = []
    for sign in "-_. ":
        forms = Counter(stem.count(sign) for stem in stems)
        parts, held = forms.most_common(1)[0]
        if parts == 0 or held < _MANY * len(files):
            continue
        named = [(stem.split(sign), labels) for stem, (_, labels) in zip(stems, files, strict=True)]
        rows = [row for row in named if len(row[0]) == parts + 1]
        for place in range(parts + 1):
            values = Counter(row[place] for row, _ in rows)
            shared = sum(count for count in values.values() if count > 1) / len(rows)
            if len(values) < 2 or shared < _SHARE or _counts(values) or _is_class(place, rows):
                continue
            behind = f"[{sign}][^/{sign}]+" * (parts - place + (sign == "."))  # the extension is a part as well
            candidates.append((shared, -len(values), f"([^/{sign}]+){behind}$", values))
    if not candidates:
        return None
    *_, pattern, values = max(candidates, key=lambda row: row[:2])
    return pattern, values


def _counts(values: Counter[str]) -> bool:
    """Whether values are takes: numbers without many gaps from 0 or 1, or letters from A."""
    if all(value.isdecimal() for value in values):
        numbers = [int(value[:9]) for value in values]
        return min(numbers) <= 1 and max(numbers) < 2 * len(numbers)
    return all(len(value) == 1 for value in values)


def _is_class(place: int, rows: list[tuple[list[str], tuple[str, ...]]]) -> bool:
    """Whether a part follows from the class: each class has one value."""
    seen: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for row, labels in rows:
        seen[labels].add(row[place])
    return len(seen) > 1 and all(len(values) == 1 for values in seen.values())


def _sentence(what: str, values: Counter[str], option: str, kind: Kind) -> str:
    most, count = values.most_common(1)[0]
    return (
        f"{what} looks like a person or a source: {len(values)} values, '{most[:40]}' in {count} {kind.items}. What "
        f"comes from one source on both sides of a split flatters the score: add --group-by {option}."
    )
