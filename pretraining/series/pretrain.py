"""Trains the bundled backbone of series to tell made classes apart, and puts its weights into the package.

    python pretraining/series/pretrain.py --steps 2400 --history pretraining/series/history.csv

No real series is seen: each batch is drawn anew (`signals.py`). Lengths change from batch to batch, so that the network
takes any. The weights are those after the last step; nothing is chosen by any set of series.
"""

import argparse
import csv
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from signals import draw, make_classes

from keras_transfer.modalities.series.channelwise import FILE, channelwise_layers
from keras_transfer.models.stage import can_train

CLASSES, BATCH, LENGTHS = 500, 256, (32, 64, 128, 192)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--history", type=Path)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    random, classes = np.random.default_rng(options.seed), make_classes(CLASSES, options.seed)
    series = keras.Input((1, None, 1))
    features = channelwise_layers(series)
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    body, model = keras.Model(series, features), keras.Model(series, keras.layers.Dense(CLASSES)(pooled))
    steps = float(options.steps)
    rate = keras.optimizers.schedules.CosineDecay(0.0, 0.95 * steps, warmup_target=3e-3, warmup_steps=0.05 * steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function(reduce_retracing=True)
    def step(batch: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
            value = loss(labels, logits)
        optimizer.apply_gradients(
            zip(tape.gradient(value, model.trainable_variables), model.trainable_variables, strict=True)
        )
        right = tf.reduce_mean(tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32))
        return value, right

    rows, kept = [], []
    for number in range(1, options.steps + 1):
        labels = random.integers(CLASSES, size=BATCH)
        batch = draw(classes, labels, LENGTHS[number % len(LENGTHS)], random)
        kept.append([float(value) for value in step(tf.constant(batch[:, None, :, None]), tf.constant(labels))])
        if number % 100 == 0 or number == options.steps:
            mean = np.mean(kept, axis=0)
            rows.append({"step": number, "loss": round(float(mean[0]), 4), "accuracy": round(float(mean[1]), 4)})
            kept.clear()
            print(rows[-1], flush=True)
            weights = [weight for layer in body.layers if can_train(layer) for weight in layer.weights]
            arrays = {str(place): weight.numpy().astype(np.float16) for place, weight in enumerate(weights)}
            np.savez_compressed(options.out, **arrays)
            if options.history:
                with options.history.open("w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)


if __name__ == "__main__":
    main()
