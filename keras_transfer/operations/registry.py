"""The registry: immutable versions of runs, which of them is in use, and who promoted it when.

    REGISTRY/NAME/runs/ID/...           the run, ID by its content
    REGISTRY/NAME/versions/N.json       the version NAME@N: every file's SHA-256, data, lineage
    REGISTRY/NAME/history/N.json        a promotion or a rollback

A version is there once its record is, which is written last; the aliases follow from the history. Records are created,
never changed, and each only once: so no writer can lose another's, and one that is killed leaves nothing half.
"""

import csv
import getpass
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from typing_extensions import TypedDict

from keras_transfer.cache_folders import cache_folder
from keras_transfer.errors import InputError
from keras_transfer.files import read_file, write_bytes
from keras_transfer.operations.store import LocalStore, Store, open_store
from keras_transfer.recipe import differences, make_recipe
from keras_transfer.run import read_run

Alias = Literal["champion", "challenger"]
VARIABLE = "KERAS_TRANSFER_REGISTRY"
"""The variable that says where the registry is, unless it is `registry` in the working folder."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_REFERENCE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)@(?P<version>[1-9]\d{0,8}|champion|challenger)")
_LEFT_OUT = ("checkpoints",)  # of a run: what only its resuming needs


class FileEntry(TypedDict):
    """One file of a version."""

    sha256: str
    bytes: int


class DataEntry(TypedDict):
    """The items that a version was made with: how many are in use, and one hash of their hashes, classes and splits."""

    items: int
    sha256: str


class Lineage(TypedDict):
    """Where a version comes from.

    Attributes:
        parent: the version before it, such as `cats@2`; None where it has none here.
        base: the run that it was made from, as its result names it.
        items_added: items that the parent did not have.
        items_removed: items of the parent that it does not have.
        recipe_changes: fields of the recipe that differ from the parent's.
    """

    parent: str | None
    base: str | None
    items_added: int
    items_removed: int
    recipe_changes: list[str]


class _Sealed(TypedDict):
    seal: str  # the SHA-256 of everything else


class Version(_Sealed):
    """The record of a version; `id` is the hash of `files`."""

    name: str
    version: int
    id: str
    created: str
    by: str
    accuracy: float
    gate: str | None
    recommended: str | None
    data: DataEntry
    lineage: Lineage
    files: Mapping[str, FileEntry]


class Event(_Sealed):
    """A promotion, or a rollback to the version that was promoted before."""

    number: int
    action: Literal["promote", "rollback"]
    alias: Alias
    version: int
    before: int | None
    at: str
    by: str


@dataclass(frozen=True)
class Registry:
    """A registry at a place."""

    place: str
    store: Store

    def names(self) -> list[str]:
        """The names that have a version."""
        return [name for name in self.store.names("") if _NAME.fullmatch(name) and _numbers(self, name, "versions")]


def open_registry(place: str | Path | None = None) -> Registry:
    """Opens a registry; its folder is made by the first `add`.

    Args:
        place: a folder or an address of fsspec; by default what `KERAS_TRANSFER_REGISTRY` names, else `registry`.

    >>> open_registry("s").place
    's'
    """
    place = str(place or os.environ.get(VARIABLE) or "registry")
    return Registry(place, open_store(place))


def add(registry: Registry, run: str | Path, name: str, *, parent: str | None = None) -> Version:
    """Adds a finished run as the next version of a name.

    Args:
        registry: where to.
        run: the run directory.
        name: of the model: letters, digits, `_`, `.` and `-`.
        parent: the version that it follows, such as `cats@2`; by default the one whose run `RUN` was made from.

    Returns:
        Its record; of a run that is there already, the record that it has.

    Raises:
        InputError: there is no finished run, the name cannot be one, or the registry cannot be written.
    """
    run = Path(run)
    if not _NAME.fullmatch(name):
        raise InputError(f"A name has letters, digits, `_`, `.` and `-`. Received: {name!r}.")
    _, result = read_run(run)
    files = _files_of(run)
    content_id = _hash_of(files)
    while True:
        known = versions(registry, name)
        for version in known:
            if version["id"] == content_id:
                return version
        number = known[-1]["version"] + 1 if known else 1
        before = _parent(registry, known, parent, result.get("base"))
        record = {
            "name": name,
            "version": number,
            "id": content_id,
            "created": _now(),
            "by": _user(),
            "accuracy": result["test"]["accuracy"],
            "gate": result["gate"],
            "recommended": result["recommended"],
            "data": _data_entry(run),
            "lineage": _lineage(registry, run, before, result.get("base")),
            "files": files,
        }
        for path, entry in files.items():
            content = read_file(run / path)
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                raise InputError(f"{run / path} changed while it was added: wait for what writes it, and add it again.")
            registry.store.write(_place(name, content_id, path), content)
        if registry.store.create(f"{name}/versions/{number}.json", _seal(record)):
            return _version(registry, name, number)


def versions(registry: Registry, name: str) -> list[Version]:
    """The records of a name, the oldest first.

    Raises:
        InputError: a record is damaged.
    """
    return [_version(registry, name, number) for number in _numbers(registry, name, "versions")]


def history(registry: Registry, name: str) -> list[Event]:
    """Who promoted what when, the oldest first.

    Raises:
        InputError: a record is damaged.
    """
    return [_event(registry, name, number) for number in _numbers(registry, name, "history")]


def aliases(events: Iterable[Event]) -> dict[Alias, int]:
    """The version that each alias names.

    Args:
        events: from `history`.

    >>> from typing import cast
    >>> promoted = [cast(Event, {"action": "promote", "alias": "champion", "version": n}) for n in (1, 3)]
    >>> aliases(promoted), aliases([*promoted, cast(Event, {"action": "rollback", "alias": "champion"})])
    ({'champion': 3}, {'champion': 1})
    """
    return {alias: held[-1] for alias, held in _stacks(events).items() if held}


def _stacks(events: Iterable[Event]) -> dict[Alias, list[int]]:
    """The versions that each alias has named, but for those that were rolled back."""
    held: dict[Alias, list[int]] = {}
    for event in events:
        stack = held.setdefault(event["alias"], [])
        if event["action"] == "rollback":
            stack.pop()
        else:
            stack.append(event["version"])
    return held


def find(registry: Registry, reference: str) -> Version:
    """The record that a reference names: `cats@3`, `cats@champion`, `cats@challenger`.

    Raises:
        InputError: it names none.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InputError(f"A version is named NAME@NUMBER, NAME@champion or NAME@challenger. Received: {reference!r}.")
    name, wanted = match["name"], match["version"]
    numbers = _numbers(registry, name, "versions")
    if not numbers:
        raise InputError(
            f"The registry {registry.place} has no {name}: it has {', '.join(registry.names()) or 'nothing'}. "
            f"--registry or {VARIABLE} names another."
        )
    number = int(wanted) if wanted.isdigit() else aliases(history(registry, name)).get(cast(Alias, wanted))
    if number is None:
        raise InputError(f"{name} has no {wanted} yet: `keras-transfer models promote {name}@{numbers[-1]}`.")
    if number not in numbers:
        raise InputError(f"{name} has the versions {', '.join(map(str, numbers))}. Received: {reference}.")
    return _version(registry, name, number)


