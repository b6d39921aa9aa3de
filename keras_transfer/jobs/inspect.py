"""A look at a data set before anything is trained on it: what is broken, double, leaking, mislabelled or strange."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from keras_transfer.files import write_json, write_text
from keras_transfer.jobs.audition import choose_backbone
from keras_transfer.jobs.parts import build_classifier_of, frozen_features
from keras_transfer.modalities import open_modality, recipe_modality, settled
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.schemas import (
    N_ITEMS,
    BrokenFile,
    Group,
    InspectedItem,
    Inspection,
    ItemView,
    Outlier,
    StageShift,
    Suspect,
)

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset, Record
    from keras_transfer.data.split import Split

_SUSPECTS, _OUTLIERS = 48, 16  # how many the page shows


def inspect_data(recipe: Recipe, out: str | Path) -> Inspection:
    """Looks at a data set and writes `inspection.html`, `inspection.json` and `corrected.csv`.

    Labels are judged by a linear probe on the recipe's frozen backbone that was fitted on the other items; by the
    bundled backbone's where the weights must be downloaded and cannot be. `corrected.csv` lists every file with the
    label that is probably right; where that is another one, the columns `given` and `suspicion` say so. It can be
    used by `train` as it is, or after a person has looked at it.

    Args:
        recipe: `data`, `model` and `seed` are used.
        out: the folder to write to.

    Returns:
        What stands in `inspection.json`.

    Raises:
        InputError: the data cannot be read at all, or a weights file is wrong.
    """
    from keras_transfer.data.folds import item_groups, joined
    from keras_transfer.models.batchnorm import batchnorm_shift
    from keras_transfer.report import inspection_html
    from keras_transfer.report.page import GROUPS, IN_GROUP

    out, recipe = Path(out), settled(recipe)
    data = recipe_modality(recipe).load(recipe.replace(val=0, test=0, allow_bad=True))
    recipe, data, _ = choose_backbone(recipe, data)
    splits = [split for split in (data.train, data.val, data.test) if len(split)]
    where = {record.path: i for i, record in enumerate(data.records) if record.split}
    order = [where[path] for split in splits for path in split.paths]
    whole = joined(splits)
    recipe, features = _features(recipe, data, splits)
    judged = _judged(np.concatenate(features), whole.labels, item_groups(data, whole), order, data)
    stages = batchnorm_shift(build_classifier_of(recipe, data), whole) if recipe.model.pretrained else []
    inspection = _inspection(recipe, data, judged, cast(list[StageShift], stages))
    shown = {row["index"] for row in (*judged.suspects[:_SUSPECTS], *judged.outliers)}
    shown |= {row["index"] for group in inspection["groups"][:GROUPS] for row in group[N_ITEMS][:IN_GROUP]}
    _write_corrected(out / "corrected.csv", data, judged.figures)
    write_json(out / "inspection.json", inspection)
    write_text(out / "inspection.html", inspection_html(inspection, _previews(data, sorted(shown))))
    return inspection


class _Judged(NamedTuple):
    """What a probe says of the labels."""

    accuracy: float | None
    error_rate: float
    suspects: list[Suspect]
    outliers: list[Outlier]
    figures: dict[int, tuple[float, list[str] | None]]  # item -> suspicion, and the labels that are probably right


def _inspection(recipe: Recipe, data: "Dataset", judged: _Judged, stages: Sequence[StageShift]) -> Inspection:
    used = [record for record in data.records if record.split]
    groups = sorted((_group(members, data) for members in data.similar), key=lambda g: (-g["rank"], -g["count"]))
    inspection: Inspection = {
        "format": 1,
        "data": Path(recipe.data.source).name or recipe.data.source,
        "backbone": recipe.backbone,
        "weights": recipe.model.weights,
        "multi_label": data.multi_label,
        "classes": _counts(data),
        N_ITEMS: dict(Counter(record.split or "left out" for record in data.records)),
        "broken": _broken(data),
        "groups": groups,
        "leaks": sum(group["leak"] for group in groups),
        "clashes": sum(group["clash"] for group in groups),
        "warnings": data.warnings,
        "probe_accuracy": judged.accuracy,
        "label_error_rate": judged.error_rate,
        "suspects": judged.suspects[:_SUSPECTS],
        "suspect_count": len(judged.suspects),
        "outliers": judged.outliers,
        "stages": stages,
    }
    summary = open_modality(data.train.preparer.modality).summarize(used)
    return cast(Inspection, {**inspection, **summary})  # beside its fields stand those of the modality


def _features(recipe: Recipe, data: "Dataset", splits: "Sequence[Split]") -> tuple[Recipe, list[NDArray[np.float32]]]:
    """`frozen_features`, and the recipe they are of: without a network the bundled backbone's, which is said."""
    from keras_transfer.models.download import WeightsUnreachable

    try:
        return recipe, frozen_features(recipe, data, splits)
    except WeightsUnreachable as error:
        offline = open_modality(data.train.preparer.modality).offline(recipe)
        if offline is None:
            raise
        data.warnings.append(
            f"The pretrained weights of {recipe.backbone} cannot be downloaded ({error.reason}): labels and "
            "outliers are judged by the small backbone bundled with this package, which knows less."
        )
    say(f"Note: {data.warnings[-1]}")
    return offline, frozen_features(offline, data, splits)


