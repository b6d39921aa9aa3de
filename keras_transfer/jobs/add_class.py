"""A finished run with one class more, from a few examples: its last layer gets a column, and nothing is trained."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.unlabelled import list_unlabelled
from keras_transfer.errors import InputError
from keras_transfer.files import write_text
from keras_transfer.inputs import Array, InputSpec, Labels
from keras_transfer.jobs.finish import Clock, RunFacts, ScoredSteps, calibrate, finish, save_run_model
from keras_transfer.jobs.parts import check_files, load_data
from keras_transfer.jobs.renew import ARRANGED, ITEMS
from keras_transfer.modalities import open_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.run import begin, beside, open_run, read_run
from keras_transfer.schemas import N_ITEMS, AddedClass, OtherClasses, Result

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split
    from keras_transfer.training.linear import LinearHead

_PER_CLASS = 50  # training items of each other class that the new one is told from
_HELD, _MOST_HELD = 300, 1000  # others by which its bias is chosen
_MANY = 20  # examples from which training anew serves better
_TOLERATED, _DOUBT = 0.02, 0.05  # accuracy that the other classes may lose on test
_Row = dict[str, str]  # of `data.csv`


def add_class(
    folder: str | Path,
    name: str,
    files: Sequence[str | Path],
    out: str | Path | None = None,
    *,
    data: str | None = None,
) -> Result:
    """Writes another run, whose model knows one class more than a finished run's, from 1 to some 20 examples.

    The features that the last layer reads stay as they are, and so do the weights of the other classes. Only the new
    class's column is fitted (`training.linear.add_output`), in seconds. Files, proofs and report are made anew.

    Args:
        folder: the run; it is left as it is.
        name: the new class.
        files: its examples: files, or folders of them; of texts also tables.
        out: the new run directory, which must not hold anything; by default beside the run, with the class's name.
        data: where the run's own items are now, if they have moved.

    Returns:
        What stands in `OUT/result.json`, with `added`.

    Raises:
        InputError: no finished run, its model cannot take a class, the run has the class already, none of the files can
            be used, or `out` is not empty.
        GateError: all is written, but a file fell below its tolerance, or the other classes lost too much.
    """
    from keras_transfer.litert import warm_up

    folder = Path(folder)
    recipe, result = read_run(folder, data=data)
    name = _checked(name, result["classes"])
    out = Path(out) if out is not None else beside(folder, "-".join(name.split()).replace("/", "-"))
    if (out / "environment.json").exists():
        raise InputError(f"{out} holds a run already: choose another --out.")
    check_files(recipe)
    warm_up()  # the converter's process starts meanwhile
    parent = _open(folder, result)
    own = _own_rows(folder, recipe, data is not None)
    examples, notes = _examples(files, parent.inputs, own, name)
    recipe = recipe.replace(
        base=str(folder.absolute()),
        data=str((out / ITEMS).absolute()),
        class_names=(*result["classes"], name),
        baselines="none",
        **dict.fromkeys((*ARRANGED, "few_shot")),
    )
    with open_run(out, recipe) as run:
        clock = Clock(run)
        with clock.part("data"):
            write_text(run / ITEMS, _table([*own, *examples]))
            joined = open_modality(parent.inputs.modality).load(recipe, parent.inputs.preparation)
            _compare(folder, own, joined)
            joined.write_csv(run / "data.csv")
        begin(run, recipe)
        with clock.part("class"):
            model, figures = _fit(parent, name, joined)
        return _finish(run, recipe, joined, model, clock, parent, figures, notes)


@dataclass(frozen=True)
class _Parent:
    """The run that gets a class: its model, the last layer of it, and what the model takes."""

    result: Result
    model: "keras.Model"
    head: "LinearHead"
    inputs: InputSpec


def _checked(name: str, known: Sequence[str]) -> str:
    """The name of the new class, without spaces around it."""
    name = " ".join(name.split())
    if not name:
        raise InputError("The new class needs a name.")
    for other in known:
        if other.casefold() == name.casefold():
            raise InputError(
                f"The run has a class {other!r} already: `keras-transfer retrain RUN --add FOLDER` trains it further. "
                f"Received: {name!r}."
            )
    return name


def _open(folder: Path, result: Result) -> _Parent:
    from keras_transfer.evaluation import load_keras
    from keras_transfer.models import read_inputs

    model, inputs = load_keras(folder / "model.keras"), read_inputs(folder / "model.keras")
    if inputs is None:
        raise InputError(f"{folder} is of an earlier release, whose models do not say what they take: train it anew.")
    return _Parent(result, model, _head(folder, model, len(result["classes"])), inputs)


def _head(folder: Path, model: "keras.Model", classes: int) -> "LinearHead":
    from keras_transfer.models.head import last_dense
    from keras_transfer.training.linear import LinearHead

    found, activation = last_dense(model), model.layers[-1].get_config().get("activation", "softmax")
    if found is None or len(found[1].shape) != 2:
        raise InputError(f"The model of {folder} does not end in a Dense layer on features: train it anew.")
    dense, _ = found
    if activation == "sigmoid" or dense.kernel.shape[1] != classes:
        raise InputError(
            f"The model of {folder} has independent outputs (sigmoid), and a class is added to those that exclude each "
            "other (softmax): train it anew with the new class."
        )
    kernel = np.asarray(dense.kernel, np.float32)
    bias = np.asarray(dense.bias, np.float32) if dense.use_bias else np.zeros(classes, np.float32)
    return LinearHead(kernel, bias, sigmoid=False)


def _own_rows(folder: Path, recipe: Recipe, moved: bool) -> list[_Row]:
    """The run's own items as `data.csv` lists them, where they are now; those left out are missing."""
    text = (folder / "data.csv").read_text(encoding="utf-8")
    source = Path(recipe.data.source)
    if not source.exists() and not source.is_absolute():
        raise InputError(
            f"The items of {folder} are not files ({recipe.data.source}), which another run could name: write them to "
            "class folders, and train on these."
        )
    if moved or not source.exists() or make_recipe(folder / "recipe.yaml").data.source != recipe.data.source:
        found = load_data(recipe, folder)  # raises where they are gone
        paths = {record.sha256: str(record.path.absolute()) for record in found.records}
    else:
        paths = {}
    rows = list(csv.DictReader(io.StringIO(text)))
    return [{**row, "path": paths.get(row["sha256"], row["path"])} for row in rows if row["split"]]