def promote(registry: Registry, reference: str, alias: Alias = "champion") -> Event:
    """Makes a version the champion, or the challenger.

    Returns:
        What stands in the history.

    Raises:
        InputError: there is no such version, or it cannot be written.
    """
    version = find(registry, reference)
    while True:
        events = history(registry, version["name"])
        event = _append(registry, version["name"], events, "promote", alias, version["version"])
        if event is not None:
            return event


def rollback(registry: Registry, name: str, alias: Alias = "champion") -> Event:
    """Gives an alias back to the version that had it before.

    Returns:
        What stands in the history.

    Raises:
        InputError: there is none before.
    """
    while True:
        events = history(registry, name)
        stack = _stacks(events).get(alias, [])
        if len(stack) < 2:
            raise InputError(f"There is no {alias} of {name} before the present one ({stack[0] if stack else 'none'}).")
        event = _append(registry, name, events, "rollback", alias, stack[-2])
        if event is not None:
            return event


def _append(
    registry: Registry,
    name: str,
    events: Sequence[Event],
    action: Literal["promote", "rollback"],
    alias: Alias,
    version: int,
) -> Event | None:
    """Writes the next event; None where another process was first, and what it wrote must be read."""
    number = events[-1]["number"] + 1 if events else 1
    before = aliases(events).get(alias)
    record = {
        "number": number, "action": action, "alias": alias, "version": version, "before": before,
        "at": _now(), "by": _user(),
    }  # fmt: skip
    created = registry.store.create(f"{name}/history/{number}.json", _seal(record))
    return _event(registry, name, number) if created else None


def open_version(registry: Registry, reference: str) -> Path:
    """The run of a version as a local folder: in the registry itself, or fetched into the cache and checked.

    Raises:
        InputError: there is no such version, or a file that was fetched is damaged.
    """
    version = find(registry, reference)
    if isinstance(registry.store, LocalStore):
        return registry.store.root / _place(version["name"], version["id"])
    folder = cache_folder() / "registry" / version["id"]
    for path, entry in version["files"].items():
        with suppress(InputError):
            if hashlib.sha256(read_file(folder / path)).hexdigest() == entry["sha256"]:
                continue
        content = registry.store.read(_place(version["name"], version["id"], path))
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise InputError(f"{path} of {reference} is damaged in {registry.place}: roll back, and add the run again.")
        write_bytes(folder / path, content)
    return folder


def verify(registry: Registry, names: Sequence[str] = ()) -> list[str]:
    """Reads every record and every file, and says what is not as it was added.

    Args:
        registry: which.
        names: only these; by default all.

    Returns:
        One sentence for each problem.
    """
    return [problem for name in names or registry.names() for problem in _problems(registry, name)]


