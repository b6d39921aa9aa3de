"""Texts through the jobs of photographs: trained, exported, proved, reported, predicted, by one recipe."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders import write_encoder
from typer.testing import CliRunner

from keras_transfer.cli.app import app
from keras_transfer.errors import GateError, InputError
from keras_transfer.evaluation import load_keras
from keras_transfer.inputs import open_preparer
from keras_transfer.jobs import baselines
from keras_transfer.jobs.adapt import adapt_run
from keras_transfer.jobs.add_class import add_class
from keras_transfer.jobs.compress import compress
from keras_transfer.jobs.cross_validate import cross_validate
from keras_transfer.jobs.export import export_run
from keras_transfer.jobs.lr_find import find_rates
from keras_transfer.jobs.parts import load_data
from keras_transfer.jobs.sensitivity import scan
from keras_transfer.jobs.shift import open_new_items
from keras_transfer.jobs.train import train
from keras_transfer.litert.labels import read_inputs
from keras_transfer.modalities import load as kt_load
from keras_transfer.modalities import open_modality, settled
from keras_transfer.modalities.text.attribution import token_weights
from keras_transfer.modalities.text.bag_of_words import answers, fit_bag, texts
from keras_transfer.modalities.text.preparer import grams
from keras_transfer.modalities.text.presets import find_preset
from keras_transfer.models import read_inputs as inputs_of_model
from keras_transfer.recipe import Compression, Recipe, make_recipe
from keras_transfer.run import read_run

pytestmark = pytest.mark.slow
CLASSES = {"bad": ("bad", "poor"), "fine": ("fine", "good"), "neither": ("tea", "soup")}
PHASES = [
    {"name": "frozen", "epochs": 3, "learning_rate": 1e-2},
    {"name": "fine-tuning", "stages": "all", "epochs": 12, "learning_rate": 1e-2, "batch_size": 16},
]


def write_reviews(path: Path, count: int = 60, seed: int = 0) -> Path:
    """Made reviews of three classes, of very different lengths, with columns of unusual names."""
    random = np.random.default_rng(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review", "sentiment"])
        for number in range(3 * count):
            label = list(CLASSES)[number % 3]
            words = random.choice(["the", "a", "was", "is", "very", "it", "and"], random.integers(2, 30))
            places = random.integers(0, len(words), 2)
            words[places] = random.choice(CLASSES[label], 2)
            writer.writerow([number, " ".join(words) + f" {number}.", label])
    return path


@pytest.fixture(autouse=True, scope="module")
def short_baselines() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_SCRATCH_EPOCHS", (2, 2))
        yield


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("texts")
    return make_recipe(
        data=str(write_reviews(folder / "reviews.csv")), label_column="sentiment",
        backbone=str(write_encoder(folder / "encoder")), phases=PHASES, dropout=0.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(recipe: Recipe) -> Path:
    folder = Path(recipe.data.source).parent / "run"
    train(recipe, folder)
    return folder


def test_a_run_on_texts_is_whole(run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert result["test"]["accuracy"] > 0.8 and result["kept"] == "fine-tuning"
    assert [Path(entry["path"]).name for entry in result["artifacts"]] == [
        f"model_{kind}.tflite" for kind in ("float32", "float16", "dynamic")
    ]
    assert all(entry["gate"]["outcome"] != "fail" for entry in result["artifacts"])
    assert result["recommended"] and result["weights"] == "pretrained"
    assert result["sequence_length"] % 8 == 0 and result["tokenizer"] == "wordpiece"
    assert result["inputs"]["tensors"][0] == {
        "name": "ids", "shape": [result["sequence_length"]], "dtype": "int32", "low": 0, "padding": 0,
        "high": result["inputs"]["tensors"][0]["high"], "meaning": "token ids",
    }  # fmt: skip


def test_a_class_is_added_from_texts(run: Path, tmp_path: Path) -> None:
    words = "plane train ship bus"
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text(" ".join([*words.split()[number:], words, str(number)]))
    (tmp_path / "table.csv").write_text("text\n" + "".join(f"by {words} {n}\n" for n in range(3)))
    result = add_class(run, "travel", [*sorted(tmp_path.glob("*.txt")), tmp_path / "table.csv"], tmp_path / "out")
    assert result["classes"] == [*CLASSES, "travel"] and result["added"]["examples"] == 7
    data = load_data(read_run(tmp_path / "out")[0], tmp_path / "out")
    assert sum(path.name.startswith("table.csv#") for path in data.train.paths) == 3


def test_the_report_shows_words_and_a_rival(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert {"majority", "rival", "pretrained probe", "random probe"} <= {row["kind"] for row in report["baselines"]}
    assert report["input"]["task"] == "text-classification" and report["noun"]["many"] == "texts"
    page = (run / "report.html").read_text()
    assert 'class="text"' in page and "<mark" in page and "TF-IDF" in page
    shown = re.sub("<style>.*</style>|<[^>]*>", "", page, flags=re.DOTALL)
    assert not re.search(r"\b(photograph|image|picture|pixel)s?\b", shown)


def test_files_bring_their_tokenizer_and_answer_alike(run: Path) -> None:
    runner, texts = CliRunner(), ["the soup was tea", "very bad, poor it is"]
    answers = {}
    for name in (".", "export/model_float32.tflite", "export/model_dynamic.tflite"):
        printed = runner.invoke(app, ["predict", str(run / name), *texts, "--json"])
        assert printed.exit_code == 0, printed.output
        rows = json.loads(printed.stdout)
        assert [row["path"] for row in rows] == texts
        answers[name] = [dict(row["top"]) for row in rows]
    for row, other in zip(answers["."], answers["export/model_float32.tflite"], strict=True):
        assert all(abs(row[name] - other[name]) < 1e-3 for name in row)
    spec = read_inputs((run / "export/model_float32.tflite").read_bytes())
    assert spec is not None
    assert open_preparer(spec.modality, spec.preparation).prepare(b"bad tea", spec).shape == spec.tensor.shape


def test_predict_reads_tables_files_and_standard_input(run: Path, tmp_path: Path) -> None:
    table, note = write_reviews(tmp_path / "more.csv", 2, seed=9), tmp_path / "note.txt"
    note.write_text("good soup")
    runner = CliRunner()
    printed = runner.invoke(app, ["predict", str(run), str(table), str(note), "missing.txt", "--json"])
    rows = json.loads(printed.stdout)
    assert [Path(row["path"]).name for row in rows] == [
        *(f"more.csv#{n}" for n in range(1, 7)),
        "note.txt",
        "missing.txt",
    ]
    assert [bool(row["problem"]) for row in rows] == [False] * 7 + [True]
    piped = runner.invoke(app, ["predict", str(run), "-", "--json"], input="the tea was fine")
    assert json.loads(piped.stdout)[0]["label"]


def test_words_that_spoke_for_an_answer_are_those_it_needs(run: Path, recipe: Recipe) -> None:
    """Without the two heaviest tokens the answer loses more than without two others, chosen at random."""
    data, model = load_data(recipe, run), load_keras(run / "model.keras")
    spec = inputs_of_model(run / "model.keras")
    test = data.test.prepared_by(open_preparer(spec.modality, spec.preparation))
    ids, replacement = test.arrays(spec), test.preparer.tokens_of.replacement
    answers = np.array(model(ids, training=False))
    columns = answers.argmax(axis=1)
    weights = token_weights(model, ids, columns, spec, replacement)
    assert weights is not None and weights.shape == ids.shape and not weights[ids == 0].any()

    def lost(order: np.ndarray) -> float:
        changed = ids.copy()
        np.put_along_axis(changed, order[:, :2], replacement, axis=1)
        after = np.array(model(changed, training=False))
        return float(np.mean([answers[i, c] - after[i, c] for i, c in enumerate(columns)]))

    random = np.random.default_rng(0)
    inside = np.where((ids != 0) & (np.arange(ids.shape[1]) > 0), random.random(ids.shape), -1)
    assert lost(np.argsort(-weights, axis=1)) > 2 * lost(np.argsort(-inside, axis=1))


def test_stopped_it_goes_on(recipe: Recipe, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, again = run.with_name("again"), recipe.replace(baselines="none")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("keras_transfer.jobs.train.save_run_model", stop)
        with pytest.raises(KeyboardInterrupt):
            train(again, folder)
    result = train(again, folder)
    first = json.loads((run / "result.json").read_text())
    assert result is not None and result["test"] == first["test"]


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of no encoder."""
    folder = tmp_path_factory.mktemp("simple")
    data = str(write_reviews(folder / "reviews.csv"))
    train(make_recipe(data=data, label_column="sentiment", backbone="tfidf"), folder / "run")
    return folder / "run"


