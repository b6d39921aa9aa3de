"""The learning-rate range test."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError


@dataclass(frozen=True)
class LearningRateSweep:
    """Rates tried, the smoothed loss at each, and the rate suggested.

    Args:
        rates: float64 `[steps]`, growing geometrically.
        losses: float64 `[steps]`, as they would be were all batches equally hard.
        suggestion: the rate at which the loss fell most steeply.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestion: float


class _Sweep(keras.callbacks.Callback):
    """Sets each step's rate and notes the step's own loss; stops where the loss has diverged."""

    def __init__(self, rates: NDArray[np.float64]) -> None:
        super().__init__()
        self.rates = rates
        self.losses: list[float] = []
        self._sum, self._least = 0.0, math.inf

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        for optimizer in getattr(self.model.optimizer, "optimizers", [self.model.optimizer]):
            optimizer.learning_rate = float(self.rates[len(self.losses)])

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        # Keras reports the mean over the epoch so far; the step's own loss is what it adds.
        total = float((logs or {})["loss"]) * (len(self.losses) + 1)
        self.losses.append(total - self._sum)
        self._sum = total
        if not math.isfinite(total) or self._diverged() or len(self.losses) == len(self.rates):
            self.model.stop_training = True

    def _diverged(self) -> bool:
        recent = float(np.mean(self.losses[-max(1, len(self.rates) // 10) :]))
        # The first quarter's rates hardly change anything: how far its losses lie apart is due to the batches.
        if len(self.losses) > len(self.rates) // 4:
            self._least = min(self._least, recent)
        return recent > 4 * self._least


def find_learning_rate(
    model: keras.Model, dataset: Iterable[object], *, lowest: float = 1e-6, highest: float = 1.0, steps: int = 100
) -> LearningRateSweep:
    """Trains for a few steps at rates from `lowest` to `highest`, notes the loss at each, and restores the weights.

    The learning-rate range test (Smith 2017, https://arxiv.org/abs/1506.01186). Batches differ in how hard they are,
    by more than a few steps of training change: so the same steps are made once more at a rate of 0, and what counts
    is the ratio of the two losses.

    Args:
        model: a compiled model; its weights and optimizer are as before afterwards.
        dataset: batches, gone through twice, best in the same order; a `tf.data.Dataset` is repeated as needed.
        lowest: first rate.
        highest: last rate.
        steps: training steps, at least 10; fewer where the loss diverges.

    Returns:
        The sweep and the suggested peak rate.

    Raises:
        InputError: the rates or steps are out of range, or no rate makes the loss fall.

    >>> import tensorflow as tf
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    >>> sweep = find_learning_rate(model, tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(16), steps=30)
    >>> 0.01 < sweep.suggestion < 1
    True
    """
    if not 0 < lowest < highest:
        raise InputError(f"`lowest` must be above 0 and below `highest`. Received: {lowest} and {highest}.")
    if steps < 10:
        raise InputError(f"`steps` must be at least 10. Received: steps={steps}.")
    rates, compiled = np.geomspace(lowest, highest, steps), model.get_compile_config()
    try:
        trained, untrained = (_losses_at(model, dataset, tried) for tried in (rates, np.zeros(steps)))
    finally:
        model.compile_from_config(compiled)  # a fresh optimizer: the sweep has filled the old one's state
    count = min(len(trained), len(untrained))
    if count >= 5:
        trained, untrained = (_smoothed(losses[:count], steps / 25) for losses in (trained, untrained))
        losses = untrained.mean() * trained / untrained
    if count < 5 or not losses.min() < losses[0]:
        raise InputError(f"No rate from {lowest} to {highest} makes the loss fall: check the labels and the data.")
    falling = slice(0, max(2, int(losses.argmin()) + 1))
    slope = np.gradient(losses[falling], np.log(rates[falling]))
    return LearningRateSweep(rates[: len(losses)], losses, float(rates[int(slope.argmin())]))


def _smoothed(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Values averaged over their neighbours with Gaussian weights, mirrored at the ends."""
    reach = int(4 * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    return np.convolve(np.pad(values, reach, mode="symmetric"), weights / weights.sum(), "valid")


def _losses_at(model: keras.Model, dataset: Iterable[object], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loss of each step of a training at these rates, up to the first that is no number; the weights are kept."""
    weights, sweep = model.get_weights(), _Sweep(rates)
    repeated = dataset.repeat() if hasattr(dataset, "repeat") else dataset
    try:
        model.fit(repeated, steps_per_epoch=len(rates), epochs=1, shuffle=False, verbose=0, callbacks=[sweep])
    finally:
        model.set_weights(weights)
    return np.array([loss for loss in sweep.losses if math.isfinite(loss)])
