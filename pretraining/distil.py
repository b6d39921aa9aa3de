"""Trains the bundled backbone: MobileNetV2 of width 0.35 from random weights, on views, formula pictures or both."""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

WIDTH = 0.35
TEMPERATURE = 2.0
COLUMNS = ("epoch", "side", "seconds", "loss", "features", "answers", "rate")


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer on TensorFlow's fused kernel in training: the same function, a step twice as fast on a CPU."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        if not training:
            return super().call(inputs, training=False)
        empty = tf.zeros([0])
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=empty, variance=empty, epsilon=self.epsilon
        )
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1 - keep))
        return outputs


def build_student(momentum: float = 0.99) -> keras.Model:
    """The network from pixels in -1..1 of any size to pooled features `[batch, 1280]`."""
    plain = keras.applications.MobileNetV2(
        input_shape=(None, None, 3), alpha=WIDTH, include_top=False, weights=None, pooling="avg"
    )

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.BatchNormalization):
            return FusedBatchNormalization.from_config(layer.get_config() | {"momentum": momentum})
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(plain, clone_function=clone)


def answers_layer(weights: Path) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of the teacher's last layer, which turns features into its 1000 logits."""
    model = keras.applications.MobileNetV2(weights=None)
    model.load_weights(str(weights))
    kernel, bias = model.layers[-1].get_weights()
    return kernel, bias


def batches(views: np.ndarray, targets: np.ndarray, batch: int, seed: int, epoch: int) -> Any:
    """Shuffled batches of one epoch: views as stored and their targets."""
    order = np.random.default_rng((seed, epoch)).permutation(len(views))
    for start in range(0, len(order) - batch + 1, batch):
        rows = np.sort(order[start : start + batch])
        yield views[rows], targets[rows]


def train(options: argparse.Namespace) -> None:
    """Runs all epochs; killed, the same command goes on after its last whole epoch."""
    keras.utils.set_random_seed(options.seed)
    student = build_student()
    kind = "labels" if options.labels else "features"
    takes = options.take or [None] * len(options.views)
    views = np.concatenate([np.load(f / "views.npy", "r")[:n] for f, n in zip(options.views, takes, strict=True)])
    targets = np.concatenate([np.load(f / f"{kind}.npy", "r")[:n] for f, n in zip(options.views, takes, strict=True)])
    steps = len(views) // options.batch
    total = steps * options.epochs

    rate = keras.optimizers.schedules.CosineDecay(
        options.rate / 25, total, alpha=0.0, warmup_target=options.rate, warmup_steps=min(500, total // 10)
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=options.decay)
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    head = None
    if options.labels:
        head = keras.layers.Dense(int(targets.max()) + 1)
        head.build((None, 1280))
    else:
        kernel, bias = map(tf.constant, answers_layer(options.teacher))
        sample = np.asarray(targets[:: max(1, len(targets) // 20000)], np.float32)
        deviation = tf.constant(sample.std(0) + 0.1 * sample.std())
    trainable = student.trainable_variables + (head.trainable_variables if head else [])
    optimizer.build(trainable)

    def losses(small: tf.Tensor, target: tf.Tensor, side: int) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.cast(small, tf.float32)
        if side != small.shape[1]:
            pixels = tf.image.resize(pixels, (side, side))
        features = student(pixels / 127.5 - 1, training=True)
        if head is not None:
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=head(features))
            return tf.reduce_mean(loss), tf.constant(0.0)
        goal = tf.cast(target, tf.float32)
        apart = tf.reduce_mean(tf.square((features - goal) / deviation))
        wanted = tf.nn.softmax((goal @ kernel + bias) / TEMPERATURE)
        found = tf.nn.log_softmax((features @ kernel + bias) / TEMPERATURE)
        divergence = tf.reduce_sum(wanted * (tf.math.log(wanted + 1e-9) - found), -1)
        return apart, TEMPERATURE**2 * tf.reduce_mean(divergence)

    compiled: dict[int, Any] = {}

    def step_for(side: int) -> Any:
        if side not in compiled:

            @tf.function(jit_compile=False)
            def step(small: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                with tf.GradientTape() as tape:
                    apart, divergence = losses(small, target, side)
                    loss = apart + options.answers * divergence
                gradients = tape.gradient(loss, trainable)
                gradients, _ = tf.clip_by_global_norm(gradients, 5.0)
                optimizer.apply_gradients(zip(gradients, trainable, strict=True))
                return apart, divergence

            compiled[side] = step
        return compiled[side]

    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = tf.train.Checkpoint(student=student, optimizer=optimizer, epoch=tf.Variable(0, dtype=tf.int64))
    if head is not None:
        checkpoint.head = head
    manager = tf.train.CheckpointManager(checkpoint, str(options.out / "checkpoints"), max_to_keep=1)
    checkpoint.restore(manager.latest_checkpoint)
    history = options.out / "history.csv"
    if not history.exists():
        history.write_text(",".join(COLUMNS) + "\n")
    for epoch in range(int(checkpoint.epoch), options.epochs):
        side = 64 if epoch < options.small_epochs else 96
        started, sums = time.perf_counter(), np.zeros(2)
        for small, target in batches(views, targets, options.batch, options.seed, epoch):
            sums += [float(value) for value in step_for(side)(tf.constant(small), tf.constant(target))]
        apart, divergence = sums / steps
        row = (epoch + 1, side, time.perf_counter() - started, apart + options.answers * divergence, apart, divergence)
        with history.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [*row[:2], *(f"{value:.4f}" for value in row[2:]), f"{float(rate(optimizer.iterations)):.2e}"]
            )
        print(*row, flush=True)
        checkpoint.epoch.assign(epoch + 1)
        manager.save()
        save(student, options.out / "student.weights.h5")


def save(student: keras.Model, path: Path) -> None:
    """Writes the weights as those of Keras's own MobileNetV2."""
    plain = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=WIDTH, include_top=False, weights=None, pooling="avg"
    )
    plain.set_weights(student.get_weights())
    plain.save_weights(str(path))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("views", type=Path, nargs="+", help="folders that views.py wrote")
    parser.add_argument("--take", type=int, nargs="*", help="so many views of each folder instead of all")
    parser.add_argument("--teacher", type=Path, help="MobileNetV2 1.0 ImageNet weights with top")
    parser.add_argument("--labels", action="store_true", help="learn the formulas' classes, without a teacher")
    parser.add_argument("--answers", type=float, default=0.5, help="weight of the teacher's answers in the loss")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--small-epochs", type=int, default=0, help="the first of them at 64 pixels, which is faster")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
