"""Validation accuracy by how long the top stage is fine-tuned, and how slowly Adam forgets (its `beta_2`).

    python benchmarks/epochs.py photos/ --weights backbone.weights.h5 --csv docs/results/epochs.csv

The last setting in the table is `make_phases`'s own. Test photographs are not looked at: this is what it is set by.
"""

import argparse
import os
import tempfile
from typing import Any

from table import backbone_options, paired_gain, write_rows

SETTINGS = [(5, 0.999), (4, 0.999), (4, 0.99)]


def main() -> None:
    options = backbone_options(__doc__, val=0.3).parse_args()
    found = [fits(options, seed) for seed in options.seeds]
    rows = []
    for epochs, beta_2 in SETTINGS:
        own = [seed[epochs, beta_2] for seed in found]
        figures = paired_gain(own, [seed[SETTINGS[0]] for seed in found])
        rows.append({"epochs": epochs, "beta_2": beta_2, "seeds": len(own), **figures})
    write_rows(options.csv, rows)


def fits(options: argparse.Namespace, seed: int) -> dict[tuple[int, float], float]:
    """The fine-tuned phase's validation accuracy for each setting, from the same frozen features."""
    import keras

    import keras_transfer as kt
    from keras_transfer.models import stages
    from keras_transfer.training.plan import make_phases

    data = kt.load_images(options.data, val=options.val, seed=seed)
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KERAS_TRANSFER_CACHE"] = cache
        for epochs, beta_2 in SETTINGS:
            keras.utils.set_random_seed(seed)
            told: dict[str, Any] = {"weights": options.weights, "image_size": options.size}
            model = kt.build_classifier(options.backbone, data.class_names, **told)
            head, top = make_phases("fine-tuning", stage_count=len(stages(model)), n_items=len(data.train))
            top = top.model_copy(update={"epochs": epochs, "beta_2": beta_2})
            history = kt.fit(model, data, phases=[head, top], seed=seed)
            found[epochs, beta_2] = history.phases[-1].val_accuracy
            print({"seed": seed, "epochs": epochs, "beta_2": beta_2, "val": found[epochs, beta_2]}, flush=True)
    return found


if __name__ == "__main__":
    main()
