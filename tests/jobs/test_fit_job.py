"""A run that must hold a budget: what cannot fit is never trained, and the file is held against it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from html_page import check_page
from numpy.typing import NDArray
from pydantic import TypeAdapter

from keras_transfer.budget import Budget, parse_budget
from keras_transfer.data.split import Split
from keras_transfer.errors import GateError, InputError
from keras_transfer.exporters.targets.fit import CODE_BYTES, MARGIN_BYTES, Needs
from keras_transfer.jobs import audition as audition_job
from keras_transfer.jobs import fit as job
from keras_transfer.jobs.fit import for_budget, within_budget
from keras_transfer.jobs.parts import load_data
from keras_transfer.jobs.train import train
from keras_transfer.litert import tflm
from keras_transfer.modalities import settled
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.recipe import AUTO, Phase, Recipe, make_recipe
from keras_transfer.schemas import Result

HEAD = (Phase(name="frozen", epochs=2, learning_rate=0.02, batch_size=16),)
needs_tflm = pytest.mark.skipif(not tflm.has_tflm(), reason="needs the extra `microcontroller`")


@pytest.fixture(autouse=True, scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory, short_networks: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KERAS_TRANSFER_CACHE", "KERAS_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        yield


@pytest.fixture(scope="module")
def recipe(coloured_noise: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The sizes are those of photographs; the network has pretrained weights by the look of it."""
    photographs = coloured_noise(tmp_path_factory.mktemp("photographs"), 24, (40, 48))
    weights = tmp_path_factory.mktemp("weights") / "mobilenet_0.25.keras"
    build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none").save(weights)
    return make_recipe(
        data=str(photographs), backbone="mobilenet", alpha=0.25, weights=str(weights), phases=HEAD, views=1,
        strategy="feature-extraction", augmentation="none", formats=["int8"], tolerance=0.9, baselines="none",
    )  # fmt: skip


