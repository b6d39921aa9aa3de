"""A run's score of unknown items: fitted on its training items, its threshold on those of validation."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.errors import InputError
from keras_transfer.progress import say
from keras_transfer.recipe import Recipe
from keras_transfer.schemas import Rejecting

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.dataset import Dataset
    from keras_transfer.models.rejection import Rejection


def check_rejection(data: "Dataset", model: "keras.Model") -> None:
    """Raises `InputError`, before anything is trained, where the model cannot have such a score."""
    from keras_transfer.models.rejection import feature_tensor

    if data.multi_label:
        raise InputError(
            '"None of these" (--reject) is for one label per item: where several may hold, none of them may hold as '
            "well, and the scores of each say so. Train without --reject."
        )
    feature_tensor(model)  # raises


def add_rejection(run: Path, recipe: Recipe, data: "Dataset", model: "keras.Model") -> "tuple[Rejection, Rejecting]":
    """Fits the score on the model's own features, and writes it into `RUN/model.keras`.

    Args:
        run: the open run directory.
        recipe: its recipe.
        data: its items.
        model: its trained model.

    Returns:
        The score, and its figures; the test split is only scored on.

    Raises:
        InputError: the model has no such features, or the data no such labels; see `fit_rejection`.
    """
    from keras_transfer.evaluation.intervals import share_interval
    from keras_transfer.evaluation.rejection import fit_rejection
    from keras_transfer.models import model_inputs, save_model
    from keras_transfer.models.rejection import feature_tensor
    from keras_transfer.training.features import feature_rows

    features = feature_tensor(model)
    train, val, test = (feature_rows(model, features, split) for split in (data.train, data.val, data.test))
    rejection, figures = fit_rejection(train, np.asarray(data.train.labels), val, seed=recipe.seed)
    save_model(model, run / "model.keras", data.train.spec(model_inputs(model)), rejection)
    accepted = int((rejection.scores(test) <= rejection.limit.threshold).sum())
    low, high = share_interval(accepted, len(test))
    share = accepted / len(test)
    near = "" if figures["left_out"] is None else f", {figures['left_out']:.3f} for classes left out in turn"
    promise = figures["promise"]
    say(
        f"None of these: accepts {share:.1%} of the test items ({promise['share']:.0%} promised); AUROC "
        f"{figures['permuted']:.3f} for mixed-up features{near}"
    )
    return rejection, {**figures, "accepted": {"value": share, "low": low, "high": high}}
