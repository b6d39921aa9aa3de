"""Calibration: whether probabilities mean what they say, and temperature scaling, which corrects most of it."""

import json
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.data.labels import LEAST, label_losses, log_loss
from keras_transfer.decisions import correct_labels, expected_calibration_error
from keras_transfer.errors import InputError
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.inputs import Arrays
from keras_transfer.schemas import Bin, Reliability

FILE = "calibration.json"
_GAIN = 1.92  # nats: twice that is the 95% point of chi-squared, one parameter; less may be chance
_BOUNDS = (0.05, 20.0)


def apply_temperature(probabilities: ArrayLike, temperature: float, several: bool = False) -> NDArray[np.float32]:
    """Softens (above 1) or sharpens (below 1) probabilities as if the logits had been divided by `temperature`.

    The order of the classes, and with it accuracy, stays as it is. The log of softmax's output is the logits up to
    a constant, so files without logits can be calibrated as well.

    Args:
        probabilities: float `[n, classes]` in 0..1; `[n, 1]` is the probability of the second of two classes.
        temperature: above 0.
        several: whether each column is a yes or no of its own (sigmoid units).

    Returns:
        `float32`, of the same shape.

    >>> apply_temperature([[0.8, 0.2]], 2.0).round(3).tolist()
    [[0.6669999957084656, 0.3330000042915344]]
    """
    values = np.clip(np.asarray(probabilities, np.float64), LEAST, 1)
    if several or values.shape[1] == 1:
        logits = np.log(values) - np.log(np.clip(1 - values, LEAST, 1))
        return np.asarray(1 / (1 + np.exp(-logits / temperature)), np.float32)
    logits = np.log(values) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def fit_temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature under which held-out labels are most likely (Guo et al. 2017, "On Calibration", section 4.2).

    Args:
        labels: as for `metrics`, of items that were not trained on: the validation split, never the test split.
        probabilities: as for `metrics`.

    Returns:
        The temperature, in 0.05..20; 1 where no other is better beyond chance (a likelihood-ratio test at 95%).

    >>> import numpy as np
    >>> labels = np.random.default_rng(0).integers(0, 2, 400)
    >>> sure = np.eye(2)[np.where(np.arange(400) % 10 < 3, 1 - labels, labels)] * 0.98 + 0.01  # right on 70%
    >>> 4 < fit_temperature(labels, sure) < 8
    True
    """
    from scipy.optimize import minimize_scalar

    truth = np.asarray(labels)
    if len(truth) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        softened = apply_temperature(probabilities, float(np.exp(log_temperature)), several)
        return float(label_losses(truth, softened).sum())

    several = truth.ndim == 2
    best = minimize_scalar(loss, bounds=tuple(np.log(_BOUNDS)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(best.x)) if loss(0.0) - best.fun > _GAIN else 1.0


def reliability(labels: ArrayLike, probabilities: ArrayLike, bins: int = 15) -> Reliability:
    """Confidence against accuracy in equal-width bins (Niculescu-Mizil & Caruana 2005), and the ECE.

    Args:
        labels: as for `metrics`. With several labels per item, each yes or no counts as a decision of its own.
        probabilities: as for `metrics`.
        bins: how many bins 0..1 is cut into.

    Returns:
        `ece`, `log_loss` (nats per decision) and `bins`: those that hold something, each with its `low` and `high`
        edge, `count`, mean `confidence` and `accuracy`.

    >>> reliability([0, 0], [[0.9, 0.1], [0.6, 0.4]])["bins"][0]["accuracy"]
    1.0
    """
    truth, values = np.asarray(labels), np.asarray(probabilities, np.float64)
    if truth.ndim == 2:
        confidence = np.maximum(values, 1 - values).ravel()
    else:
        confidence = values.max(axis=1)
    correct = correct_labels(truth, values).ravel()
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    rows: list[Bin] = []
    for number in np.unique(place):
        inside = place == number
        rows.append(
            {
                "low": float(edges[number]),
                "high": float(edges[number + 1]),
                "count": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(correct[inside].mean()),
            }
        )
    return {
        "ece": expected_calibration_error(correct, confidence, bins),
        "log_loss": log_loss(truth, values) if truth.size else 0.0,
        "bins": rows,
    }


def calibrated(classifier: Classifier) -> Classifier:
    """The same classifier with the temperature of its run applied to what it answers.

    Args:
        classifier: opened from a run directory or from a file in one.

    Returns:
        A classifier; equal in its decisions.

    Raises:
        InputError: there is no `calibration.json` beside it or in its run, or it holds no temperature.
    """
    path = classifier.path
    places = [folder / FILE for folder in list(path.absolute().parents)[:2]] if path is not None else []
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(
            f"{path} has no {FILE} beside it or in its run: `keras-transfer report RUN` fits the temperature."
        )
    try:
        temperature = float(json.loads(file.read_text())["temperature"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} holds no temperature ({error}): make it again with `keras-transfer report`."
        ) from error
    if not _BOUNDS[0] <= temperature <= _BOUNDS[1]:
        raise InputError(f"{file}: `temperature` must lie in {_BOUNDS[0]}..{_BOUNDS[1]}. Received: {temperature}.")
    several, plain, scored = bool(classifier.multi_label), classifier.run, classifier.scored

    def run(values: Arrays) -> NDArray[np.float32]:
        return apply_temperature(plain(values), temperature, several)

    def run_scored(values: Arrays) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        assert scored is not None
        probabilities, scores = scored(values)
        return apply_temperature(probabilities, temperature, several), scores

    return replace(classifier, run=run, scored=run_scored if scored is not None else None)
