"""What a file may lose: the paired test on the same items, its outcome in words, and what to do next.

The gate has three outcomes. A file fails where it loses more than the tolerance beyond doubt: the exact one-sided test
of `keras_transfer.exporters.paired` at 5%. It is a warning where the loss seen is over the tolerance but the test
cannot tell it from chance, and also where the items are too few to rule out that it is broken, see `BREAKAGE`.
Otherwise it passes. Only lost answers fail a file: its probabilities may shift without a decision changing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

from keras_transfer.exporters.paired import drop_above, drop_below
from keras_transfer.recipe import OTHER_RUNTIMES
from keras_transfer.schemas import Artifact, Outcome, Proof

Listed = TypeVar("Listed", Artifact, Proof)
DOUBT = 0.05
"""The chance that a file which loses just the tolerance fails; and that a broken one passes."""
BREAKAGE = 0.1
"""A file that loses so much accuracy (or twice the tolerance, if that is more) is broken: it must not pass by luck."""
SAME = 0.01
"""Answers are the same where no decision differs and probabilities by less than this, on average."""
PREFERRED = ("int8", "dynamic", "float16", "16x8", "float32", "onnx", "saved-model")
"""Formats from the smallest and fastest on most devices to the largest; 16x8 is small, and slow on most of them."""


@dataclass(frozen=True)
class DropVerdict:
    """The outcome of a gate.

    Attributes:
        outcome: `"pass"`, `"warn"` or `"fail"`.
        lost: items that only the first model answers right.
        gained: items that only the second one does.
        n_items: all items.
        tolerance: the accuracy that may be lost, 0..1.
        p: of the test that no more than the tolerance is lost, 0..1.
    """

    outcome: Outcome
    lost: int
    gained: int
    n_items: int
    tolerance: float
    p: float

    @property
    def drop(self) -> float:
        """The accuracy that was lost, in -1..1."""
        return (self.lost - self.gained) / self.n_items

    @property
    def over(self) -> bool:
        """Whether more than the tolerance was lost, by chance or not."""
        return self.drop > self.tolerance + 1e-9  # 5 of 500 items are 0.01, whatever binary fractions make of it

    def words(self) -> str:
        """The outcome in one sentence without its subject.

        >>> judge_drop(3, 0, 296, 0.01).words()
        '3 of 296 test items lost and 0 gained: 1.0 points, over the tolerance of 1, but too few to tell (p = 0.57).'
        """
        counts = f"{self.lost} of {self.n_items} test items lost and {self.gained} gained"
        points, tolerance = f"{100 * self.drop:.1f} points", f"the tolerance of {100 * self.tolerance:g}"
        if self.outcome == "fail":
            return f"{counts}: {points}, over {tolerance} beyond doubt (p = {self.p:.2g})."
        if self.over:
            return f"{counts}: {points}, over {tolerance}, but too few to tell (p = {self.p:.2g})."
        if self.outcome == "warn":
            return f"{counts}: too few test items to rule out a loss of {100 * _broken(self.tolerance):g} points."
        return f"{counts}: within {tolerance}."


def judge_drop(lost: int, gained: int, n_items: int, tolerance: float, *, same: bool = False) -> DropVerdict:
    """Judges a loss of accuracy on the same items.

    Args:
        lost: items that only the first model answers right.
        gained: items that only the second one does; with `lost` at most `n_items`.
        n_items: all items, 1 or more.
        tolerance: the accuracy that may be lost, 0..1.
        same: whether all probabilities are known to be nearly equal: few items are then no reason for doubt.

    >>> [judge_drop(lost, 0, 30, 0.01).outcome for lost in (0, 1, 4)]
    ['pass', 'warn', 'fail']
    """
    p = drop_above(lost, gained, n_items, tolerance)
    verdict = DropVerdict("pass", lost, gained, n_items, tolerance, p)
    broken = _broken(tolerance)
    outcome: Outcome = "pass"
    if verdict.over:
        outcome = "fail" if p <= DOUBT else "warn"
    elif not same and broken < 1 and drop_below(lost, gained, n_items, broken) > DOUBT:
        outcome = "warn"
    return DropVerdict(outcome, lost, gained, n_items, tolerance, p)


def _broken(tolerance: float) -> float:
    return max(BREAKAGE, 2 * tolerance)


def advise(
    kind: str,
    outcome: Outcome,
    *,
    passed: Collection[str] = (),
    repaired: bool = False,
    trained: bool = False,
    label_drop: float | None = None,
) -> str:
    """What to do about a file that did not pass.

    Args:
        kind: the file's format.
        outcome: of its gate.
        passed: formats of files that did.
        repaired: whether remedies of `--repair` were tried.
        trained: whether the file comes from quantization-aware training.
        label_drop: where an item may have several labels, the accuracy of single labels that was lost.

    Returns:
        One or two sentences, none for a file that passed.

    >>> advise("dynamic", "fail", passed=["int8", "float16"])
    'Take the int8 or float16 file, which passed.'
    """
    if outcome == "pass":
        return ""
    if outcome == "warn":
        return "More test items would decide it."
    if kind in ("float32", *OTHER_RUNTIMES):
        return "A float file should answer as the Keras model does: its conversion is at fault, please report it."
    ways = [f"take the {' or '.join(passed)} file, which passed"] if passed else []
    if kind == "int8":
        ways += _remedies(repaired, trained)
    if not passed:
        ways.append("try --format float32" if kind == "float16" else "try --format float16")
    advice = f"{_list(ways)}."
    advice = f"{advice[0].upper()}{advice[1:]}"
    if repaired:
        advice = f"No remedy of `--repair` was enough. {advice}"
    if label_drop is not None:
        advice += (
            f" An item counts as right only with all of its labels; of single labels {100 * label_drop:.1f} points "
            "were lost: a wider --tolerance may suit."
        )
    return advice


def _remedies(repaired: bool, trained: bool) -> list[str]:
    """What is left to try for an int8 file."""
    ways = [] if repaired or trained else ["try `--repair`"]
    if trained:
        ways.append("train it longer (`keras-transfer compress RUN --qat --epochs N`)")
    elif find_spec("tensorflow_model_optimization") is not None and find_spec("tf_keras") is not None:
        ways.append("train with quantization (`keras-transfer compress RUN --qat`)")
    return ways


def _list(ways: Sequence[str]) -> str:
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])}, or {ways[-1]}"


def recommend(artifacts: Iterable[Listed], targets: Sequence[str] = ()) -> Listed | None:
    """The file to use: the first of `PREFERRED` that passed its gate, of those that most of the targets take.

    A warning counts as passed only where no file that as many targets take passed without one. Where no file is taken
    by all targets, those named first come first. Where none passed, it is the float16 file, else the float32 one, else
    the first that is left.

    Args:
        artifacts: as `export` lists them; those of `OTHER_RUNTIMES` only count where there is no other.
        targets: the devices that the files are for.

    Returns:
        One of `artifacts`; None where there are none.
    """
    listed = list(artifacts)
    listed = [artifact for artifact in listed if artifact["format"] not in OTHER_RUNTIMES] or listed

    def outcome(artifact: Listed) -> str:
        gate = artifact.get("gate")  # files of earlier releases have none, or one without an outcome
        return gate.get("outcome", "warn") if gate else "warn"

    def rank(artifact: Listed) -> tuple[int, bool, list[bool], int, int]:
        verdicts = artifact["targets"]
        refused = [not (target in verdicts and verdicts[target]["ok"]) for target in targets]
        place = PREFERRED.index(artifact["format"])
        return sum(refused), outcome(artifact) == "warn", refused, place, artifact["bytes"]

    good = [artifact for artifact in listed if outcome(artifact) != "fail"]
    floats = [artifact for kind in ("float16", "float32") for artifact in listed if artifact["format"] == kind]
    return min(good or floats[:1] or listed, key=rank, default=None)


def refusals(proofs: Sequence[Proof]) -> list[str]:
    """One sentence for each target that takes none of the files."""
    sentences = []
    for target in dict.fromkeys(target for proof in proofs for target in proof["targets"]):
        verdicts = [(proof["file"], proof["targets"][target]) for proof in proofs if target in proof["targets"]]
        if not any(verdict["ok"] for _, verdict in verdicts):
            reasons = "; ".join(f"{file} {verdict['why']}" for file, verdict in verdicts)
            sentences.append(f"Target {target} takes none of the files: {reasons}.")
    return sentences
