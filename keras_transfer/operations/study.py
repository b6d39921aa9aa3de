"""A search's trials in Optuna's storage, which any number of processes work on: each is done once, killed or not.

Trials have *places*: 0, 1, 2, ... What is tried at a place follows from what earlier places found and from nothing
else, so a search ends the same way however many processes worked on it and however often they were killed. Optuna
numbers trials in the order in which they begin; one that takes the place of a killed one says so in its attributes.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, cast

from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.extras import require
from keras_transfer.inputs import Json
from keras_transfer.process import at_stop
from keras_transfer.progress import say

if TYPE_CHECKING:
    import optuna

BEAT, GRACE = 8, 40
"""Seconds between two signs of life of a trial, and after how many without any it is done again."""
_ATTEMPTS = 3
_POLL = 1.0

Direction: TypeAlias = Literal["maximize", "minimize"]
Value: TypeAlias = str | int | float
"""A choice."""
Params: TypeAlias = Mapping[str, Value]
"""The choices of a trial, by name."""
Done: TypeAlias = Mapping[int, "Trial"]
"""What was found, by place."""


@dataclass(frozen=True)
class Trial:
    """A trial that is over.

    Attributes:
        params: what was tried.
        facts: what was found.
        why: why it found nothing; else empty.
    """

    params: Params
    facts: Mapping[str, Json]
    why: str = ""


@dataclass(frozen=True)
class Rules:
    """What a search does at a place.

    Attributes:
        space: name -> choices, the same of all trials.
        ready: whether what is tried at a place follows already from what was found.
        propose: what is tried at a place.
        measure: tries it: figures for the study's directions, or None where it is no whole trial, and facts.
    """

    space: Mapping[str, Sequence[Value]]
    ready: Callable[[int, Done], bool]
    propose: Callable[[int, Done], Params]
    measure: Callable[[int, Params], tuple[Sequence[float] | None, Mapping[str, Json]]]


def open_study(storage: str, name: str, directions: Sequence[Direction]) -> "optuna.Study":
    """Opens a study, or makes it.

    Args:
        storage: an address as SQLAlchemy writes it, such as `sqlite:///search.db` or `postgresql://...`.
        name: of the study; several may share a storage.
        directions: `"maximize"` or `"minimize"` of each figure.

    Raises:
        InputError: Optuna is missing, or the storage cannot be opened.
    """
    require("optuna", "search", "A search")
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def opened() -> "optuna.Study":
        with _stable():
            kept = optuna.storages.RDBStorage(
                storage, heartbeat_interval=BEAT, grace_period=GRACE, heartbeat_stale_trial_callback=_again
            )
        return optuna.create_study(storage=kept, study_name=name, directions=[*directions], load_if_exists=True)

    for left in reversed(range(_ATTEMPTS)):
        try:
            study = opened()
            break
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError) as error:
            if not left:
                what = " ".join(str(error).split())[:200]
                raise InputError(f"--storage cannot be opened ({type(error).__name__}: {what}).") from None
            time.sleep(_POLL)  # another process may just be making it
    return study


def agree(study: "optuna.Study", asked: Mapping[str, Json]) -> None:
    """Makes sure that all that work on a study work on the same search.

    Args:
        study: from `open_study`.
        asked: what the search is for; kept by the first, compared by the others.

    Raises:
        InputError: the study is of another search.
    """
    known, begun = study.user_attrs, bool(study.get_trials(deepcopy=False))
    for name, value in asked.items():
        if name not in known and not begun:
            study.set_user_attr(name, value)
        elif known.get(name) != value:
            raise InputError(
                f"The study {study.study_name!r} is of another search: its {name} differ. Choose another --out or "
                "--study, or repeat that search's options to go on with it."
            )


def done_trials(study: "optuna.Study") -> dict[int, Trial]:
    """What was found so far, by place."""
    return _done(study.get_trials(deepcopy=False))


def fill_places(study: "optuna.Study", total: int, rules: Rules, over: Callable[[], bool]) -> None:
    """Works on the places below `total` until all are done, by this process or by others, or time is up.

    Args:
        study: from `open_study`.
        total: how many places there are.
        rules: what is done at them.
        over: whether to begin nothing more.

    Raises:
        InputError: the study's space is another one.
    """
    import optuna

    objective, waited = _Objective(study, total, rules), 0.0
    at_stop(objective.put_back)
    study.sampler = _sampler(objective)
    while not over():
        with _stable():
            optuna.storages.fail_stale_trials(study)
        trials = study.get_trials(deepcopy=False)
        done = _done(trials)
        _revive(study, trials, done)
        if all(place in done for place in range(total)):
            return
        waiting = [_place(trials, trial) for trial in trials if trial.state == optuna.trial.TrialState.WAITING]
        place = waiting[0] if waiting else sum(map(_counts, trials))
        if (place < total or waiting) and rules.ready(place, done):
            waited = 0.0
            with _stable():
                study.optimize(objective, n_trials=1, catch=(KerasTransferError, _PutBack))
            continue
        waited += _POLL
        if waited == 5 * _POLL:
            say(
                f"Waiting for trials of another process. One that was stopped is done again after {GRACE} s without a "
                "sign of life."
            )
        time.sleep(_POLL)


class _Alive(Protocol):
    """A storage that `open_study` has opened."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Gives a sign of life of a trial."""
        ...


class _PutBack(Exception):
    """A trial that is not for now."""


