"""What fine-tuning forgets, and what keeps it: one CSV row a way.

    python benchmarks/forgetting.py RUN --data photos/ --weights backbone.weights.h5 --held-back flowers/ --csv out.csv

Each way starts from the run's recipe. The held-back photographs are other subjects: a linear probe says what features
still tell of them. WiSE-FT's coefficient is chosen on the run's validation photographs.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.evaluation import evaluate, load_keras
from keras_transfer.evaluation.similarity import cka_by_stage
from keras_transfer.jobs.adapt import Work, before_fine_tuning
from keras_transfer.jobs.parts import build_classifier_of, load_data
from keras_transfer.jobs.see import CKA_IMAGES, forgotten
from keras_transfer.recipe import make_recipe
from keras_transfer.training import fit
from keras_transfer.training.wise import interpolate_weights, wise_ft


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--held-back", required=True)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    recipe = make_recipe(options.run / "recipe.yaml", data=options.data, weights=options.weights)
    data = load_data(recipe)
    backbone = build_classifier_of(recipe, data)
    pixels = data.test.stratified(CKA_IMAGES).pixels(tuple(backbone.input_shape[1:3]))
    rows: list[dict[str, Any]] = []

    def row(way: str, model: Any) -> None:
        back = forgotten(recipe, model, data, options.held_back)
        told = {
            "way": way,
            "val_accuracy": evaluate(model, data.val)["accuracy"],
            "test_accuracy": evaluate(model, data.test)["accuracy"],
            "least_cka": min(stage["cka"] for stage in cka_by_stage(model, backbone, pixels)),
            "held_back_before": back["before"],
            "held_back_after": back["after"],
            "change_low": back["difference"]["low"],
            "change_high": back["difference"]["high"],
        }
        rows.append({key: round(value, 4) if isinstance(value, float) else value for key, value in told.items()})
        print(rows[-1], flush=True)
        write_rows(options.csv, rows)

    model = load_keras(options.run / "model.keras")
    row("fine-tuned", model)
    before = [np.array(weight) for weight in before_fine_tuning(Work(model, data, None, recipe, options.run))]
    after = model.get_weights()
    share, _ = wise_ft(model, before, data.val)
    row(f"WiSE-FT, {share:.1f} of the way", model)
    if share != 0.5:
        interpolate_weights(model, before, after, 0.5)
        row("WiSE-FT, 0.5 of the way", model)
    for strength in (30.0,):
        model = build_classifier_of(recipe, data)
        head, *rest = recipe.training.phases or ()
        phases = [head, *(phase.model_copy(update={"l2_sp": strength}) for phase in rest)]
        fit(
            model,
            data,
            phases=phases,
            augmentation=recipe.training.augmentation,
            views=recipe.training.views,
            seed=recipe.seed,
        )
        row(f"L2-SP, strength {strength:g}", model)


if __name__ == "__main__":
    main()
