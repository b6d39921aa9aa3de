"""What K cached views of each image cost and gain: seconds and validation accuracy, frozen and fine-tuned.

    python benchmarks/views.py photos/ --weights backbone.weights.h5 --csv docs/results/views.csv

Every fit begins with an empty cache. Test photographs are not looked at: this is what `choose_views` is set by. With a
large `--val` few photographs are left to train on.
"""

import argparse
import os
import statistics
import tempfile
import time
from typing import Any

from table import backbone_options, write_rows


def main() -> None:
    parser = backbone_options(__doc__)
    parser.add_argument("--views", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--val", type=float, default=0.15, help="the share of the training photographs that judges")
    options = parser.parse_args()
    rows = []
    for views in options.views:
        found = [fit(options, views, seed) for seed in options.seeds]
        mean = {name: round(statistics.mean(row[name] for row in found), 4) for name in found[0]}
        rows.append({"views": views, "seeds": len(found), **mean, "train": round(mean["train"])})
        print(rows[-1], flush=True)
        write_rows(options.csv, rows)


def fit(options: argparse.Namespace, views: int, seed: int) -> dict[str, Any]:
    """One fit's figures."""
    import keras

    import keras_transfer as kt

    data = kt.load_images(options.data, val=options.val, seed=seed)
    keras.utils.set_random_seed(seed)
    model = kt.build_classifier(options.backbone, data.class_names, weights=options.weights, image_size=options.size)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KERAS_TRANSFER_CACHE"] = cache
        begun = time.perf_counter()
        history = kt.fit(model, data, strategy="fine-tuning", views=views, seed=seed)
        seconds = time.perf_counter() - begun
    epochs = sum(phase.seconds for phase in history.phases)
    frozen, tuned = history.phases[0], max(history.phases, key=lambda phase: phase.val_accuracy)
    return {
        "train": len(data.train),
        "val_frozen": frozen.val_accuracy,
        "val_tuned": tuned.val_accuracy,
        "views_s": seconds - epochs,
        "epochs_s": epochs,
    }


if __name__ == "__main__":
    main()
