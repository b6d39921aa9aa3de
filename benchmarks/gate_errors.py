"""How often the gate of a file fails, warns or passes, for a true drop of 0, 1, 3 and 10 points (tolerance 1 point).

    python benchmarks/gate_errors.py --csv docs/results/gate_errors.csv

A simulated classifier of ten classes: each image has logits, its label is drawn from their softmax, and the Keras model
sees them with some noise. The file is another version of the model, damaged in one of three ways:

- `near ties`: a part of the model's noise is drawn anew, so that answers change where two classes were nearly equal, as
  often for the better as for the worse: a good file, at three rates of disagreement.
- `noise`: noise is added to all of the model's logits, as rounding too coarsely adds it.
- `some images`: near ties at 3%, and a share of the images has its probabilities in another order, as where activations
  leave the range that was calibrated.

The strength of a damage is chosen so that the true drop, over 400,000 images, is the one named. Test splits of a size
are then drawn from these images. The columns are the share of test splits on which the gate passes, warns and fails; on
which the bare threshold (more than one point lost) fails; and on which a one-sided paired t-test at 5% says that the
file's log loss is higher.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from table import write_rows

from keras_transfer.exporters import judge_drop
from keras_transfer.exporters.gate import SAME

CLASSES, IMAGES, SPLITS = 10, 400_000, 4000
SIZES, TOLERANCE = (30, 100, 300, 1000), 0.01
SPREAD, NOISE = 6.0, 1.0  # of the logits, and of what the model adds to them: right on about 0.84 of the images
LEAST = 1 / 256  # the step of an int8 file's probabilities
ONE_SIDED = 1.645


@dataclass(frozen=True)
class World:
    """Answers of the model and of a file to all images."""

    labels: np.ndarray
    expected: np.ndarray
    actual: np.ndarray


@dataclass(frozen=True)
class Damage:
    """One way in which a file differs, and the strengths that give what is wanted of it."""

    name: str
    file: Callable[[np.random.Generator, np.ndarray, np.ndarray, float], np.ndarray]
    figure: Callable[[World], float]
    wanted: tuple[float, ...]
    strongest: float


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def near_ties(random: np.random.Generator, logits: np.ndarray, noise: np.ndarray, strength: float) -> np.ndarray:
    other = random.normal(0, NOISE, noise.shape)
    return softmax(logits + np.sqrt(1 - strength) * noise + np.sqrt(strength) * other)


def added_noise(random: np.random.Generator, logits: np.ndarray, noise: np.ndarray, strength: float) -> np.ndarray:
    return softmax(logits + noise + strength * random.normal(0, 1, noise.shape))


def some_images(random: np.random.Generator, logits: np.ndarray, noise: np.ndarray, strength: float) -> np.ndarray:
    actual = near_ties(random, logits, noise, strength_of(DAMAGES[0], 0.03))
    chosen = random.random(len(actual)) < strength
    actual[chosen] = random.permuted(actual[chosen], axis=1)
    return actual


def disagreement(world: World) -> float:
    return float((world.expected.argmax(axis=1) != world.actual.argmax(axis=1)).mean())


def drop(world: World) -> float:
    before, after = (answers.argmax(axis=1) == world.labels for answers in (world.expected, world.actual))
    return float(before.mean() - after.mean())


DAMAGES = (
    Damage("near ties", near_ties, disagreement, (0.01, 0.03, 0.08), 1.0),
    Damage("noise", added_noise, drop, (0.01, 0.03, 0.1), 10.0),
    Damage("some images", some_images, drop, (0.01, 0.03, 0.1), 0.5),
)


@cache
def model() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, logits, the model's noise and its probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(0, SPREAD, (IMAGES, CLASSES))
    labels = (softmax(logits).cumsum(axis=1) > random.random((IMAGES, 1))).argmax(axis=1)
    noise = random.normal(0, NOISE, logits.shape)
    return labels, logits, noise, softmax(logits + noise)


def make_world(damage: Damage, strength: float) -> World:
    labels, logits, noise, expected = model()
    return World(labels, expected, damage.file(np.random.default_rng(1), logits, noise, strength))


@cache
def strength_of(damage: Damage, wanted: float) -> float:
    """The strength at which the damage's figure is the one wanted, by bisection."""
    low, high = 0.0, damage.strongest
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if damage.figure(make_world(damage, middle)) < wanted else (low, middle)
    return (low + high) / 2


@cache
def outcome(lost: int, gained: int, size: int, same: bool) -> str:
    return judge_drop(lost, gained, size, TOLERANCE, same=same).outcome


def rates(world: World, size: int) -> dict[str, float]:
    """The share of test splits of a size with each outcome."""
    before, after = (answers.argmax(axis=1) for answers in (world.expected, world.actual))
    lost = (before == world.labels) & (after != world.labels)
    gained = (before != world.labels) & (after == world.labels)
    changed, apart = before != after, np.abs(world.expected - world.actual).max(axis=1)
    index = np.arange(len(before))
    losses = [-np.log(np.maximum(a[index, world.labels], LEAST)) for a in (world.expected, world.actual)]
    worse = losses[1] - losses[0]
    drawn = np.random.default_rng(size).integers(0, len(lost), (SPLITS, size))
    counts = dict.fromkeys(("pass", "warn", "fail", "bare threshold fails", "log loss is higher"), 0)
    for rows in drawn:
        b, c = int(lost[rows].sum()), int(gained[rows].sum())
        counts[outcome(b, c, size, bool(not changed[rows].any() and apart[rows].mean() <= SAME))] += 1
        counts["bare threshold fails"] += int(b - c > TOLERANCE * size + 1e-9)
        error = worse[rows].std(ddof=1) / np.sqrt(size)
        counts["log loss is higher"] += bool(worse[rows].mean() > ONE_SIDED * error)
    return {name: round(count / SPLITS, 3) for name, count in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for damage in DAMAGES:
        for wanted in damage.wanted:
            world = make_world(damage, strength_of(damage, wanted))
            points = abs(round(100 * drop(world), 1))
            about = {
                "damage": damage.name,
                "true points lost": f"{points:g}",
                "disagree": round(disagreement(world), 3),
            }
            for size in SIZES:
                rows.append(about | {"images": size} | rates(world, size))
                print(rows[-1], flush=True)
    write_rows(options.csv, rows)


if __name__ == "__main__":
    main()
