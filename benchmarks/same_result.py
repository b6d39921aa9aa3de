"""Whether a head trained on cached features is the head that plain `fit` trains through the whole network.

    python benchmarks/same_result.py photos/ --weights backbone.weights.h5 --csv docs/results/same_result.csv

Twice the same start, the same batches in the same order and the same schedule: once by `kt.fit`, on features that were
computed once by the faster engine and kept as float16; once by Keras's `fit` on the photographs themselves, the
backbone frozen. Then both answer the test photographs.
"""

import argparse
import time
from typing import Any

import keras
import numpy as np
from table import backbone_options, write_rows

import keras_transfer as kt
from keras_transfer.evaluation import predict_split
from keras_transfer.recipe import Phase
from keras_transfer.training import input_samples
from keras_transfer.training.feed import as_dataset
from keras_transfer.training.phases import compile_top

BATCH = 256


def main() -> None:
    parser = backbone_options(__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    rows = []
    for seed in options.seeds:
        rows.append({"backbone": options.backbone, "seed": seed, **compare(options, seed)})
        print(rows[-1], flush=True)
        write_rows(options.csv, rows)


def compare(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Trains both ways; one row."""
    data = kt.load_images(options.data, val=0.15, test=0.2, seed=seed)
    told = {"epochs": options.epochs, "patience": options.epochs, "learning_rate": 3e-3, "schedule": "cosine"}
    phase = Phase(name="frozen", batch_size=64, **told)
    answers, seconds = [], []
    for train in (on_features, through_the_network):
        keras.utils.set_random_seed(seed)
        model = kt.build_classifier(
            options.backbone, data.class_names, weights=options.weights, image_size=options.size
        )
        kt.freeze_backbone(model)
        begun = time.perf_counter()
        train(model, data, phase, seed)
        seconds.append(round(time.perf_counter() - begun, 1))
        answers.append(predict_split(model, data.test))
    right = [float((answer.argmax(1) == data.test.labels).mean()) for answer in answers]
    return {
        "test_images": len(data.test),
        "same_predictions": float((answers[0].argmax(1) == answers[1].argmax(1)).mean()),
        "mean_difference": float(f"{np.abs(answers[0] - answers[1]).mean():.2g}"),
        "cached_accuracy": right[0],
        "plain_accuracy": right[1],
        "cached_s": seconds[0],
        "plain_s": seconds[1],
    }


def on_features(model: keras.Model, data: Any, phase: Phase, seed: int) -> None:
    """As this package trains."""
    kt.fit(model, data, phases=[phase], strategy="feature-extraction", augmentation="none", seed=seed)


def through_the_network(model: keras.Model, data: Any, phase: Phase, seed: int) -> None:
    """As Keras users train: `fit`, from pixels to labels, the best epoch's weights restored."""
    keras.utils.set_random_seed(seed)
    with input_samples(model, data, kt.build_augmenter("none")) as (train, val):
        steps = train.steps(phase.batch_size)
        whole = compile_top(model, phase, model.input, steps * phase.epochs)
        whole.fit(
            as_dataset(train.drawn(phase.batch_size, seed, 0), train),
            validation_data=as_dataset(val.in_order(BATCH), val, val.steps(BATCH)),
            steps_per_epoch=steps,
            epochs=phase.epochs,
            shuffle=False,
            callbacks=[keras.callbacks.EarlyStopping(patience=phase.patience, restore_best_weights=True)],
            verbose=2,
        )


if __name__ == "__main__":
    main()