def test_without_a_network_the_encoder_in_the_package_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    data = str(write_reviews(tmp_path / "reviews.csv"))
    recipe = settled(make_recipe(data=data, label_column="sentiment"))
    assert recipe.model.backbone == "mini" and recipe.model.weights == "pretrained"


def test_tf_idf_is_trained_and_proved(simple: Path) -> None:
    result = json.loads((simple / "result.json").read_text())
    assert result["backbone"] == "tfidf" and result["phases"] == [] and result["test"]["accuracy"] > 0.9
    assert all(entry["gate"]["outcome"] == "pass" for entry in result["artifacts"])
    report = json.loads((simple / "report.json").read_text())
    assert [row["kind"] for row in report["baselines"]] == ["majority"] and report["verdict"]["outcome"] == "none"
    answers = []
    for name in (".", "export/model_dynamic.tflite"):
        printed = CliRunner().invoke(app, ["predict", str(simple / name), "it was bad, poor", "zzz", "--json"])
        answers.append([row["label"] for row in json.loads(printed.stdout)])
    assert answers[0][0] == answers[1][0] == "bad"


def test_its_network_is_the_rival_of_every_report(simple: Path) -> None:
    recipe, _ = read_run(simple)
    data = load_data(recipe, simple)
    what, wanted = open_modality("text").rival(data, data.test, recipe.seed)
    assert "pairs of words" in what
    model = load_keras(simple / "model.keras")
    spec = inputs_of_model(simple / "model.keras")
    found = np.array(model(data.test.prepared_by(open_preparer("text", spec.preparation)).arrays(spec)))
    assert np.allclose(found, wanted, atol=1e-4)


