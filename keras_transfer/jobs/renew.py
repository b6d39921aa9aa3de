"""A run trained further on new labelled items beside its own: a challenger, and whether it may replace the champion."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import TypedDict

from keras_transfer.data.listing import Layout
from keras_transfer.errors import GateError, InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.inputs import Array, Labels
from keras_transfer.jobs.finish import Clock, RunFacts, calibrate, finish, phase_entry, save_run_model
from keras_transfer.jobs.parts import check_files, epoch_recorder, fit_recipe, load_data, plan_of, write_history
from keras_transfer.jobs.shift import open_run_model
from keras_transfer.modalities import open_modality
from keras_transfer.recipe import Recipe
from keras_transfer.run import begin, command_line, open_run

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset

ITEMS, VERDICT = "items.csv", "retrain.json"
MARGIN = 0.03
"""Accuracy on the old test items that a challenger may lose; two points take a thousand items to rule out."""
TEST = 0.4
"""Share of the new items that is tested on: they are few, and it takes many to see that something is better."""
_DOUBT = 0.05
# What the table says itself.
ARRANGED = ("group_by", "root", "path_column", "label_column", "classes_at_depth", "text_column", "background")


class Side(TypedDict):
    """Champion and challenger on the same test items; `p` is of the hypothesis that speaks against promoting."""

    items: int
    champion: float
    challenger: float
    lost: int  # items that only the champion answers right
    gained: int
    p: float


class Retraining(TypedDict):
    """`RUN/retrain.json`."""

    base: str
    added: str
    margin: float
    old: Side
    new: Side
    promote: bool
    reasons: list[str]  # why not


def retrain_run(
    folder: str | Path,
    out: str | Path,
    added: str,
    *,
    data: str | None = None,
    layout: Layout | None = None,
    margin: float = MARGIN,
) -> Retraining:
    """Trains a finished run further on its own items and new ones, and judges what came of it.

    The new items are split by their content, so that each stays where it is when others come later. The run's test
    items stay its test; none of the new ones that is equal or nearly equal to one of them is trained on. Training
    begins with the champion's weights, and all old training items are seen again.

    Args:
        folder: the champion's run directory; it is left as it is.
        out: the challenger's, which must not hold anything.
        added: labelled items of the run's classes.
        data: where the run's own items are now, if they have moved.
        layout: how the new items are arranged, where that is said.
        margin: accuracy on the old test items that may be lost, over 0 to 1.

    Returns:
        What stands in `OUT/retrain.json`.

    Raises:
        InputError: no finished run, no such items, classes that the run does not have, or `out` is not empty.
    """
    folder, out = Path(folder), Path(out)
    if not 0 < margin <= 1:
        raise InputError(f"`margin` (--margin) must be over 0 and at most 1. Received: {margin}.")
    if out.is_dir() and any(file.name[0] != "." for file in out.iterdir()):
        raise InputError(f"{out} is not empty: choose another --out.")
    base = open_run_model(folder, data)
    check_files(base.recipe)
    new = _labelled(added, base.data, base.recipe.seed, layout)
    arranged = dict.fromkeys(ARRANGED)
    recipe = base.recipe.replace(base=str(folder.absolute()), data=str((out / ITEMS).absolute()), **arranged)
    with open_run(out, recipe) as run:
        from keras_transfer.evaluation import predict_split

        clock = Clock(run)
        write_text(run / ITEMS, _table(base.data, new))
        joined = load_data(recipe, run).prepared_by(base.data.train.preparer)
        begin(run, recipe)
        champion = predict_split(base.model, joined.test)
        facts, notes = _train_on(base.model, joined, recipe, run, clock)
        problem = None
        try:
            finish(run, recipe, joined, base.model, clock, facts, notes=notes)
        except GateError as error:
            problem = str(error)
        challenger = predict_split(base.model, joined.test)
        old = np.isin(joined.test.hashes, base.data.test.hashes)
        verdict = _judge(joined.test.labels, champion, challenger, old, margin) | {"base": str(folder), "added": added}
        if problem is not None:
            verdict = {**verdict, "promote": False, "reasons": [*verdict["reasons"], problem]}
        write_json(run / VERDICT, verdict)
        return verdict


def _train_on(
    model: "keras.Model", data: "Dataset", recipe: Recipe, run: Path, clock: Clock
) -> tuple[RunFacts, list[str]]:
    """Trains a model further, by the recipe that it was trained by, and saves it; also what there is to remark."""
    plan = plan_of(recipe, model, data)
    with clock.part("training"):
        history = fit_recipe(model, data, recipe, plan, run / "checkpoints", epoch_recorder(run, plan.phases))
        write_history(run, history.rows)
        learned = history.held_out is not None
        temperature = calibrate(model, data, history.held_out, learned=learned)
    save_run_model(run, model, data)
    facts: RunFacts = {
        "strategy": history.strategy,
        "kept": history.kept,
        "views": history.views,
        "phases": [phase_entry(phase.name, phase.rows, phase.val_accuracy) for phase in history.phases],
        "base": recipe.base,
        "temperature": temperature,
        "fitted_to_val": learned,
    }
    return facts, list(history.remarks)


def _labelled(added: str, own: "Dataset", seed: int, layout: Layout | None) -> "Dataset":
    """The new items with splits, and with the run's classes."""
    preparer = own.train.preparer
    modality = open_modality(preparer.modality)
    new = modality.load_items(
        added, layout=layout or Layout(), preparation=preparer.settings, val=0.15, test=TEST, seed=seed
    )
    unknown = [name for name in new.class_names if name not in own.class_names]
    if unknown:
        raise InputError(
            f"{added} has classes that the run has not: {', '.join(unknown[:5])}. Leave them out, or train anew."
        )
    return new


