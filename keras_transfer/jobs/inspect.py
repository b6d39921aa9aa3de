"""A look at a data set before anything is trained on it: what is broken, double, leaking, mislabelled or strange."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.files import write_json, write_text
from keras_transfer.jobs.parts import build_classifier_of, frozen_features
from keras_transfer.modalities import open_modality, recipe_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    from keras_transfer.data.dataset import Dataset

_SUSPECTS, _OUTLIERS = 48, 16  # how many the page shows


def inspect_data(recipe: Recipe, out: str | Path) -> dict[str, Any]:
    """Looks at a data set and writes `inspection.html`, `inspection.json` and `corrected.csv`.

    Labels are judged by what a linear probe on the recipe's frozen backbone says of each photograph when it was fitted
    on the others; the bundled backbone's where the weights must be downloaded and cannot be. `corrected.csv` lists
    every file with the label that is probably right; what differs says so in the columns `given` and `suspicion`. It
    can be given to `train` as it is, or after a person has looked at it.

    Args:
        recipe: `data`, its layout, `backbone`, `alpha`, `weights`, `image_size` and `seed` are read.
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

    out = Path(out)
    data = recipe_modality(recipe).load(recipe.replace(val=0, test=0, allow_bad=True))
    modality = open_modality(data.train.preparer.modality)
    found = _listed(recipe, data) | modality.summarize([record for record in data.records if record.split])
    splits = [split for split in (data.train, data.val, data.test) if len(split)]
    where = {record.path: i for i, record in enumerate(data.records) if record.split}
    order = [where[path] for split in splits for path in split.paths]
    whole = joined(splits)
    labels, groups = whole.labels, item_groups(data, whole)
    recipe, features = _features(recipe, data, splits)
    rows = np.concatenate(features)
    found |= {"backbone": recipe.model.backbone, "weights": recipe.model.weights, "warnings": data.warnings}
    found |= _judged(rows, labels, groups, order, data)
    found["stages"] = [] if not recipe.model.pretrained else batchnorm_shift(build_classifier_of(recipe, data), whole)
    shown = {row["index"] for kind in ("suspects", "outliers") for row in found[kind]}
    shown |= {row["index"] for group in found["groups"][:GROUPS] for row in group["images"][:IN_GROUP]}
    pictures = _thumbnails(data, sorted(shown))
    _write_corrected(out / "corrected.csv", data, found["suspicion"])
    found = {key: value for key, value in found.items() if key != "suspicion"}
    write_json(out / "inspection.json", found)
    write_text(out / "inspection.html", inspection_html(found, pictures))
    return found


def _features(recipe: Recipe, data: "Dataset", splits: Sequence[Any]) -> tuple[Recipe, list[Any]]:
    """`frozen_features`, and the recipe they are of: without a network the bundled backbone's, which is said."""
    from keras_transfer.models import bundled
    from keras_transfer.models.weights import WeightsUnreachable

    try:
        return recipe, frozen_features(recipe, data, splits)
    except WeightsUnreachable as error:
        data.warnings.append(
            f"The ImageNet weights of {recipe.model.backbone} cannot be downloaded ({error.reason}): labels and "
            "outliers are judged by the small backbone bundled with this package, which knows less."
        )
    say(f"Note: {data.warnings[-1]}")
    size = max(recipe.model.image_size, bundled.MIN_SIZE) if recipe.model.image_size is not None else None
    recipe = recipe.replace(backbone=bundled.BACKBONE, alpha=bundled.ALPHA, weights="bundled", image_size=size)
    return recipe, frozen_features(recipe, data, splits)