def test_the_rival_is_scikit_learns(simple: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    recipe, _ = read_run(simple)
    data = load_data(recipe, simple)
    bag = fit_bag(data)
    vectors = TfidfVectorizer(analyzer=grams, sublinear_tf=True)
    rows = vectors.fit_transform(texts(data.train))
    assert list(vectors.get_feature_names_out()) == list(bag.words)
    plain = LogisticRegression(C=bag.strength, max_iter=300).fit(rows, data.train.labels)
    theirs = plain.predict_proba(vectors.transform(texts(data.test)))
    assert np.allclose(answers(data, data.test)[1], theirs, atol=1e-3)


def test_tf_idf_is_cross_validated_by_the_words_of_each_fold(simple: Path) -> None:
    recipe, _ = read_run(simple)
    found = cross_validate(recipe, folds=3, repeats=1)
    assert len(found["recipes"][0]["by_fold"]) == 3 and found["recipes"][0]["accuracy"]["value"] > 0.8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_size": 96}, "is for photographs, and these are texts"),
        ({"geometry": "squash"}, "is for photographs, and these are texts"),
        ({"alpha": 0.5}, "is for photographs, and these are texts"),
        ({"weights": "bundled"}, "lie in its folder"),
        ({"backbone": "tfidf", "strategy": "lora"}, "takes no `strategy`"),
        ({"backbone": "tfidf", "augmentation": "strong"}, "takes no `augmentation`"),
        ({"backbone": "tfidf", "views": 3}, "takes no `views`"),
        ({"backbone": "tfidf", "compare_backbones": ("bert",)}, "takes no `compare_backbones`"),
        ({"backbone": "mobilenet_v2"}, "mobilenet_v2 is a backbone for photographs, and .* holds texts"),
    ],
)
def test_options_without_effect_on_texts_are_refused(simple: Path, options: dict[str, Any], said: str) -> None:
    data = str(simple.parent / "reviews.csv")
    with pytest.raises(InputError, match=said):
        settled(make_recipe(**{"data": data, "label_column": "sentiment", "backbone": "bert", **options}))


def test_a_backbone_of_texts_is_refused_for_photographs() -> None:
    with pytest.raises(InputError, match="tfidf is a backbone for texts, and digits holds photographs"):
        settled(make_recipe(data="digits", backbone="tfidf"))


@pytest.mark.parametrize("nothing", [([], []), [], ((), ())])
def test_an_empty_list_is_of_no_modality(nothing: object) -> None:
    with pytest.raises(InputError, match="There are no items"):
        kt_load(nothing)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [("bert", "vocab.txt", b"the\na\n"), ("bert", "vocab.txt", b"\xff"), ("albert", "tokenizer.json", b"{}")],
)
def test_a_damaged_tokenizer_is_said_with_its_folder(tmp_path: Path, kind: str, name: str, content: bytes) -> None:
    folder = write_encoder(tmp_path / "encoder", kind)
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{re.escape(str(folder))}.*{'is damaged' if kind == 'bert' else name}"):
        kt_load((["a", "b"] * 9, [0, 1] * 9), preparation={"backbone": str(folder)})


def test_what_has_no_learning_rate_is_said(simple: Path) -> None:
    with pytest.raises(InputError, match="no learning rate"):
        find_rates(read_run(simple)[0])


