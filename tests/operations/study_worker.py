"""A process that works on a study, and is killed where a file says so: for `test_study.py`."""

import os
import sys
import time
from pathlib import Path

from keras_transfer.operations import study
from keras_transfer.operations.study import Done, Params, Rules, fill_places, open_study

study.BEAT, study.GRACE, study._POLL = 1, 4, 0.1
SPACE = {"one": [0, 1, 2, 3, 4], "other": ["a", "b"]}


def ready(place: int, done: Done) -> bool:
    """Every place needs those before its four."""
    return all(each in done for each in range(place - place % 4))


def propose(place: int, done: Done) -> Params:
    """What follows from all places that it needs."""
    known = [float(str(done[each].facts["found"])) for each in range(place - place % 4)]
    return {"one": int(sum(known) + place) % 5, "other": "ab"[place % 2]}


def work(folder: Path, total: int) -> None:
    def measure(place: int, params: Params) -> tuple[list[float] | None, dict[str, float]]:
        mark = folder / f"kill-{place}"
        if mark.exists():
            mark.unlink()
            os._exit(9)
        time.sleep(0.02)
        with (folder / "measured").open("a") as file:
            file.write(f"{place}\n")
        found = float(params["one"]) * 3 + place
        return ([found, 1.0] if place % 4 == 3 else None), {"found": found}

    opened = open_study(f"sqlite:///{folder / 'study.db'}", "test", ["maximize", "minimize"])
    fill_places(opened, total, Rules(SPACE, ready, propose, measure), lambda: False)


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]))