def _listed(recipe: Recipe, data: "Dataset") -> dict[str, Any]:
    """What the files alone tell: counts, broken files, groups of like pictures."""
    records = data.records
    counts: dict[str, Counter[str]] = {name: Counter() for name in data.class_names}
    for record in records:
        for name in _names(record, data):
            counts[name][record.split or "left out"] += 1
    alike = {i for group in data.similar for i in group}
    broken = [
        {"file": _short(record.path), "problem": record.problem}
        for i, record in enumerate(records)
        if record.problem and i not in alike
    ]
    groups = sorted((_group(members, data) for members in data.similar), key=lambda g: (-g["rank"], -g["count"]))
    return {
        "format": 1,
        "data": Path(recipe.data.source).name or recipe.data.source,
        "backbone": recipe.model.backbone,
        "weights": recipe.model.weights,
        "multi_label": data.multi_label,
        "classes": {name: dict(count) for name, count in counts.items()},
        "images": dict(Counter(record.split or "left out" for record in records)),
        "broken": broken,
        "groups": groups,
        "leaks": sum(group["leak"] for group in groups),
        "clashes": sum(group["clash"] for group in groups),
        "warnings": data.warnings,
    }


def _group(members: Sequence[int], data: "Dataset") -> dict[str, Any]:
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
        "images": [_image(i, data) for i in members],
    }


def _image(index: int, data: "Dataset") -> dict[str, Any]:
    record = data.records[index]
    return {
        "index": index,
        "file": _short(record.path),
        "labels": _names(record, data),
        "split": record.split,
        "problem": record.problem,
    }


def _judged(
    rows: np.ndarray, labels: np.ndarray, groups: np.ndarray, order: Sequence[int], data: "Dataset"
) -> dict[str, Any]:
    """Suspect labels and outliers; `suspicion` has the figures of every photograph in use."""
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation.label_errors import label_suspicion, remoteness
    from keras_transfer.training.probe import out_of_fold

    answers = out_of_fold(rows, labels, groups, len(data.class_names))
    suspicion, better, rate = label_suspicion(labels, answers)
    suspects, figures = [], {}
    for place in np.argsort(-suspicion, kind="stable"):
        index, column = order[place], int(better[place])
        suggested = _suggested(data.records[index], column, data) if column >= 0 else None
        figures[index] = float(suspicion[place]), suggested
        if suggested is not None:
            sure = {"suspicion": float(suspicion[place]), "probability": float(answers[place, column])}
            suspects.append({**_image(index, data), "suggested": suggested, **sure})
    far = remoteness(rows)
    middle = float(np.median(far))
    spread = 1.4826 * float(np.median(np.abs(far - middle))) or 1.0
    outliers = [
        {**_image(order[place], data), "deviations": float((far[place] - middle) / spread)}
        for place in np.argsort(-far, kind="stable")[:_OUTLIERS]
        if far[place] > middle + 3 * spread
    ]
    right = correct(labels, answers) if labels.ndim == 1 else None
    return {
        "probe_accuracy": float(right.mean()) if right is not None else None,
        "label_error_rate": rate,
        "suspects": suspects[:_SUSPECTS],
        "suspect_count": len(suspects),
        "outliers": outliers,
        "suspicion": figures,
    }


def _suggested(record: Any, column: int, data: "Dataset") -> list[str]:
    if not data.multi_label:
        return [data.class_names[column]]
    held = set(record.label) ^ {column}
    return [data.class_names[i] for i in sorted(held)]


def _write_corrected(path: Path, data: "Dataset", figures: dict[int, tuple[float, list[str] | None]]) -> None:
    """Every usable file with its probable label; `given` is filled where that is another than it had."""
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


def _names(record: Any, data: "Dataset") -> list[str]:
    label = record.label
    indices: Iterable[int] = () if label is None else (label,) if isinstance(label, int) else label
    return [data.class_names[i] for i in indices]


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _thumbnails(data: "Dataset", indices: Sequence[int]) -> dict[int, str]:
    """Thumbnails of some records, by their index."""
    from keras_transfer.data.unlabelled import split_of_files

    records = [data.records[index] for index in indices]
    paths, hashes = [record.path for record in records], [record.sha256 for record in records]
    items = split_of_files("shown", paths, hashes, data.reader)
    pictures = open_modality(items.preparer.modality).thumbnails(items, range(len(items)))
    return {indices[place]: picture for place, picture in pictures.items()}