def _table(own: "Dataset", new: "Dataset") -> str:
    """The items of both that can be used, as a source: their splits are kept."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "labels" if own.multi_label else "class", "split"])
    known = {record.sha256 for record in own.records if record.split}
    for data in (own, new):
        for record in data.records:
            if record.split and (data is own or record.sha256 not in known):
                writer.writerow([record.path.absolute(), data.labels_of(record), record.split])
    return text.getvalue()


def _judge(labels: Labels, champion: Array, challenger: Array, old: Array, margin: float) -> Retraining:
    """Not worse on the old items, better on the new: both beyond doubt, or the champion stays."""
    from keras_transfer.exporters.paired import drop_above, drop_below

    def side(rows: Array, better: bool) -> Side:
        from keras_transfer.decisions import correct

        before, after = (correct(labels[rows], answers[rows]) for answers in (champion, challenger))
        n_items, lost, gained = len(before), int((before & ~after).sum()), int((after & ~before).sum())
        p = 1.0
        if n_items:
            p = drop_above(gained, lost, n_items, 0.0) if better else drop_below(lost, gained, n_items, margin)
        shares = [float(right.mean()) if n_items else 0.0 for right in (before, after)]
        return Side(items=n_items, champion=shares[0], challenger=shares[1], lost=lost, gained=gained, p=round(p, 4))

    kept, gain = side(old, False), side(~old, True)
    reasons = []
    if kept["p"] >= _DOUBT:
        reasons.append(_said("old", kept, f"a loss of {100 * margin:g} points or more cannot be ruled out"))
    if gain["p"] >= _DOUBT:
        reasons.append(_said("new", gain, "it is not better beyond doubt"))
    return {
        "base": "", "added": "", "margin": margin, "old": kept, "new": gain, "promote": not reasons, "reasons": reasons
    }  # fmt: skip


def _said(kind: str, side: Side, what: str) -> str:
    shares = f"{side['champion']:.1%} right before, {side['challenger']:.1%} now"
    return f"On the {side['items']} {kind} test items ({shares}) {what} (p = {side['p']:.2f})."


def schedule(words: Sequence[object]) -> str:
    """What repeats a command each week: for cron, for systemd, and as a workflow of GitHub.

    Args:
        words: of the command.

    >>> print(schedule(["retrain", "RUN", "--add", "log/labelled/"]).splitlines()[1])
    0 3 * * 1  cd "$HOME/PROJECT" && keras-transfer retrain RUN --add log/labelled/
    """
    command = command_line(*words)
    return f"""# crontab -e
0 3 * * 1  cd "$HOME/PROJECT" && {command}

# ~/.config/systemd/user/retrain.service, and a retrain.timer beside it; systemctl --user enable --now retrain.timer
[Service]
Type=oneshot
WorkingDirectory=%h/PROJECT
ExecStart=/usr/bin/env {command}

[Timer]
OnCalendar=Mon 03:00

[Install]
WantedBy=timers.target

# .github/workflows/retrain.yml, on a machine of your own that has the data; exit code 3: the champion stays
name: retrain
on:
  schedule: [{{cron: "0 3 * * 1"}}]
  workflow_dispatch:
jobs:
  retrain:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v4
      - run: {command}
"""