def _counts(data: "Dataset") -> dict[str, dict[str, int]]:
    """Items by class and split."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in data.class_names}
    for record in data.records:
        for name in _names(record, data):
            counts[name][record.split or "left out"] += 1
    return {name: dict(count) for name, count in counts.items()}


def _broken(data: "Dataset") -> list[BrokenFile]:
    """Unusable files that are not copies of others."""
    alike = {i for group in data.similar for i in group}
    return [
        {"file": _short(record.path), "problem": record.problem}
        for i, record in enumerate(data.records)
        if record.problem and i not in alike
    ]


def _group(members: Sequence[int], data: "Dataset") -> Group:
    records = [data.records[i] for i in members]
    clash = len({record.label for record in records}) > 1
    leak = any("duplicate of" in record.problem for record in records)
    exact = len({record.sha256 for record in records}) == 1
    return {
        "count": len(members),
        "exact": exact,
        "leak": leak,
        "clash": clash,
        "rank": 2 * clash + leak,
        N_ITEMS: [_item(i, data) for i in members],
    }


def _item(index: int, data: "Dataset") -> InspectedItem:
    record = data.records[index]
    return {
        "index": index,
        "file": _short(record.path),
        "labels": _names(record, data),
        "split": record.split,
        "problem": record.problem,
    }


def _judged(
    rows: NDArray[np.float32],
    labels: NDArray[np.generic],
    groups: NDArray[np.int64],
    order: Sequence[int],
    data: "Dataset",
) -> _Judged:
    """Suspect labels and outliers, by the features of all items in use."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation.label_errors import label_suspicion, remoteness
    from keras_transfer.training.probe import out_of_fold

    answers = out_of_fold(rows, labels, groups, len(data.class_names))
    suspicion, better, rate = label_suspicion(labels, answers)
    suspects: list[Suspect] = []
    figures: dict[int, tuple[float, list[str] | None]] = {}
    for place in np.argsort(-suspicion, kind="stable"):
        index, column, value = order[place], int(better[place]), float(suspicion[place])
        suggested = _suggested(data.records[index], column, data) if column >= 0 else None
        figures[index] = value, suggested
        if suggested is not None:
            probability = float(answers[place, column])
            suspects.append(
                {**_item(index, data), "suggested": suggested, "suspicion": value, "probability": probability}
            )
    far = remoteness(rows)
    middle = float(np.median(far))
    spread = 1.4826 * float(np.median(np.abs(far - middle))) or 1.0
    outliers: list[Outlier] = [
        {**_item(order[place], data), "deviations": float((far[place] - middle) / spread)}
        for place in np.argsort(-far, kind="stable")[:_OUTLIERS]
        if far[place] > middle + 3 * spread
    ]
    accuracy = float(correct(labels, answers).mean()) if labels.ndim == 1 else None
    return _Judged(accuracy, rate, suspects, outliers, figures)


def _suggested(record: "Record", column: int, data: "Dataset") -> list[str]:
    if not data.multi_label:
        return [data.class_names[column]]
    held = set(_columns(record)) ^ {column}
    return [data.class_names[i] for i in sorted(held)]


def _write_corrected(path: Path, data: "Dataset", figures: Mapping[int, tuple[float, list[str] | None]]) -> None:
    """Every usable file with its probable label; `given` has its own label where that is another one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "labels" if data.multi_label else "class", "split", "given", "suspicion", "problem"])
    own = len({record.split for record in data.records if record.split}) > 1
    for index, record in enumerate(data.records):
        suspicion, better = figures.get(index, (None, None))
        given = "|".join(_names(record, data))
        row = [record.path.absolute(), "|".join(better) if better is not None else given, record.split if own else ""]
        row += [given if better is not None else "", "" if suspicion is None else f"{suspicion:.4f}", record.problem]
        if not record.problem:
            writer.writerow(row)
    write_text(path, text.getvalue())


def _names(record: "Record", data: "Dataset") -> list[str]:
    return [data.class_names[i] for i in _columns(record)]


def _columns(record: "Record") -> tuple[int, ...]:
    """The labels of an item, none, one or several."""
    label = record.label
    return () if label is None else (label,) if isinstance(label, int) else label


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _previews(data: "Dataset", indices: Sequence[int]) -> dict[int, ItemView]:
    """How some records are shown, by their index."""
    from keras_transfer.data.unlabelled import split_of_files

    records = [data.records[index] for index in indices]
    paths, hashes = [record.path for record in records], [record.sha256 for record in records]
    items = split_of_files("shown", paths, hashes, data.reader)
    pictures = open_modality(items.preparer.modality).previews(items, range(len(items)))
    return {indices[place]: picture for place, picture in pictures.items()}
