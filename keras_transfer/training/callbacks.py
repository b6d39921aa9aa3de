"""Callbacks for any `model.fit` whose state outlives the process."""

import json
import math
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import cast

import keras
import numpy as np
from typing_extensions import TypedDict

from keras_transfer.errors import InputError
from keras_transfer.files import replacing
from keras_transfer.inputs import Array
from keras_transfer.schemas import HistoryRow

APART = 20  # times as long as writing a checkpoint takes pass before the next


class Checkpoint(TypedDict):
    """What `ResumableEarlyStopping` keeps: the epochs' figures, its own state, and arrays."""

    rows: list[HistoryRow]
    finished: bool
    wait: int
    best: float | None
    best_epoch: int
    variables: list[Array]
    optimizer: list[Array]
    average: list[Array]  # of `AveragedWeights`; empty without
    best_weights: list[Array]  # empty where the best weights are the present ones


class ResumableEarlyStopping(keras.callbacks.EarlyStopping):
    """Early stopping that restores the best weights and, with a checkpoint file, continues where a killed `fit` was.

    After an epoch the weights, the optimizer, the random states, the best weights so far and the epochs' figures are
    written to `checkpoint` as one file, atomically; at the end only what stays. That takes at most a twentieth of the
    time: after the first epoch, and then whenever training has taken 20 times as long as the last writing.
    `restore` puts them back; the fit that follows ends as the undisturbed one would have.

    Args:
        patience: epochs without improvement before stopping.
        monitor: what is compared, such as `"val_loss"`.
        checkpoint: an `.npz` file, or None to keep nothing.
        on_epoch: called with each epoch's figures.
        averaged: an average of the weights, which is kept in their place.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    >>> stopping = ResumableEarlyStopping(patience=2)
    >>> _ = model.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[stopping])
    >>> [row["epoch"] for row in stopping.rows]
    [1, 2, 3]
    """

    def __init__(
        self,
        patience: int,
        monitor: str = "val_loss",
        checkpoint: Path | None = None,
        on_epoch: Callable[[HistoryRow], None] | None = None,
        averaged: "AveragedWeights | None" = None,
    ) -> None:
        super().__init__(monitor=monitor, patience=patience, restore_best_weights=True)
        self.checkpoint, self.on_epoch, self.averaged = checkpoint, on_epoch, averaged
        self.rows: list[HistoryRow] = []
        self.finished = False
        self._restored: Checkpoint | None = None
        self._started = self._due = 0.0

    def restore(self, model: keras.Model) -> int:
        """Puts back what `checkpoint` holds into a compiled `model` whose optimizer is built.

        Args:
            model: the model as it was when the killed fit began.

        Returns:
            The number of epochs done, for `fit(initial_epoch=...)`; 0 when there is no checkpoint. Where training had
            ended already, `finished` is true and the model has its best weights.
        """
        saved = load_checkpoint(self.checkpoint) if self.checkpoint else None
        if saved is None:
            return 0
        self.rows = saved["rows"]
        _assign(model.variables, saved["variables"])
        self.finished = saved["finished"]
        if not self.finished:
            _assign(model.optimizer.variables, saved["optimizer"])
            if self.averaged is not None:
                self.averaged.values = saved["average"]
            self._restored = saved
            saved["best_weights"] = saved["best_weights"] or model.get_weights()
        return len(self.rows)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Continues from the state that `restore` has read."""
        super().on_train_begin(logs)
        if self._restored is not None:
            self.wait, self.best = self._restored["wait"], self._restored["best"]
            self.best_epoch, self.best_weights = self._restored["best_epoch"], self._restored["best_weights"]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Starts the epoch's clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Compares, records and writes the checkpoint."""
        logs = logs or {}
        figures = {name: float(value) for name, value in logs.items()}
        if not all(math.isfinite(value) for value in figures.values()):
            raise InputError(
                f"The loss is not a number after epoch {epoch + 1} ({figures.get('loss')}): lower the learning rate "
                "(`keras-transfer lr-find` suggests one), and check the labels."
            )
        with self.averaged.applied() if self.averaged is not None else nullcontext():
            super().on_epoch_end(epoch, logs)
        seconds = round(time.perf_counter() - self._started, 3)
        row = cast("HistoryRow", {"epoch": epoch + 1, "seconds": seconds, **figures})
        self.rows.append(row)
        ending = self.model.stop_training or epoch + 1 == self.params["epochs"]
        started = time.perf_counter()
        # At the end of training `on_train_end` writes it.
        if self.checkpoint is not None and not ending and started >= self._due:
            self._save(finished=False)
            ended = time.perf_counter()
            self._due = ended + APART * (ended - started)
        if self.on_epoch is not None:
            self.on_epoch(row)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Restores the best weights and marks the checkpoint as finished."""
        super().on_train_end(logs)
        self.finished = True
        if self.checkpoint is not None:
            self._save(finished=True)

    def _save(self, finished: bool) -> None:
        arrays: dict[str, Array] = {f"variables_{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        if not finished:
            arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(self.model.optimizer.variables)}
            if self.averaged is not None:
                arrays |= {f"average_{i}": v for i, v in enumerate(self.averaged.values)}
            if self.wait or self.averaged is not None:  # else the best weights are the present ones
                arrays |= {f"best_{i}": v for i, v in enumerate(self.best_weights or [])}
        state = {
            "rows": self.rows,
            "finished": finished,
            "wait": self.wait,
            "best": None if self.best is None else float(self.best),
            "best_epoch": self.best_epoch,
        }
        assert self.checkpoint is not None
        with replacing(self.checkpoint) as temporary, temporary.open("wb") as file:
            arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
            np.savez(file, allow_pickle=False, **arrays)


class AveragedWeights(keras.callbacks.Callback):
    """An exponential moving average of weights, which is validated in their place (Polyak & Juditsky 1992).

    It is steadier than the weights after any one step, and often a little better (Tarvainen & Valpola 2017,
    https://arxiv.org/abs/1703.01780). Early on it follows more quickly, as in TensorFlow's `ExponentialMovingAverage`.

    Args:
        variables: what is averaged.
        momentum: share of the average that stays at each step.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> averaged = AveragedWeights(model.trainable_variables, 0.9)
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[averaged])
    >>> before = model.get_weights()
    >>> with averaged.applied():
    ...     print(np.allclose(before[0], model.get_weights()[0]))
    False
    >>> np.allclose(before[0], model.get_weights()[0])
    True
    """

    def __init__(self, variables: Sequence[keras.Variable], momentum: float) -> None:
        super().__init__()
        self.momentum, self._variables = momentum, variables
        self.values = _values(variables)
        self._validating = ExitStack()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Takes the average a little nearer to the weights."""
        optimizer = getattr(self.model.optimizer, "optimizers", [self.model.optimizer])[0]
        steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
        momentum = min(self.momentum, (1 + steps) / (10 + steps))
        for average, present in zip(self.values, _values(self._variables), strict=True):
            average += (1 - momentum) * (present - average)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """While the context is open, the model has the average as its weights."""
        present = _values(self._variables)
        _assign(self._variables, self.values)
        try:
            yield
        finally:
            _assign(self._variables, present)

    def on_test_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Validation is of the average."""
        self._validating.enter_context(self.applied())

    def on_test_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Training goes on from the weights."""
        self._validating.close()