def test_a_budget_makes_a_recipe() -> None:
    plain = make_recipe(data="photos/", fit="ram=64KB")
    assert plain.export.fit == Budget(ram=1 << 16)
    asked = for_budget(plain)
    assert asked.backbone == AUTO and asked.export.targets == ("microcontroller",)
    assert for_budget(make_recipe(data="photos/", device="coral-usb")).export.targets == ("edgetpu",)
    assert for_budget(asked) == asked and for_budget(make_recipe(data="photos/")).model.backbone is None
    assert make_recipe(**json.loads(asked.model_dump_json())) == asked


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"device": "toaster"}, "toaster"),
        ({"fit": "latency=9ms"}, "m7-480MHz"),
        ({"fit": "latency=9ms@abacus-1MHz"}, "abacus"),
        ({"fit": "ram=1KB", "formats": ["float32"]}, "int8"),
        ({"fit": "rom=1KB"}, "rom"),
    ],
)
def test_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        for_budget(make_recipe(data="photos/", **values))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was measured: bytes and arena of a model are made up, in proportion to what the graph says."""
    asked: list[str] = []

    def measure(model: object, target: str, *_: object, **__: object) -> tuple[Needs, str]:
        from keras_transfer.exporters.targets.fit import least_needs

        least = least_needs(model, target)  # type: ignore[arg-type]
        assert least.flash is not None and least.ram is not None
        asked.append(f"{model.input_shape[1]}, {len(model.layers)}")  # type: ignore[attr-defined]
        return Needs(least.flash + 1000, least.ram + 1000, least.multiply_adds, 5000), ""

    monkeypatch.setattr("keras_transfer.exporters.footprint.footprint", measure)
    return asked


def test_the_largest_that_fits(recipe: Recipe, measured: list[str]) -> None:
    asked = settled(for_budget(recipe.replace(fit=parse_budget("ram=50KB"))))
    found, fitting = within_budget(asked, load_data(asked), [asked])
    [row] = fitting["fits"]
    assert row["measured"] and row["ram"] is not None and row["ram"] <= 50 << 10
    assert all(each["ram"] > 50 << 10 and "of ram" in each["why"] for each in fitting["ruled_out"])  # type: ignore[operator]
    sizes = [each.model.image_size for each in found if each.model.depth is None]
    assert sizes == sorted(sizes, reverse=True) and str(sizes[0]) in row["name"]  # type: ignore[type-var]
    assert all(each.model.image_size == sizes[0] for each in found if each.model.depth is not None)
    depths = [each.model.depth or 99 for each in found]
    assert depths == sorted(depths, reverse=True) and depths[-1] < 99
    assert fitting["measured"] == len(measured) < fitting["considered"]
    assert "never trained" in fitting["sentence"]


def test_flash_takes_blocks_away(recipe: Recipe, measured: list[str]) -> None:
    whole = settled(for_budget(recipe.replace(fit=parse_budget("flash=10MB"), image_size=32)))
    data = load_data(whole)
    largest = within_budget(whole, data, [whole])[1]["fits"][0]["flash"]
    assert largest is not None
    less = whole.replace(fit=Budget(flash=largest - 1))
    found, fitting = within_budget(less, data, [less])
    assert found[0].model.depth is not None and found[0].model.image_size == 32
    assert "blocks" in fitting["fits"][0]["name"]


def test_more_effort_is_tried_for_the_best(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = settled(
        make_recipe(data=recipe.data.source, backbone="mobilenet", alpha=0.25, weights=recipe.model.weights)
    )
    data = load_data(asked)
    trained: list[Recipe] = []

    def answers(each: Recipe, fold: object, part: Split) -> NDArray[np.float32]:
        """Larger pictures are better, and more effort is."""
        trained.append(each)
        right = np.eye(3, dtype=np.float32)[part.labels]
        better = (each.model.image_size or 0) // 32 + (each.training.strategy == "full") + (each.training.epochs == 20)
        wrong = len(part) // (2 + better)
        right[:wrong] = np.roll(right[:wrong], 1, axis=1)
        return right

    monkeypatch.setattr(audition_job, "_trained_answers", answers)
    whole, groups = data.train, np.arange(len(data.train))
    folds = audition_job.audition_folds(whole.labels, groups, 0)
    sizes = {f"at {side}": asked.replace(image_size=side) for side in (32, 64)}
    name, taken, finals = audition_job._finals(sizes, data, whole, folds, groups)
    assert name == "at 64" and taken.training.strategy == "full" and taken.training.epochs == 20
    names = ["at 64, with --effort best", "at 64, all layers", "at 64", "at 32"]
    assert [each["name"] for each in finals] == names and len(trained) == 12
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert audition_job._finals(sizes, data, whole, folds, groups)[1] == sizes["at 64"]


def test_nothing_fits(recipe: Recipe, measured: list[str]) -> None:
    asked = settled(for_budget(recipe.replace(fit=Budget(flash=CODE_BYTES + 1, ram=MARGIN_BYTES + 1))))
    with pytest.raises(InputError, match=r"Nothing fits flash=131073B,ram=32769B .* nearest is mobilenet 0.25.*times"):
        within_budget(asked, load_data(asked), [asked])
    assert not measured


def test_a_latency_needs_no_file(recipe: Recipe, measured: list[str]) -> None:
    asked = settled(for_budget(recipe.replace(fit=parse_budget("latency=0.001ms@m7-480MHz"))))
    with pytest.raises(InputError, match=r"takes about \d+ ms where 0.001 ms are allowed"):
        within_budget(asked, load_data(asked), [asked])
    assert not measured


@needs_tflm
def test_a_run(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras_transfer.modalities.image.modality._SIDES", (48, 32))
    heard: list[Recipe] = []
    real = audition_job._heard
    monkeypatch.setattr(audition_job, "_heard", lambda each, *rest: heard.append(each) or real(each, *rest))
    result = train(recipe.replace(fit=parse_budget("flash=170KB,ram=100KB")), tmp_path / "run")
    assert result is not None
    TypeAdapter(Result).validate_python(result)
    fitting = result["audition"]["fit"]
    file, finals = fitting["file"], result["audition"]["finals"]
    assert finals[0]["name"] == result["audition"]["chosen"] and len(finals) == min(3, len(heard))
    assert file["why"] == "" and file["flash"] <= 170 << 10 and file["ram"] <= 100 << 10
    assert result["recommended"] == "export/microcontroller/model.tflite"
    assert {each.model.image_size for each in heard} <= {48, 32} and len(heard) == len(result["audition"]["candidates"])
    again = make_recipe(tmp_path / "run" / "recipe.yaml")
    assert again.model.image_size in (48, 32) and again.export.fit == Budget(flash=170 << 10, ram=100 << 10)
    page = check_page(tmp_path / "run" / "report.html")
    assert "What was ruled out before training" in {text.strip() for text in page.text}
    stricter = again.replace(fit=Budget(ram=MARGIN_BYTES))
    job.check_file(stricter, result, tmp_path / "run")
    assert "of ram" in str(result["gate"])
    assert GateError.exit_code == 3