def _problems(registry: Registry, name: str) -> Iterable[str]:
    records: dict[str, list[int]] = {}
    for kind in ("versions", "history"):
        records[kind] = _numbers(registry, name, kind)
        for number in sorted(set(range(1, max(records[kind], default=0))) - set(records[kind])):
            yield f"{name}/{kind}/{number}.json is missing"
    if not records["versions"]:
        yield f"{name} has no versions"
    for number in records["history"]:
        try:
            event = _event(registry, name, number)
        except InputError as error:
            yield str(error)
            continue
        if event["version"] not in records["versions"]:
            yield f"{name}@{event['version']} was promoted and is missing"
    for number in records["versions"]:
        try:
            version = _version(registry, name, number)
        except InputError as error:
            yield str(error)
            continue
        for path, entry in version["files"].items():
            try:
                content = registry.store.read(_place(name, version["id"], path))
            except InputError as error:
                yield f"{name}@{number}: {error}"
                continue
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                yield f"{name}@{number}: {path} has changed since it was added"


def _place(name: str, content_id: str, path: str = "") -> str:
    return f"{name}/runs/{content_id[:16]}/{path}".rstrip("/")


def _numbers(registry: Registry, name: str, kind: str) -> list[int]:
    """The numbers of a name's records."""
    names = registry.store.names(f"{name}/{kind}") if _NAME.fullmatch(name) else []
    return sorted(int(match[1]) for each in names if (match := re.fullmatch(r"([1-9]\d{0,8})\.json", each)))


def _files_of(run: Path) -> dict[str, FileEntry]:
    """The files of a run that are kept, by their paths in it."""
    files = {}
    for path in sorted(run.rglob("*")):
        parts = path.relative_to(run).parts
        if parts[0] in _LEFT_OUT or any(part[0] == "." for part in parts) or not path.is_file():
            continue
        content = read_file(path)
        files["/".join(parts)] = FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    return files


def _canonical(value: object) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _hash_of(value: object) -> str:
    return hashlib.sha256(_canonical(value)).hexdigest()


def _seal(record: Mapping[str, object]) -> bytes:
    return _canonical({**record, "seal": _hash_of(record)})


def _unsealed(registry: Registry, path: str) -> Mapping[str, object]:
    """A record as it was written.

    Raises:
        InputError: a byte of it has changed.
    """
    content = registry.store.read(path)
    with suppress(ValueError, TypeError, AttributeError):
        record: dict[str, object] = json.loads(content)
        if content == _seal({key: value for key, value in record.items() if key != "seal"}):
            return record
    raise InputError(f"{registry.place}/{path} has changed since it was written: take it from a backup.")


def _version(registry: Registry, name: str, number: int) -> Version:
    """The record of a version, which names no file outside of its folder.

    Raises:
        InputError: it has changed, or is another's.
    """
    path = f"{name}/versions/{number}.json"
    version = cast(Version, _unsealed(registry, path))
    own = (version.get("name"), version.get("version"), version.get("id")) == (name, number, _hash_of(version["files"]))
    if not own or any({"", ".", ".."} & set(file.split("/")) for file in version["files"]):
        raise InputError(f"{registry.place}/{path} is no record of {name}@{number}: take it from a backup.")
    return version


def _event(registry: Registry, name: str, number: int) -> Event:
    return cast(Event, _unsealed(registry, f"{name}/history/{number}.json"))


def _items(run: Path) -> dict[str, tuple[str, str]]:
    """The items in use of a run: SHA-256 -> class and split."""
    try:
        rows = csv.DictReader(io.StringIO(read_file(run / "data.csv").decode()))
        return {
            row["sha256"]: (row.get("class") or row.get("labels") or "", row["split"])
            for row in rows
            if row["split"] and not row["problem"]
        }
    except (InputError, KeyError, csv.Error, UnicodeError):
        return {}


def _data_entry(run: Path) -> DataEntry:
    items = _items(run)
    return DataEntry(items=len(items), sha256=_hash_of(sorted((key, *value) for key, value in items.items())))


def _parent(registry: Registry, known: Sequence[Version], parent: str | None, base: str | None) -> Version | None:
    """The version that a new one follows: the one named, or the one whose run its run was made from."""
    if parent is not None:
        return find(registry, parent)
    if base is None or not (Path(base) / "result.json").is_file():
        return None
    base_id = _hash_of(_files_of(Path(base)))
    return next((version for version in known if version["id"] == base_id), None)


def _lineage(registry: Registry, run: Path, parent: Version | None, base: str | None) -> Lineage:
    if parent is None:
        return Lineage(parent=None, base=base, items_added=0, items_removed=0, recipe_changes=[])
    reference = f"{parent['name']}@{parent['version']}"
    folder = open_version(registry, reference)
    now, before = _items(run).keys(), _items(folder).keys()
    recipes = [make_recipe(place / "recipe.yaml") for place in (run, folder)]
    return Lineage(
        parent=reference,
        base=base,
        items_added=len(now - before),
        items_removed=len(before - now),
        recipe_changes=differences(*recipes),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # nobody's name is known to the system
        return ""