def test_an_empty_name_is_an_empty_text_and_a_heading_alone_is_refused(simple: Path, tmp_path: Path) -> None:
    (tmp_path / "heading.csv").write_text("text,label\n")
    runner = CliRunner()
    empty = runner.invoke(app, ["predict", str(simple), "", "--json"])
    assert [row["problem"] for row in json.loads(empty.stdout)] == ["an empty text"]
    heading = runner.invoke(app, ["predict", str(simple), str(tmp_path / "heading.csv")])
    assert isinstance(heading.exception, InputError) and "has no rows" in str(heading.exception)
    with pytest.raises(InputError, match="has no rows"):
        kt_load(str(tmp_path / "heading.csv"))


def test_a_finished_run_is_exported_without_its_encoder_and_says_what_is_gone(
    run: Path, recipe: Recipe, tmp_path: Path
) -> None:
    folder, copy = Path(recipe.model.backbone), tmp_path / "moved"
    shutil.copytree(run, copy)
    folder.rename(folder.with_name("elsewhere"))
    try:
        files = export_run(copy, formats=["float32"], out=tmp_path / "files")
        assert files["artifacts"][-1]["gate"]["outcome"] == "pass"
        with pytest.raises(InputError, match=f"no text encoder in {re.escape(str(folder))}"):
            find_preset(str(folder))
    finally:
        folder.with_name("elsewhere").rename(folder)


@pytest.mark.parametrize(("formats", "said"), [(["int8"], "take token ids as int32"), (["float32"], "as int32")])
def test_a_type_of_inputs_that_token_ids_never_have_is_refused(
    run: Path, tmp_path: Path, formats: list[str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        export_run(run, formats=formats, input_dtype="int8", out=tmp_path)


def test_a_format_without_kernels_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="16x8 serves no text models"):
        export_run(run, formats=["16x8"], out=tmp_path)


def test_a_run_is_pretrained_further_on_texts_without_labels(run: Path, recipe: Recipe, tmp_path: Path) -> None:
    with (run.parent / "reviews.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["review"] for row in csv.DictReader(file)]
    table, folder = tmp_path / "new.csv", tmp_path / "new"
    table.write_text("\n".join(["review", *texts]))
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number:03}.txt").write_text(text)
    data = load_data(recipe, run)
    cells, files = (open_new_items(place, data).split for place in (table, folder))
    length = cells.spec(32)
    assert np.array_equal(cells.arrays(length), files.arrays(length))  # either is as good
    with suppress(GateError):  # so small a network may lose what it knew
        adapt_run(run, tmp_path / "adapted", method="pretrain", new_items=table)
    result = json.loads((tmp_path / "adapted" / "result.json").read_text())
    losses = [row["loss"] for row in result["adapted"]["epochs"]]
    assert len(losses) == 3 and losses[2] < losses[0]
    assert result["adapted"]["images"] == 180 and result["artifacts"]
    words = [load_keras(place / "model.keras").get_layer("words") for place in (run, tmp_path / "adapted")]
    assert not np.allclose(words[0].embeddings, words[1].embeddings)


def test_what_guesses_no_words_is_refused(simple: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.txt").write_text("the soup was bad")
    with pytest.raises(InputError, match="Only encoders of texts guess masked tokens"):
        adapt_run(simple, tmp_path / "adapted", method="pretrain", new_items=tmp_path / "new")


def test_adapters_are_trained_by_a_recipe_and_stay_in_its_files(recipe: Recipe, tmp_path: Path) -> None:
    asked = recipe.replace(strategy="adapter", rank=4, phases=None, epochs=2, formats=("dynamic",), baselines="none")
    result = train(asked.replace(tolerance=0.2), tmp_path / "run")
    assert result["phases"][-1]["name"] == "adapter" and result["strategy"] == "adapter"
    model = load_keras(tmp_path / "run" / "model.keras")
    assert [layer.name for layer in model.layers if layer.name.startswith("adapter")][-1] == "adapter1_up"


def test_channels_are_removed_from_the_dense_layers_of_blocks(run: Path, tmp_path: Path) -> None:
    result = compress(run, tmp_path / "smaller", Compression(multiply_adds=0.8, epochs=1))
    assert result["steps"][1]["multiply_adds"] < 0.8 * result["steps"][0]["multiply_adds"]
    assert [Path(entry["path"]).name for entry in result["artifacts"]][-1] == "model_dynamic.tflite"


@pytest.mark.parametrize("asked", [{"sparsity": 0.5}, {"clusters": 16}, {"qat": True}])
def test_steps_that_serve_no_texts_are_refused(run: Path, asked: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not serve texts: it trains a twin.* What does: --channels"):
        compress(run, tmp_path / "smaller", Compression(**asked))
    assert not (tmp_path / "smaller").exists()
    with pytest.raises(InputError, match="does not serve texts"):
        scan(run)
