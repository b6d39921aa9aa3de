"""The learning-rate range test for a recipe's phases."""

import tempfile
from pathlib import Path

from keras_transfer.errors import InputError
from keras_transfer.recipe import Recipe
from keras_transfer.schemas import RateSweep


def find_rates(recipe: Recipe, steps: int = 100) -> list[RateSweep]:
    """Sweeps the learning rate of each phase that `recipe` would train, from its pretrained weights.

    Args:
        recipe: as for `train`.
        steps: training steps a sweep.

    Returns:
        For each phase: `phase`, the `planned` and the `suggested` peak rate, and the sweep (`rates`, `losses`).

    Raises:
        InputError: the input is wrong, or no rate makes the loss fall.
    """
    from keras_transfer.jobs.audition import choose_backbone
    from keras_transfer.jobs.parts import load_data
    from keras_transfer.jobs.train import build_model
    from keras_transfer.modalities import open_modality, settled
    from keras_transfer.training import sweep_phases

    with tempfile.TemporaryDirectory(prefix="keras-transfer-") as folder:
        recipe = settled(recipe)
        recipe, data, _ = choose_backbone(recipe, load_data(recipe, Path(folder)))
        model, recipe, _ = build_model(recipe, data)
        modality = open_modality(data.train.preparer.modality)
        recipe, data = modality.prepared(recipe, data, modality.choose_preparation(recipe, data, model, None))
        training = recipe.training
        stepped = [phase for phase in training.phases or () if phase.optimizer != "lbfgs"]
        if not stepped:
            raise InputError(f"{recipe.backbone!r} is not trained by gradient steps here: it has no learning rate.")
        sweeps = sweep_phases(
            model,
            data,
            stepped,
            augmentation=training.augmentation,
            views=training.views,
            label_smoothing=training.label_smoothing,
            seed=recipe.seed,
            steps=steps,
        )
    return [
        {
            "phase": phase.name,
            "planned": phase.learning_rate,
            "suggested": sweep.suggestion,
            "rates": sweep.rates.tolist(),
            "losses": sweep.losses.tolist(),
        }
        for phase, sweep in zip(stepped, sweeps, strict=True)
    ]
