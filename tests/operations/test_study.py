"""Trials in Optuna's storage: each place is filled once, whatever becomes of the processes that work on them."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="needs the extra `search`")

import optuna
import study_worker
from study_worker import work

from keras_transfer.errors import InputError, KerasTransferError
from keras_transfer.operations import study
from keras_transfer.operations.study import Rules, agree, done_trials, fill_places, open_study

TOTAL = 10


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    work(folder, TOTAL)
    return folder


def found(folder: Path) -> dict[int, tuple[object, object]]:
    opened = open_study(f"sqlite:///{folder / 'study.db'}", "test", ["maximize", "minimize"])
    return {place: (dict(trial.params), trial.facts["found"]) for place, trial in done_trials(opened).items()}


def start(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, study_worker.__file__, folder, str(TOTAL)], stderr=subprocess.DEVNULL)


def test_every_place_is_filled_once(undisturbed: Path) -> None:
    assert sorted(found(undisturbed)) == list(range(TOTAL))
    assert (undisturbed / "measured").read_text().split() == [str(place) for place in range(TOTAL)]
    work(undisturbed, TOTAL)  # all is done
    assert len((undisturbed / "measured").read_text().split()) == TOTAL


def test_killed_and_resumed(undisturbed: Path, tmp_path: Path) -> None:
    for place in (0, 3, 9):
        (tmp_path / f"kill-{place}").touch()
    codes = []
    while not codes or codes[-1]:
        codes.append(start(tmp_path).wait(timeout=150))
    assert codes == [9, 9, 9, 0]
    assert found(tmp_path) == found(undisturbed)
    assert set(Counter((tmp_path / "measured").read_text().split()).values()) == {1}


def test_two_processes_one_of_them_killed(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "kill-5").touch()
    workers = [start(tmp_path), start(tmp_path)]
    assert sorted(worker.wait(timeout=150) for worker in workers) == [0, 9]
    assert found(tmp_path) == found(undisturbed)
    assert set(Counter((tmp_path / "measured").read_text().split()).values()) == {1}


def test_more_places_later(tmp_path: Path, undisturbed: Path) -> None:
    work(tmp_path, 5)
    assert sorted(found(tmp_path)) == list(range(5))
    work(tmp_path, TOTAL)
    assert found(tmp_path) == found(undisturbed)


def test_what_is_refused_is_not_tried_again(tmp_path: Path) -> None:
    def refuse(place: int, params: object) -> tuple[None, dict[str, float]]:
        if place == 1:
            raise KerasTransferError("no such network")
        return None, {"found": 1.0}

    url = f"sqlite:///{tmp_path / 'study.db'}"
    opened = open_study(url, "test", ["maximize"])
    fill_places(
        opened, 3, Rules(study_worker.SPACE, lambda *_: True, lambda *_: {"one": 1, "other": "a"}, refuse), bool
    )
    done = done_trials(opened)
    assert [done[place].why for place in range(3)] == ["", "no such network", ""]


def test_a_stopped_process_puts_its_trial_back(tmp_path: Path) -> None:
    opened = open_study(f"sqlite:///{tmp_path / 'study.db'}", "test", ["maximize"])
    asked: list[int] = []

    def measure(place: int, params: object) -> tuple[None, dict[str, float]]:
        asked.append(place)
        if len(asked) == 1:
            objective.put_back()  # as `at_stop` would, in another thread
            raise KeyboardInterrupt
        return None, {"found": 1.0}

    rules = Rules(study_worker.SPACE, lambda *_: True, lambda *_: {"one": 1, "other": "a"}, measure)
    objective = study._Objective(opened, 2, rules)
    opened.sampler = study._sampler(objective)
    with pytest.raises(Exception), study._stable():  # noqa: B017  (Optuna's own, as the trial is over)
        opened.optimize(objective, n_trials=1)
    fill_places(opened, 2, rules, bool)
    assert asked == [0, 0, 1] and sorted(done_trials(opened)) == [0, 1]


def test_trials_that_were_lost_are_done_again(tmp_path: Path) -> None:
    opened = open_study(f"sqlite:///{tmp_path / 'study.db'}", "test", ["maximize"])
    with pytest.warns(UserWarning, match="Heartbeat"):
        opened.ask()  # killed before its first sign of life
    with pytest.warns(UserWarning, match="Heartbeat"):
        lost = opened.ask()
    lost.set_user_attr("place", 1)
    opened.tell(lost, state=optuna.trial.TrialState.FAIL)  # killed before it was put back
    asked: list[int] = []

    def measure(place: int, params: object) -> tuple[None, dict[str, float]]:
        asked.append(place)
        return None, {"found": 1.0}

    rules = Rules(study_worker.SPACE, lambda *_: True, lambda *_: {"one": 1, "other": "a"}, measure)
    fill_places(opened, 3, rules, bool)
    assert sorted(asked) == [0, 1, 2] and sorted(done_trials(opened)) == [0, 1, 2]


def test_fewer_places_than_before(tmp_path: Path) -> None:
    (tmp_path / "kill-9").touch()
    assert start(tmp_path).wait(timeout=150) == 9
    work(tmp_path, 5)  # what was killed is done all the same
    assert set(range(5)) <= set(found(tmp_path))
    work(tmp_path, TOTAL)
    assert sorted(found(tmp_path)) == list(range(TOTAL))


def test_a_trial_that_kills_its_process_is_given_up(tmp_path: Path) -> None:
    for _ in range(study._ATTEMPTS):
        (tmp_path / "kill-2").touch()
        assert start(tmp_path).wait(timeout=150) == 9
    assert start(tmp_path).wait(timeout=150) != 0  # what follows from it cannot be known to this made search
    opened = open_study(f"sqlite:///{tmp_path / 'study.db'}", "test", ["maximize", "minimize"])
    assert "ended 3 times" in done_trials(opened)[2].why


def test_another_search_of_the_same_name(undisturbed: Path, tmp_path: Path) -> None:
    begun = open_study(f"sqlite:///{undisturbed / 'study.db'}", "test", ["maximize", "minimize"])
    with pytest.raises(InputError, match="its items differ"):
        agree(begun, {"items": []})  # of a program that said nothing of them
    opened = open_study(f"sqlite:///{tmp_path / 'study.db'}", "test", ["maximize"])
    agree(opened, {"items": ["this", 1]})
    agree(opened, {"items": ["this", 1], "options": {}})
    with pytest.raises(InputError, match=r"'test' is of another search: its items differ\. Choose another --out"):
        agree(opened, {"items": ["that", 1]})


def test_a_fault_is_tried_again(tmp_path: Path) -> None:
    opened = open_study(f"sqlite:///{tmp_path / 'study.db'}", "test", ["maximize"])
    asked: list[int] = []

    def measure(place: int, params: object) -> tuple[None, dict[str, float]]:
        asked.append(place)
        if len(asked) < 3:
            raise MemoryError
        return None, {"found": 1.0}

    rules = Rules(study_worker.SPACE, lambda *_: True, lambda *_: {"one": 1, "other": "a"}, measure)
    for _ in range(2):
        with pytest.raises(MemoryError):
            fill_places(opened, 2, rules, bool)
    fill_places(opened, 2, rules, bool)
    assert asked == [0, 0, 0, 1] and not done_trials(opened)[0].why


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////no/such/folder/study.db", "mysterious://there"])
def test_a_storage_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(InputError, match="--storage cannot be opened"):
        open_study(url, "test", ["maximize"])
