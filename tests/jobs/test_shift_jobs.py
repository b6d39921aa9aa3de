"""New photographs against a run's own, remedies on a run, and what its network sees."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from html_page import check_page
from PIL import Image, ImageFilter
from small_task import small_classifier, textures
from textured_runs import make_run, write

from keras_transfer.data.listing import Layout
from keras_transfer.errors import InputError
from keras_transfer.evaluation import open_classifier
from keras_transfer.geometry import MODES
from keras_transfer.jobs import adapt, see
from keras_transfer.jobs.adapt import METHODS, adapt_run
from keras_transfer.jobs.see import see_run
from keras_transfer.jobs.shift import open_new_items, shift_run
from keras_transfer.modalities.image import ImagePreparer, load_images
from keras_transfer.modalities.image.pizza import draw_pizzas
from keras_transfer.models.batchnorm import adapt_batchnorm
from keras_transfer.recipe import Phase, make_recipe


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        # What the recipe's backbone would be, on a network so small that a run takes seconds.
        for module in (adapt, see):
            patch.setattr(module, "build_classifier_of", lambda recipe, data: pretrained())
        yield


def pretrained():
    model = small_classifier()
    images, labels = textures(20, seed=3)
    adapt_batchnorm(model, load_images(images, labels=labels, val=0, test=0).train)
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory, own_cache):
    """A head on random features, then all of a small network fine-tuned, on drawn textures."""
    images, labels = textures(60)
    phases = (
        Phase(name="frozen", epochs=8, learning_rate=0.01, batch_size=16),
        Phase(name="tuned", stages="all", epochs=10, learning_rate=5e-3, batch_size=16, monitor="val_accuracy"),
    )
    data = write(tmp_path_factory.mktemp("data"), images, labels)
    options = {"phases": phases, "strategy": "fine-tuning", "val": 0.2, "test": 0.3}
    folder = make_run(tmp_path_factory.mktemp("run") / "run", data, pretrained(), **options)
    assert json.loads((folder / "result.json").read_text())["kept"] == "tuned"
    return folder


@pytest.fixture(scope="module")
def new():
    return textures(20, seed=9)


def known(names):
    """A run's photographs, as far as new ones ask of them."""
    return SimpleNamespace(class_names=names, train=SimpleNamespace(preparer=ImagePreparer(MODES["squash"])))


def dull(images):
    return np.rint(127.5 + 0.15 * (images.astype(float) - 127.5)).astype(np.uint8)


def test_photographs_of_the_same_kind_are_called_so(run, new, tmp_path):
    found = shift_run(run, write(tmp_path / "same", new[0]), tmp_path / "out")
    assert found["verdict"]["outcome"] == "same" and found["accuracy"] is None
    assert found["two_sample"]["p_value"] > 0.05 and found["mmd"]["p_value"] > 0.02
    assert not (tmp_path / "out" / "recipe.yaml").exists()
    check_page(tmp_path / "out" / "shift.html")


def test_a_shift_is_seen_named_and_answered(run, new, tmp_path, audit):
    images, labels = new
    found = shift_run(run, write(tmp_path / "dull & <b>gray</b>", dull(images), labels), tmp_path / "out")
    assert found == json.loads((tmp_path / "out" / "shift.json").read_text())
    assert found["verdict"]["outcome"] == "far" and found["mmd"]["p_value"] < 0.01
    words = " ".join(found["verdict"]["sentences"])
    assert "much lower in contrast" in words and found["accuracy"]["value"] < found["own_accuracy"]
    assert found["stages"][0]["new"] > found["stages"][0]["own"]
    assert "adapt" in found["next"][0]["command"] and "contrast" in found["next"][2]["why"]
    matched = make_recipe(tmp_path / "out" / "recipe.yaml").training.augmentation
    assert matched["strength"] == "none" and matched["contrast"] > 0.5
    page = check_page(tmp_path / "out" / "shift.html")
    assert "<b>gray</b>" in " ".join(page.text) and "b" not in page.tags
    assert audit(tmp_path / "out" / "shift.html") == []


def test_adabn_on_a_run_gives_a_run_whose_files_are_as_good(run, new, tmp_path):
    images, labels = new
    new = write(tmp_path / "dull", dull(images), labels)
    result = adapt_run(run, tmp_path / "adapted", method="adabn", new_items=new)
    adapted = result["adapted"]
    assert adapted["after"] > adapted["before"] + 0.1 and adapted["images"] == len(images)
    assert result["test"]["images"] == json.loads((run / "result.json").read_text())["test"]["images"]
    assert (tmp_path / "adapted" / "report.html").is_file()
    split, labelled, _ = open_new_items(new, known(result["classes"]))
    file = open_classifier(tmp_path / "adapted" / "export" / "model_float32.tflite")
    right = (file.predict(split.pixels(32)).argmax(axis=1) == split.labels).mean()
    assert labelled and right == pytest.approx(adapted["after"], abs=0.03)
    with pytest.raises(InputError, match="not empty"):
        adapt_run(run, tmp_path / "adapted", method="adabn", new_items=new)