class _Objective:
    """What Optuna calls for each trial."""

    def __init__(self, study: "optuna.Study", total: int, rules: Rules) -> None:
        self.study, self.total, self.rules = study, total, rules
        self.running: optuna.Trial | None = None
        self.given: Params = {}

    def __call__(self, trial: "optuna.Trial") -> Sequence[float]:
        import optuna

        trials = self.study.get_trials(deepcopy=False)
        place = _place(trials, trials[trial.number])
        # Optuna's own first sign of life comes from another thread, when it comes: a trial without any is never missed.
        cast("_Alive", self.study._storage).record_heartbeat(trial._trial_id)
        trial.set_user_attr("place", place)
        done = _done(trials)
        if place in done or (place >= self.total and _counts(trials[trial.number])):  # several processes asked at once
            trial.set_user_attr("surplus", True)
            raise _PutBack
        if not self.rules.ready(place, done):
            _enqueue(self.study, trials[trial.number], place)
            raise _PutBack
        self.running = trial
        try:
            return self._measure(trial, place, done)
        except KerasTransferError as error:
            trial.set_user_attr("why", str(error))
            raise
        except optuna.TrialPruned:
            raise
        except BaseException:  # a fault, no memory, Ctrl-C: whoever comes next tries again
            if self.running is not None:
                _enqueue(self.study, trials[trial.number], place, trial.user_attrs.get("attempts", 1) + 1)
            raise
        finally:
            self.running = None

    def _measure(self, trial: "optuna.Trial", place: int, done: Done) -> Sequence[float]:
        import optuna

        if trial.user_attrs.get("attempts", 1) > _ATTEMPTS:
            raise KerasTransferError(f"its process ended {_ATTEMPTS} times before it was done.")
        self.given = self.rules.propose(place, done)
        params = {
            name: cast(Value, trial.suggest_categorical(name, [*choices])) for name, choices in self.rules.space.items()
        }
        started = time.perf_counter()
        figures, facts = self.rules.measure(place, params)
        for name, value in {**facts, "seconds": round(time.perf_counter() - started, 1)}.items():
            trial.set_user_attr(name, value)
        if figures is None:
            raise optuna.TrialPruned
        return figures

    def put_back(self) -> None:
        """Has the trial that runs now done again, by whoever comes next: this process is being stopped."""
        import optuna

        trial = self.running
        if trial is not None:
            self.running = None
            self.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            trials = self.study.get_trials(deepcopy=False)
            _enqueue(self.study, trials[trial.number], _place(trials, trials[trial.number]))


def _sampler(objective: _Objective) -> "optuna.samplers.BaseSampler":
    """A sampler that gives what was decided elsewhere."""
    import optuna

    class Given(optuna.samplers.BaseSampler):
        def infer_relative_search_space(self, study: object, trial: object) -> dict[str, object]:  # type: ignore[override]
            return {}

        def sample_relative(self, study: object, trial: object, search_space: object) -> dict[str, object]:
            return {}

        def sample_independent(self, study: object, trial: object, param_name: str, distribution: object) -> Value:
            return objective.given[param_name]

    return Given()


def _done(trials: "Sequence[optuna.trial.FrozenTrial]") -> dict[int, Trial]:
    import optuna

    found: dict[int, Trial] = {}
    for trial in trials:
        attributes = trial.user_attrs
        whole = trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        refused = trial.state == optuna.trial.TrialState.FAIL and "why" in attributes
        if whole or refused:
            found[attributes["place"]] = Trial(trial.params, attributes, attributes.get("why", ""))
    return found


def _counts(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether a trial has a place of its own."""
    return not trial.user_attrs.keys() & {"retry", "surplus"}


def _place(trials: "Sequence[optuna.trial.FrozenTrial]", trial: "optuna.trial.FrozenTrial") -> int:
    known = trial.user_attrs.get("place")
    return known if known is not None else sum(map(_counts, trials[: trial.number]))


def _enqueue(study: "optuna.Study", trial: "optuna.trial.FrozenTrial", place: int, attempts: int = 1) -> None:
    study.enqueue_trial({}, user_attrs={"place": place, "retry": trial.number, "attempts": attempts})


def _again(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """Has a trial done again whose process gave no sign of life."""
    place = _place(study.get_trials(deepcopy=False), trial)
    say(f"Trial {place + 1} is done again: the process that worked on it was stopped.")
    _enqueue(study, trial, place, trial.user_attrs.get("attempts", 1) + 1)


def _revive(study: "optuna.Study", trials: "Sequence[optuna.trial.FrozenTrial]", done: Done) -> None:
    """Has trials done again whose process was killed before their first sign of life, or as it put them back."""
    from optuna.trial import TrialState

    alive = {_place(trials, trial) for trial in trials if trial.state in (TrialState.WAITING, TrialState.RUNNING)}
    for trial in trials:
        silent = trial.state == TrialState.RUNNING and "place" not in trial.user_attrs
        lost = trial.state == TrialState.FAIL and _place(trials, trial) not in {*alive, *done}
        since = trial.datetime_start if silent else trial.datetime_complete
        if since is None or not (silent or lost) or "surplus" in trial.user_attrs:
            continue
        if (datetime.now() - since).total_seconds() > GRACE:
            with suppress(ValueError, RuntimeError):  # another process was first
                if silent:
                    study.tell(trial.number, state=TrialState.FAIL)
                _again(study, trial)
                alive.add(_place(trials, trial))


@contextmanager
def _stable() -> Iterator[None]:
    """Signs of life are called experimental in Optuna since its release 2.9."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
