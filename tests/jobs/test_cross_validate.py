"""Cross-validation of recipes: folds are whole, frozen parts are computed once, two recipes see the same folds."""

import numpy as np
import pytest

from keras_transfer.cli.cross_validate import sentence
from keras_transfer.data.folds import item_groups, joined
from keras_transfer.errors import InputError
from keras_transfer.jobs import retrain
from keras_transfer.jobs.cross_validate import cross_validate
from keras_transfer.jobs.parts import load_data
from keras_transfer.modalities.image.builder import build_classifier
from keras_transfer.recipe import Phase, make_recipe
from keras_transfer.training import features

HEAD = Phase(name="frozen", epochs=4, learning_rate=0.02, batch_size=16)
TOP = Phase(name="top", stages=1, epochs=1, learning_rate=0.001, batch_size=16)


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def recipe(*phases, **told):
    return make_recipe(
        data="pizza:per_class=20,side=64", weights="bundled", image_size=64,
        strategy="feature-extraction" if len(phases) == 1 else "fine-tuning", phases=phases, views=2, **told,
    )  # fmt: skip


def test_two_recipes_on_the_same_folds(monkeypatch):
    passes = []
    choose = features._engine_of
    monkeypatch.setattr(features, "_engine_of", lambda *told: passes.append(told) or choose(*told))
    told = recipe(HEAD), recipe(HEAD, TOP), recipe(HEAD)
    found = cross_validate(*told, names=("head", "top", "same"), folds=2, repeats=1)
    # Views, validation and answers, for the frozen recipe and for the one that trains a stage: whatever the folds.
    assert 0 < len(passes) <= 6, passes
    head, top, same = found["recipes"]
    assert len(head["by_fold"]) == 2 and head["accuracy"]["value"] == pytest.approx(np.mean(head["by_fold"]))
    assert head["accuracy"]["low"] <= head["accuracy"]["value"] <= head["accuracy"]["high"]
    assert head["by_fold"] == same["by_fold"]  # the other may end as it began: what does not help is rolled back
    other, none = found["comparisons"]
    gain = top["accuracy"]["value"] - head["accuracy"]["value"]
    assert other["difference"] == pytest.approx(gain) and other["low"] <= gain <= other["high"]
    assert none["difference"] == 0 and none["p"] == 1 and "chance" in sentence("head", none)
    data = load_data(told[0])
    assert found["images"] == len(data.train) + len(data.val) and found["held_out"] == len(data.test)
    # Asked again, nothing is trained.
    monkeypatch.setattr(retrain, "fit_recipe", None)
    assert cross_validate(told[0], folds=2, repeats=1)["recipes"][0]["by_fold"] == head["by_fold"]


def test_a_part_answers_as_its_pixels_do():
    told = recipe(HEAD)
    data = load_data(told)
    whole = joined([data.train, data.val])
    model = build_classifier("mobilenet_v2", data.class_names, alpha=0.35, image_size=64, weights="bundled")
    from keras_transfer.evaluation import predict_split
    from keras_transfer.models import freeze_backbone

    freeze_backbone(model)
    rows = np.array([5, 2, 30])
    found = retrain._answers(model, whole.part(rows))
    assert np.allclose(found, predict_split(model, whole.take(rows)), atol=2e-3)
    ready = retrain.training_data(data, whole, np.arange(40), item_groups(data, whole))
    names = {path.name for split in (ready.train, ready.val) for path in split.paths}
    assert len(names) == 40 and 3 <= len(ready.val) <= 9


def test_recipes_of_other_data_are_refused():
    with pytest.raises(InputError, match="agree in `data`"):
        cross_validate(make_recipe(data="digits"), make_recipe(data="pizza"))
    with pytest.raises(InputError, match="repeats=0"):
        cross_validate(make_recipe(data="digits"), repeats=0)
