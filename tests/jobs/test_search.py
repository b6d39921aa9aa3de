"""A search: what is tried follows from what was found, the test split is read at the end, and it ends the same way."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from html_page import check_page
from numpy.typing import NDArray
from pydantic import TypeAdapter

pytest.importorskip("optuna", reason="needs the extra `search`")

from keras_transfer.data.split import Split
from keras_transfer.errors import InputError
from keras_transfer.jobs import search as job
from keras_transfer.jobs.search import search
from keras_transfer.jobs.search_space import make_task
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.recipe import Phase, Recipe, make_recipe
from keras_transfer.schemas import Search
from keras_transfer.training import features


@pytest.fixture(autouse=True, scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory, short_networks: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KERAS_TRANSFER_CACHE", "KERAS_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        patch.setattr("keras_transfer.modalities.image.modality._SIDES", (48, 48, 40, 40, 32))
        yield


@pytest.fixture(scope="module")
def recipe(coloured_noise: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    photographs = coloured_noise(tmp_path_factory.mktemp("photographs"), 24, (40, 48))
    weights = tmp_path_factory.mktemp("weights") / "mobilenet_0.25.keras"
    build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none").save(weights)
    return make_recipe(
        data=str(photographs), backbone="mobilenet", alpha=0.25, weights=str(weights), augmentation="none",
        formats=["int8"], tolerance=0.9, baselines="none", geometry="crop",
    )  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that were trained in folds; how good they are is made up: more of all layers is better."""
    asked: list[Recipe] = []

    def answers(each: Recipe, fold: object, part: Split) -> tuple[NDArray[np.float32], int]:
        asked.append(each)
        own = each.training
        right = np.eye(len(part.class_names), dtype=np.float32)[part.labels]
        good = 0.5 + 0.2 * (own.strategy == "full") + 0.2 * (own.label_smoothing > 0)
        wrong = round(len(part) * (1 - good))
        right[:wrong] = np.roll(right[:wrong], 1, axis=1)
        return right, 1

    monkeypatch.setattr(job, "retrained", answers)
    short = (Phase(name="frozen", epochs=1), Phase(name="fine-tuning", stages=1, epochs=1, learning_rate=1e-4))
    monkeypatch.setattr("keras_transfer.training.plan.make_phases", lambda *_, **__: short)
    return asked


def test_a_search(recipe: Recipe, trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    real = job.train
    monkeypatch.setattr(job, "train", lambda each, folder: (read.append(folder), real(each, folder))[1])
    found = search(recipe, tmp_path / "s", trials=20)
    assert found is not None
    TypeAdapter(Search).validate_python(found)
    assert [trial["place"] for trial in found["trials"]] == list(range(20))
    rungs = [trial["rung"] for trial in found["trials"]]
    assert rungs == [*["short"] * 6, "whole", "whole", *["short"] * 6, "whole", "whole", *["short"] * 4]
    usual = found["usual_choices"]
    assert usual["strategy"] == "auto" and "augmentation" not in usual
    assert all(trial["choices"] == usual for trial in found["trials"][:4]) and len(found["networks"]) >= 4
    assert len({trial["network"] for trial in found["trials"][:4]}) == 4
    best, effects = found["best"], {(row["field"], row["value"]): row["difference"] for row in found["effects"]}
    assert best["choices"]["strategy"] == "full" or best["choices"]["label_smoothing"] == 0.1
    assert effects["strategy", "full"] > effects["strategy", "feature-extraction"]
    assert {each.training.augmentation for each in trained} == {"none"}  # what the recipe says stays
    assert read == [Path(best["run"]), tmp_path / "s" / "runs" / "0000"]
    page = check_page(tmp_path / "s" / "search.html")
    assert "What each choice moves" in {text.strip() for text in page.text}
    again = make_recipe(Path(best["run"], "recipe.yaml"))
    assert again.training.label_smoothing == best["choices"]["label_smoothing"]

    count = len(trained)
    once_more = search(recipe, tmp_path / "s", trials=20)
    assert once_more is not None and once_more["trials"] == found["trials"] and len(trained) == count
    with pytest.raises(InputError, match="its options differ"):
        search(recipe.replace(seed=1), tmp_path / "s", trials=20)
    learned: list[dict[int, job.Trial]] = []
    monkeypatch.setattr(job, "_ended", lambda task, done, *_: learned.append(done))
    search(recipe.replace(seed=1), tmp_path / "later", trials=9, after=[tmp_path / "s"])
    first, then = learned[0][0].params, learned[0][8].params
    assert {name: first[name] for name in usual} == usual  # it begins with what is simple all the same
    assert then["strategy"] == "full" or then["label_smoothing"] == 0.1


def test_all_depths_are_heard_in_one_pass(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path))
    passes: list[int] = []
    real = features._write_features
    monkeypatch.setattr(features, "_write_features", lambda *each: (passes.append(len(each[3])), real(*each))[1])
    task = make_task(recipe, [], {})
    depths = {each.model.depth for each in task.networks.values()}
    assert passes == [len(depths)] * 2 and len(depths) > 1  # of two sizes
    sizes = {each.model.image_size for each in task.networks.values()}
    assert sizes == {48, 32} and len(task.rows) <= 2 * len(depths)


def test_it_ends_the_same_way_in_pieces(
    recipe: Recipe, trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[dict[int, job.Trial]] = []
    monkeypatch.setattr(job, "_ended", lambda task, done, *_: ended.append(done))
    for trials in (3, 7, 12):
        search(recipe, tmp_path / "pieces", trials=trials)
    search(recipe, tmp_path / "whole", trials=12)
    plain = [
        {place: (dict(trial.params), trial.facts["by_fold"]) for place, trial in each.items()} for each in ended[2:]
    ]
    assert plain[0] == plain[1] and len(plain[0]) == 12


def test_nothing_that_cannot_fit_is_trained(
    recipe: Recipe, trained: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras_transfer.exporters.targets.fit import Needs, least_needs

    def measure(model: object, target: str, *_: object, **__: object) -> tuple[Needs, str]:
        least = least_needs(model, target)  # type: ignore[arg-type]
        assert least.flash is not None and least.ram is not None
        return Needs(least.flash + 1000, least.ram + 1000, least.multiply_adds, 5000), ""

    monkeypatch.setattr("keras_transfer.exporters.footprint.footprint", measure)
    from keras_transfer.budget import parse_budget

    found = search(recipe.replace(fit=parse_budget("flash=170KB,ram=90KB")), tmp_path / "fit", trials=7)
    assert found is not None and found["fit"] is not None and found["fit"]["ruled_out"]
    names = {row["name"] for row in found["networks"]}
    assert {trial["network"] for trial in found["trials"]} <= names
    assert not names & {row["name"] for row in found["fit"]["ruled_out"]}
    assert "ruled out before training" in (tmp_path / "fit" / "search.html").read_text()


@pytest.mark.parametrize("options", [{"trials": 0}, {"hours": 0.0}, {"after": ["/no/such/folder"]}])
def test_refused(recipe: Recipe, tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        search(recipe, tmp_path / "s", **options)  # type: ignore[arg-type]
