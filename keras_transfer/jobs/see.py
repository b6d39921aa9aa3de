"""What a run's network sees, and what fine-tuning changed of it: a page of pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError
from keras_transfer.files import write_json, write_text
from keras_transfer.jobs.parts import build_classifier_of, check_weights
from keras_transfer.jobs.shift import open_run_model
from keras_transfer.modalities import load, open_modality
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.run import add_to_run, read_run
from keras_transfer.schemas import N_ITEMS, Forgotten, Sight, StageSimilarity

if TYPE_CHECKING:
    import keras
    from markupsafe import Markup

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.data.split import Split

CKA_ITEMS = 96
"""Items that fine-tuned and pretrained features are compared on: CKA changes by about 0.01 with more."""
_LEAST_CKA = 4
_MAPPED, _THUMBNAILS, _FOLLOWED = 400, 48, 2  # items on the map, those shown there, and those followed upwards
_SIDE = 56  # the longer side of a thumbnail on the map


def changed_stages(recipe: Recipe, kept: str, model: "keras.Model", data: "Dataset") -> list[StageSimilarity]:
    """Linear CKA of a run's backbone with the pretrained one, stage by stage, on validation items; cheap.

    Args:
        recipe: of the run, complete; it began with pretrained weights.
        kept: the phase that it kept.
        model: its model.
        data: its items; what training has cached of those for validation is used again.

    Returns:
        See `cka_by_stage`; empty where the backbone was never trained, or cannot be built again.
    """
    from keras_transfer.evaluation.similarity import cka_by_stage
    from keras_transfer.training.features import compute_features

    frozen = {phase.name for phase in recipe.training.phases or () if phase.frozen}
    if kept in frozen or len(data.val) < _LEAST_CKA:
        return []
    some = np.linspace(0, len(data.val) - 1, min(len(data.val), CKA_ITEMS)).astype(int)

    def cached(tensor: "keras.KerasTensor") -> NDArray[np.float32]:
        (arrays,) = compute_features(model, [tensor], data.val.part(some))
        try:
            return np.asarray(arrays["values"], np.float32)
        finally:
            arrays.close()

    try:
        from keras_transfer.models.graph import model_inputs

        values = data.val.take(some).arrays(model_inputs(model))
        return cka_by_stage(model, build_classifier_of(recipe, data), values, cached)
    except InputError as error:
        say(f"Note: not compared with the pretrained backbone ({error})")
        return []


def see_run(folder: str | Path, *, data: str | None = None, held_back: str | None = None) -> Sight:
    """Writes `RUN/see.html` and `RUN/see.json`: filters, stages, a map of the test items, and what was forgotten.

    Args:
        folder: a finished run.
        data: where its items are now, if they have moved.
        held_back: other labelled items, on which a linear probe shows what the features still tell.

    Returns:
        What stands in `RUN/see.json`.

    Raises:
        InputError: no finished run, its items have changed, or `held_back` holds no labelled items.
    """
    folder = Path(folder)
    read_run(folder)  # before a folder that is none is locked
    with add_to_run(folder):
        return _see(folder, data, held_back)


def _see(folder: Path, data: str | None, held_back: str | None) -> Sight:
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation import predict_split
    from keras_transfer.models.graph import model_inputs
    from keras_transfer.report import see_html

    run = open_run_model(folder, data)
    if held_back is not None:
        check_weights(folder, run.recipe)
    part = run.data.test.stratified(_MAPPED, run.recipe.seed)
    test = part.stored(model_inputs(run.model))
    answers = predict_split(run.model, test)
    right = correct(test.labels, answers)
    titles, pretrained = _followed(test, answers, right), run.recipe.model.pretrained
    sight: Sight = {
        "format": 1,
        "run": str(folder),
        "backbone": run.recipe.backbone,
        N_ITEMS: len(test),
        "followed": list(titles.values()),
        "cka": changed_stages(run.recipe, run.result["kept"], run.model, run.data) if pretrained else [],
        "held_back": forgotten(run.recipe, run.model, run.data, held_back) if held_back is not None else None,
    }
    views = open_modality(test.preparer.modality).network_views(run.model, test, titles)
    places = _map(run.model, part, test, right)
    if places is not None:
        sight["map"] = {"method": places.method, N_ITEMS: len(part)}
    test.close()
    write_json(folder / "see.json", sight)
    write_text(folder / "see.html", see_html(sight, {**views, "map": places.picture if places is not None else None}))
    return sight


def forgotten(recipe: Recipe, model: "keras.Model", data: "Dataset", source: str) -> Forgotten:
    """What a run's features tell of items that it was not made for, against what the pretrained ones did.

    Args:
        recipe: of the run, complete.
        model: its model.
        data: its own items.
        source: labelled items, as for `keras_transfer.load`.

    Raises:
        InputError: `source` is none, or the pretrained weights cannot be had.
    """
    from keras_transfer.decisions import correct
    from keras_transfer.evaluation.intervals import paired_difference
    from keras_transfer.training.probe import linear_probe, pooled_features

    preparer = data.train.preparer
    other = load(source, modality=preparer.modality, val=0.15, test=0.4, seed=recipe.seed).prepared_by(preparer)
    right = []
    for network in (model, build_classifier_of(recipe, data)):
        train, val, test = pooled_features(network, [other.train, other.val, other.test])
        known = (train, other.train.labels), (val, other.val.labels)
        right.append(correct(other.test.labels, linear_probe(*known, test, len(other.class_names))))
    return {
        "data": Path(source).name or source,
        N_ITEMS: len(other.test),
        "after": float(right[0].mean()),
        "before": float(right[1].mean()),
        "difference": paired_difference(right[0], right[1]),
    }


def _followed(test: "Split", answers: NDArray[np.float32], right: NDArray[np.bool_]) -> dict[int, str]:
    """The most confident right answer and the most confident mistake: item -> title."""
    confidence = answers.max(axis=1)
    groups = [np.flatnonzero(group) for group in (right, ~right) if group.any()][:_FOLLOWED]
    chosen = [int(group[confidence[group].argmax()]) for group in groups]
    return {index: _title(test, answers, index) for index in chosen}


class _Map(NamedTuple):
    """A map of items by their features, and the method that placed them."""

    picture: "Markup"
    method: str


def _map(model: "keras.Model", part: "Split", test: "Split", right: NDArray[np.bool_]) -> _Map | None:
    """A map of the test items, by the features below the head; None where they are too few."""
    from keras_transfer.evaluation.embedding import embed, spread_out
    from keras_transfer.report.views import embedding_map
    from keras_transfer.training.probe import pooled_features

    if len(part) < 3:
        return None
    (rows,) = pooled_features(model, [part])
    places, method = embed(rows)
    chosen = spread_out(places, _THUMBNAILS)
    pictures = open_modality(part.preparer.modality).thumbnails(part, chosen, _SIDE)
    titles = [_title(test, None, i) + ("" if right[i] else ", answered wrong") for i in range(len(part))]
    label = f"Map of {len(part)} test items by {method}; {int((~right).sum())} of them were answered wrong"
    return _Map(embedding_map(places, right.tolist(), titles, pictures, label), method)


def _title(test: "Split", answers: NDArray[np.float32] | None, index: int) -> str:
    label = test.labels[index]
    names = [test.class_names[i] for i in (np.flatnonzero(label) if np.ndim(label) else [int(label)])]
    truth = ", ".join(names) or "none of the labels"
    if answers is None or np.ndim(label):
        return truth
    predicted = test.class_names[int(answers[index].argmax())]
    return truth if predicted == truth else f"{truth}, taken for {predicted}"
