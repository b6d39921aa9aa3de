"""The audition: the backbone of a run is chosen by probes, said everywhere, and kept."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from encoders import write_encoder
from html_page import check_page
from PIL import Image
from pydantic import TypeAdapter

import keras_transfer as kt
from keras_transfer.cli.summary import print_audition
from keras_transfer.errors import InputError
from keras_transfer.evaluation.audition import choose
from keras_transfer.files import write_json
from keras_transfer.jobs import audition as job
from keras_transfer.jobs.inspect import inspect_data
from keras_transfer.jobs.train import train
from keras_transfer.modalities import settled
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.recipe import AUTO, Phase, Recipe, make_recipe
from keras_transfer.schemas import Audition, Result

HEAD = (Phase(name="frozen", epochs=2, learning_rate=0.02, batch_size=16),)
NAME, BUNDLED = "mobilenet 0.25 at 64", "mobilenet_v2 0.35 at 64"


@pytest.fixture(autouse=True, scope="module")
def own_folders(tmp_path_factory: pytest.TempPathFactory, short_networks: None) -> Iterator[None]:
    """No cache, and no weights that were downloaded to this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KERAS_TRANSFER_CACHE", "KERAS_HOME", "HF_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name)))
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a small backbone, and with a file that holds none."""
    folder = tmp_path_factory.mktemp("weights")
    build_classifier("mobilenet", 2, alpha=0.25, image_size=32, weights="none").save(folder / "mobilenet_0.25.keras")
    (folder / "vgg16_notop.h5").write_bytes(b"damaged")
    return folder


@pytest.fixture(scope="module")
def photographs(coloured_noise: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured_noise(tmp_path_factory.mktemp("photographs"), 24, (40, 48))


@pytest.fixture(scope="module")
def recipe(photographs: Path, weights: Path) -> Recipe:
    return make_recipe(
        data=str(photographs), backbone=AUTO, weights=str(weights), image_size=64, strategy="feature-extraction",
        phases=HEAD, views=1, augmentation="none", formats=["float32"], tolerance=0.9, baselines="none",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job") / "run"
    train(recipe, folder)
    return folder


def test_the_smallest_of_the_best_is_trained(run: Path, weights: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    TypeAdapter(Result).validate_python(result)
    found = result["audition"]
    assert found["chosen"] == choose(found["candidates"])[0]["name"]
    assert found["folds"] == 5 and found["rival"] is found["random_split"] is None
    assert {row["name"] for row in found["candidates"]} == {NAME, BUNDLED}
    assert all(row["accuracy"] > 0.8 for row in found["candidates"])
    small, bundled = sorted(found["candidates"], key=lambda row: row["parameters"])
    assert small["name"] == NAME and small["multiply_adds"] > 0 and bundled["weights"] == "bundled"
    [why] = found["left_out"]
    assert why.startswith("vgg16 at 64 is left out: ") and str(weights) in why
    model = make_recipe(run / "recipe.yaml").model
    [row] = [row for row in found["candidates"] if row["name"] == found["chosen"]]
    assert (model.backbone, model.alpha, model.weights) == (row["backbone"], row["alpha"], row["weights"])
    assert model.image_size == 64 and small["weights"] == str(weights / "mobilenet_0.25.keras")


def test_the_report_and_the_terminal_show_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = check_page(run / "report.html")
    assert {"Which backbone?", NAME, BUNDLED, "chosen"} <= {text.strip() for text in page.text}
    assert f"| {NAME} | " in (run / "report.md").read_text()
    print_audition(json.loads((run / "result.json").read_text()))
    printed = capsys.readouterr().out
    assert "Audition: probes on frozen features" in printed and "The backbone is mobilenet" in printed


def test_the_same_call_goes_on_with_the_choice(run: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    before = json.loads((run / "result.json").read_text())["audition"]
    monkeypatch.setattr(job, "_hold", None)  # nothing is tried twice
    assert train(recipe, run) is not None  # it is finished already
    for name in ("result.json", "report.html"):
        (run / name).unlink()
    train(recipe, run)
    assert json.loads((run / "result.json").read_text())["audition"] == before
    with pytest.raises(InputError, match=r"another run, which differs in .*backbone"):
        train(recipe.replace(image_size=96), run)


def test_a_choice_without_a_run(recipe: Recipe, photographs: Path, tmp_path: Path) -> None:
    found = kt.audition(recipe.replace(backbone=None))
    TypeAdapter(Audition).validate_python(found)
    assert {row["name"] for row in found["candidates"]} == {NAME, BUNDLED}
    assert found["images"] == 64  # and none of the test
    assert inspect_data(make_recipe(data=str(photographs), backbone=AUTO, image_size=64), tmp_path)["weights"] == (
        "bundled"
    )
    for fields, why in (
        ({"alpha": 0.5}, "`alpha` goes with a named backbone.*0.5"),
        ({"weights": "none"}, "chooses among pretrained weights"),
        ({"weights": str(tmp_path / "inspection.json")}, "does not say which backbone"),
    ):
        with pytest.raises(InputError, match=why):
            kt.audition(recipe.replace(**fields))


def _paint(path: Path, number: int, label: int, place: int | None = None) -> None:
    """Noise with a weak colour of the label's, and in one corner a strong one of the place's."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 120, (40, 48, 3))
    if place is None:
        pixels[..., 2 * label] += 100
    else:
        pixels[..., :] = random.integers(0, 120, 3) + random.integers(0, 9, (40, 48, 1))
        pixels[:20, :24] = np.random.default_rng(place).integers(0, 256, 3)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