def test_wise_ft_lies_between_before_and_after(run, tmp_path):
    result = adapt_run(run, tmp_path / "wise", method="wise-ft")
    told = result["adapted"]
    tried = {row["share"]: row["accuracy"] for row in told["tried"]}
    assert tried[told["share"]] == max(tried.values())
    phases = {phase["name"]: phase["val_accuracy"] for phase in result["phases"]}
    assert [tried[0.0], tried[1.0]] == pytest.approx([phases["frozen"], phases["tuned"]])
    assert result["kept"] == "tuned"  # otherwise nothing above is proved


def test_wrong_calls_are_told(run, new, tmp_path):
    with pytest.raises(InputError, match="adabn"):
        adapt_run(run, tmp_path / "a", method="hope")
    with pytest.raises(InputError, match="--to"):
        adapt_run(run, tmp_path / "b", method="coral")
    with pytest.raises(InputError, match="no finished run"):
        shift_run(tmp_path, tmp_path, tmp_path / "c")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no usable photograph"):
        shift_run(run, tmp_path / "empty", tmp_path / "d")
    with pytest.raises(InputError, match="8 or more"):
        shift_run(run, write(tmp_path / "few", new[0][:3]), tmp_path / "e")
    assert not (tmp_path / "a").exists() and not (tmp_path / "b").exists()
    assert set(METHODS) >= {"adabn", "coral", "mmd", "dann", "wise-ft"}


def test_labels_are_taken_where_the_model_knows_them(new, tmp_path):
    images, labels = new
    names = sorted(set(labels))
    split, labelled, _ = open_new_items(write(tmp_path / "known", images, labels), known(names))
    assert split.geometry == MODES["squash"]
    assert labelled and [names[i] for i in split.labels] == [path.parent.name for path in split.paths]
    other = write(tmp_path / "unknown", images[:8], ["somewhere"] * 8)
    (other / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    split, labelled, problems = open_new_items(other, known(names))
    assert len(split) == 8 and not labelled and len(problems) == 1 and split.geometry == MODES["squash"]


def test_the_page_of_what_a_network_sees(run, audit):
    found = see_run(run, held_back="digits")
    assert found == json.loads((run / "see.json").read_text())
    assert [row["stage"] for row in found["cka"]] == ["stage0", "stage1", "stage2"]
    assert all(0 < row["cka"] < 0.999 for row in found["cka"])
    back = found["held_back"]
    assert back["after"] - back["before"] == pytest.approx(back["difference"]["value"]) and back["images"] > 100
    page = check_page(run / "see.html")
    assert audit(run / "see.html") == []
    assert "svg" in page.tags and len(page.images) > len(found["followed"]) * (len(found["cka"]) + 1)


def test_blur_and_grayscale_are_named():
    from keras_transfer.modalities.image.appearance import appearance, differences

    plain = draw_pizzas(per_class=8, side=64, seed=1)[0]
    changed = {
        "less sharp": [np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(2))) for p in plain],
        "without colour": [np.asarray(Image.fromarray(p).convert("L").convert("RGB")) for p in plain],
        "darker": [p // 3 for p in plain],
    }
    figures = {name: [appearance(p) for p in images] for name, images in {"": plain, **changed}.items()}
    tables = {name: {key: [row[key] for row in rows] for key in rows[0]} for name, rows in figures.items()}
    for name in changed:
        said = {row["property"]: row["words"] for row in differences(tables[""], tables[name])}
        assert any(name in words for words in said.values()), (name, said)
        assert name == "without colour" or said["gray"] == ""
    assert not any(row["words"] for row in differences(tables[""], tables[""]))


def test_new_photographs_in_folders_further_down_have_labels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 40, 40, 3), np.uint8)
    for number, image in enumerate(images):
        place = tmp_path / "new" / str(2023 + number // 4) / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    own = load_images(tmp_path / "new" / "2023", val=0, test=0)
    assert open_new_items(tmp_path / "new", own)[1] is False
    split, labelled, _ = open_new_items(tmp_path / "new", own, Layout(classes_at_depth=2))
    assert labelled and len(split) == 8 and split.labels.tolist() == [0, 0, 1, 1] * 2