class ReduceRatesOnPlateau(keras.callbacks.Callback):
    """Lowers the learning rates when `val_loss` stops improving.

    As `keras.callbacks.ReduceLROnPlateau` does, but for optimizers of several rates as well, and resumable.

    Args:
        factor: what the rates are multiplied by.
        patience: epochs without improvement before they are.
        rows: figures of epochs already done, for a resumed fit: the rates themselves come back with the optimizer.

    >>> ReduceRatesOnPlateau(patience=1, rows=[{"val_loss": 0.5}, {"val_loss": 0.6}]).wait
    0
    """

    def __init__(self, factor: float = 0.2, patience: int = 2, rows: Sequence[HistoryRow] = ()) -> None:
        super().__init__()
        self.factor, self.patience = factor, patience
        self.best, self.wait = math.inf, 0
        for row in rows:
            self._is_due(row["val_loss"])

    def _is_due(self, loss: float) -> bool:
        self.best, self.wait = (loss, 0) if loss < self.best else (self.best, self.wait + 1)
        due = self.wait >= self.patience
        if due:
            self.wait = 0
        return due

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Lowers the rates where that is due."""
        if self._is_due((logs or {})["val_loss"]):
            for optimizer in getattr(self.model.optimizer, "optimizers", [self.model.optimizer]):
                optimizer.learning_rate = _rate(optimizer) * self.factor


class PullToStart(keras.callbacks.Callback):
    """L2-SP (Li et al. 2018, https://arxiv.org/abs/1802.01483): weight decay towards where training began, not to zero.

    It is what keeps a fine-tuned backbone near the pretrained one. The decay is decoupled from the gradient, as in
    AdamW (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101): after each step a weight loses
    `learning_rate * strength` of its way.

    Args:
        variables: what is pulled; their values now are where to.
        strength: 0 for none; at a rate of 3e-4, 100 takes 3% of the way back at each step.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> before = model.get_weights()
    >>> pull = PullToStart(model.trainable_variables, 10.0)
    >>> _ = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[pull])
    >>> all(np.allclose(a, b) for a, b in zip(before, model.get_weights()))
    True
    """

    def __init__(self, variables: Sequence[keras.Variable], strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.pulled = [(variable, np.array(variable)) for variable in variables]

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """Takes each weight some of its way back."""
        optimizer = getattr(self.model.optimizer, "optimizers", [self.model.optimizer])[0]
        share = min(1.0, _rate(optimizer) * self.strength)
        for variable, start in self.pulled:
            variable.assign(variable + share * (start - variable))


def _values(variables: Sequence[keras.Variable]) -> list[Array]:
    return [np.copy(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The present learning rate; on several devices it is a variable that `float` does not know."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


_PREFIXES = {"variables": "variables", "optimizer": "optimizer", "average": "average", "best": "best_weights"}


def load_checkpoint(path: Path) -> Checkpoint | None:
    """What `ResumableEarlyStopping` wrote to `path`, or None where there is no sound checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = json.loads(stored["state"].tobytes())
            for prefix, name in _PREFIXES.items():
                count = sum(key.startswith(f"{prefix}_") for key in stored.files)
                state[name] = [stored[f"{prefix}_{i}"] for i in range(count)]
            return cast("Checkpoint", state)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _assign(variables: Sequence[keras.Variable], values: Sequence[Array]) -> None:
    if len(variables) != len(values) or any(tuple(v.shape) != w.shape for v, w in zip(variables, values, strict=False)):
        raise InputError("The checkpoint belongs to another model: choose another --out.")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
