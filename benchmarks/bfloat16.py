"""Validation accuracy of fine-tuning in bfloat16 against float32, from the same frozen features, seed by seed.

    python benchmarks/bfloat16.py photos/ --weights backbone.weights.h5 --csv docs/results/bfloat16.csv

Meant for a processor that multiplies bfloat16 faster (`training.kernels.multiplies_bfloat16`); on others it takes long.
Test photographs are not looked at.
"""

import argparse
import os
import tempfile
from typing import Any

from table import backbone_options, paired_gain, write_rows

from keras_transfer.run import processor


def main() -> None:
    options = backbone_options(__doc__, val=0.3).parse_args()
    pairs = [fits(options, seed) for seed in options.seeds]
    rows = []
    for dtype, own in zip(("float32", "bfloat16"), zip(*pairs, strict=True), strict=True):
        figures = paired_gain(own, [pair[0] for pair in pairs])
        rows.append({"processor": processor(), "dtype": dtype, "seeds": len(own), **figures})
    write_rows(options.csv, rows)


def fits(options: argparse.Namespace, seed: int) -> tuple[float, float]:
    """The fine-tuned phase's validation accuracy in float32 and in bfloat16."""
    import keras

    import keras_transfer as kt
    from keras_transfer.models import stages
    from keras_transfer.training import kernels
    from keras_transfer.training.plan import make_phases

    data = kt.load_images(options.data, val=options.val, seed=seed)
    accuracies = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KERAS_TRANSFER_CACHE"] = cache
        for half in (False, True):
            kernels.multiplies_bfloat16 = lambda half=half: half
            keras.utils.set_random_seed(seed)
            told: dict[str, Any] = {"weights": options.weights, "image_size": options.size}
            model = kt.build_classifier(options.backbone, data.class_names, **told)
            phases = make_phases("fine-tuning", stage_count=len(stages(model)), n_items=len(data.train))
            history = kt.fit(model, data, phases=phases, seed=seed)
            accuracies.append(history.phases[-1].val_accuracy)
            print({"seed": seed, "bfloat16": half, "val": accuracies[-1]}, flush=True)
    return accuracies[0], accuracies[1]


if __name__ == "__main__":
    main()