def test_groups_are_kept_apart_and_flattery_is_named(tmp_path: Path) -> None:
    with (tmp_path / "data.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "camera"])
        for number in range(160):
            camera = number % 16
            label = int(np.random.default_rng(camera).integers(0, 2))  # only the camera says it
            _paint(tmp_path / f"p/{number}.png", number, label, camera)
            writer.writerow([f"p/{number}.png", "ab"[label], camera])
    recipe = make_recipe(data=str(tmp_path / "data.csv"), group_by="camera", weights="bundled", image_size=64)
    found = kt.audition(recipe)
    [row] = found["candidates"]
    assert found["random_split"] is not None and found["random_split"] > row["accuracy"] + row["error"]
    assert "would flatter by" in found["sentences"][-1] and row["error"] > 0.02


def test_several_labels_an_item(tmp_path: Path) -> None:
    rows = ["path,labels"]
    for number in range(60):
        _paint(tmp_path / f"p/{number}.png", number, number % 2)
        rows.append(f"p/{number}.png,{'warm|red' if number % 2 == 0 else 'cold'}")
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    found = kt.audition(make_recipe(data=str(tmp_path / "data.csv"), weights="bundled", image_size=64))
    assert [row["name"] for row in found["candidates"]] == [BUNDLED] and found["candidates"][0]["accuracy"] > 0.9


def test_few_items_are_refused_by_name(tmp_path: Path) -> None:
    for number in range(12):
        _paint(tmp_path / "ab"[number % 2] / f"{number}.png", number, number % 2)
    with pytest.raises(InputError, match="too few items to choose a backbone by"):
        kt.audition(make_recipe(data=str(tmp_path), weights="bundled", few_shot=1, val=0.4, test=0.4))


def test_of_texts_encoders_and_tfidf_are_tried(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(120):
            words = random.choice(["the", "a", "was", "is", "very", "it", "and"], random.integers(2, 20))
            words[random.integers(0, len(words))] = ("bad", "good")[number % 2]
            writer.writerow([f"{' '.join(words)} {number}.", ("bad", "good")[number % 2]])
    encoder = write_encoder(tmp_path / "encoders/tiny")
    recipe = make_recipe(data=str(tmp_path / "reviews.csv"), backbone=AUTO, weights=str(tmp_path / "encoders"))
    found = kt.audition(recipe)
    assert {row["backbone"] for row in found["candidates"]} == {str(encoder), "mini", "tfidf"} and found[
        "rival"
    ] is None
    assert all(row["parameters"] > 0 for row in found["candidates"])
    folder = tmp_path / "run"
    result = train(recipe.replace(baselines="none", formats=("float32",)), folder)
    assert result is not None and result["audition"]["chosen"] == found["chosen"]
    assert result["test"]["accuracy"] > 0.7 and Path(result["backbone"]).name == found["chosen"]
    with pytest.raises(InputError, match="holds no text encoder"):
        kt.audition(recipe.replace(weights=str(folder)))


def test_a_choice_of_a_run_that_never_began_counts_for_nothing(tmp_path: Path) -> None:
    recipe = settled(make_recipe(data="photos/", backbone=AUTO))
    asked = recipe.model.model_dump(mode="json")
    chosen = asked | {"backbone": "mobilenet_v2"}
    write_json(tmp_path / "checkpoints" / "audition.json", {"asked": asked, "chosen": chosen, "audition": {"rows": []}})
    assert job.held(recipe, tmp_path) == (recipe, None)
    write_json(tmp_path / "environment.json", {})
    assert job.held(recipe, tmp_path) == (recipe.replace(backbone="mobilenet_v2"), {"rows": []})