def _examples(
    files: Sequence[str | Path], inputs: InputSpec, own: Sequence[_Row], name: str
) -> tuple[list[_Row], list[str]]:
    """Rows of the new class, to train on; and a sentence on each file that is not used."""
    modality, known = open_modality(inputs.modality), {row["sha256"]: row for row in own}
    reader = modality.reader(inputs.preparation)
    rows: dict[str, _Row] = {}
    notes: list[str] = []
    for file in files:
        try:
            split, problems = list_unlabelled(
                file, reader, lambda each: modality.items_in(Path(each)) or modality.parts(each, inputs)
            )
        except InputError as error:
            notes.append(str(error))
            continue
        notes += problems
        for path, sha256 in zip(split.paths, split.hashes, strict=True):
            if (row := known.get(sha256)) is not None:
                notes.append(f"{path} is in the run's {row['split']} split already, as {row['class']}: not used.")
            elif sha256 not in rows:
                rows[sha256] = {"path": str(path.absolute()), "class": name, "split": "train", "sha256": sha256}
    if not rows:
        why = f": {notes[0]}" if notes else "."
        raise InputError(f"There is no {modality.kind.item} of {name!r} to learn from{why}")
    if len(rows) > _MANY:
        notes.append(f"{len(rows)} examples: from about {_MANY} on, training anew serves better than a class added.")
    for note in notes:
        say(f"Note: {note}")
    return list(rows.values()), notes


def _table(rows: Sequence[_Row]) -> str:
    """The items as a source, with the columns of `data.csv`: their splits are kept."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _compare(folder: Path, own: Sequence[_Row], joined: "Dataset") -> None:
    now = Counter((record.sha256, joined.labels_of(record), record.split) for record in joined.records)
    gone = (Counter((row["sha256"], row["class"], row["split"]) for row in own) - now).total()
    if gone:
        raise InputError(
            f"{gone} of {len(own)} {joined.reader.kind.items} of {folder} are missing or not what they were: say with "
            "--data where those are that it was trained on."
        )


def _fit(parent: _Parent, name: str, data: "Dataset") -> "tuple[keras.Model, AddedClass]":
    """The model with one class more, and what is known of that before the test."""
    from keras_transfer.data.folds import joined
    from keras_transfer.models.head import last_dense, with_last_dense
    from keras_transfer.training.features import feature_rows
    from keras_transfer.training.linear import add_output

    found = last_dense(parent.model)
    assert found is not None
    labels, new = data.train.labels, len(data.class_names) - 1
    few = data.train.take(np.flatnonzero(labels == new))
    train, rest = _parts(labels, new, _HELD - len(data.val))
    val = data.val.stratified(_MOST_HELD) if len(data.val) else data.val
    parts = [few, data.train.take(train), val, data.train.take(rest)]
    rows = feature_rows(parent.model, found[1], joined(parts, "one class more"))
    examples, known, held = np.split(rows, np.cumsum([len(few), len(train)]))
    truth = np.concatenate([np.asarray(val.labels), labels[rest]])
    head, right = add_output(parent.head, known, examples, held, truth)
    figures = AddedClass(name=name, examples=len(few), recognized=right if len(few) > 1 else None)
    return with_last_dense(parent.model, head.kernel, head.bias), figures


def _parts(labels: Labels, classes: int, wanted: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training items to tell a new class from, and about so many others by which its bias is chosen."""
    chance = np.random.default_rng(0)
    own = [chance.permutation(np.flatnonzero(labels == label)) for label in range(classes)]
    cuts = [min(_PER_CLASS, (len(rows) + 1) // 2) for rows in own]
    each = -(-max(0, wanted) // classes)
    train = np.concatenate([rows[:cut] for rows, cut in zip(own, cuts, strict=True)])
    return train, np.concatenate([rows[cut : cut + each] for rows, cut in zip(own, cuts, strict=True)])


def _finish(
    run: Path,
    recipe: Recipe,
    data: "Dataset",
    model: "keras.Model",
    clock: Clock,
    parent: _Parent,
    figures: AddedClass,
    notes: list[str],
) -> Result:
    from keras_transfer.exporters.paired import drop_above

    before = parent.result
    learned = before.get("fitted_to_val", False)
    facts: RunFacts = {
        "strategy": before["strategy"],
        "kept": before["kept"],
        "views": before["views"],
        "phases": before["phases"],
        "base": recipe.base,
        "temperature": calibrate(model, data, learned=learned),
        "fitted_to_val": learned,
        "added": figures,
    }
    save_run_model(run, model, data)
    notes.append(f"{figures['name']} was added from {figures['examples']} examples; nothing else was trained.")

    def judged(test: "Split", probabilities: Array) -> ScoredSteps:
        others = figures["others"] = _judge(data, test, probabilities)
        if drop_above(others["lost"], 0, others[N_ITEMS], _TOLERATED) >= _DOUBT:
            return ScoredSteps([])
        problem = (
            f"{figures['name']} took {others['lost']} of {others[N_ITEMS]} test items that were right, over "
            f"{_TOLERATED:.0%}: it looks too much like another class. Train anew with more examples."
        )
        return ScoredSteps([], [problem])

    result = finish(run, recipe, data, model, clock, facts, notes=notes, steps=judged)
    say(f"All of it is in {run}/")
    return result


def _judge(data: "Dataset", test: "Split", probabilities: Array) -> OtherClasses:
    """What the class cost the others on the test split: without its column the model answers as it did before."""
    from keras_transfer.data.folds import item_groups
    from keras_transfer.evaluation.intervals import paired_difference

    before, after = (answers.argmax(axis=1) == test.labels for answers in (probabilities[:, :-1], probabilities))
    return {
        N_ITEMS: len(test),
        "before": float(before.mean()),
        "after": float(after.mean()),
        "lost": int((before & ~after).sum()),
        "difference": paired_difference(after, before, item_groups(data, test)),
    }


def said(added: AddedClass) -> str:
    """The figures as sentences."""
    others = added["others"]
    change, low, high = (100 * others["difference"][part] for part in ("value", "low", "high"))
    known = f", of which {added['recognized']} are recognized when left out" if added["recognized"] is not None else ""
    return (
        f"{added['name']}: {added['examples']} examples{known}. The other classes' test items: {others['before']:.1%} "
        f"right before, {others['after']:.1%} now ({change:+.1f} points, 95% interval {low:+.1f} to {high:+.1f})."
    )
