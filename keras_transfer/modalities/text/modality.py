"""Texts as a modality: what jobs ask of it, see `keras_transfer.modalities.Modality`."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset, Record
from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.split import Split
from keras_transfer.data.table_files import TABLES
from keras_transfer.errors import InputError
from keras_transfer.evaluation.shift import differences
from keras_transfer.inputs import Array, Indices, InputSpec, Json, Preparer, TensorNotes, only
from keras_transfer.modalities import Corruption, InputWords, Modality
from keras_transfer.modalities.modality import check_steps, head_options
from keras_transfer.modalities.rows import find_strength
from keras_transfer.modalities.text.appearance import PROPERTIES
from keras_transfer.modalities.text.bag_of_words import BACKBONE, answers, build_bag, texts, words_preparer
from keras_transfer.modalities.text.corruptions import CORRUPTIONS
from keras_transfer.modalities.text.items import KIND, excerpt
from keras_transfer.modalities.text.pieces import marks
from keras_transfer.modalities.text.preparer import IDS, TextPreparer, check_length, open_preparer, with_segments
from keras_transfer.modalities.text.presets import (
    BUNDLED,
    ENCODERS,
    encoders_in,
    find_preset,
    presets_at_hand,
)
from keras_transfer.modalities.text.reader import NOTES, TextReader, summarize
from keras_transfer.modalities.text.sources import is_file_name, list_source, recognizes, rows_of
from keras_transfer.progress import say, track
from keras_transfer.recipe import AUTO, Format, ModelOptions, Recipe
from keras_transfer.schemas import ItemView, PropertyDifference

if TYPE_CHECKING:
    import keras

_COVERED = 99  # percent of the training texts that are read to their end
_MEASURED = 5000  # texts by which the length is chosen


class TextModality(Modality):
    """Sentences, reviews, messages."""

    name: ClassVar[str] = "text"
    kind: ClassVar[Kind] = KIND
    default_backbone: ClassVar[str] = "minilm"
    options: ClassVar[tuple[str, ...]] = ("sequence_length",)
    many: ClassVar[int] = 5000
    rival_name: ClassVar[str] = "TF-IDF and logistic regression"
    # Not int8: softmax over scores and layer normalization lose too much in eight bits (docs/text.md).
    formats: ClassVar[tuple[Format, ...]] = ("float32", "float16", "dynamic")
    unfit: ClassVar[Mapping[str, str]] = {
        "16x8": "LiteRT has no kernels for layer normalization in 16 bits",
        "sensitivity": "it knows the layers of pictures alone",
        "distill": "it mixes items, and texts cannot be mixed",
        **dict.fromkeys(("prune", "cluster", "qat"), "it trains a twin in tf_keras, which lacks their operations"),
    }

    kits: ClassVar[Mapping[str, str]] = {
        target: f"keras_transfer.modalities.text.targets.{target}" for target in ("android", "web")
    }

    corruptions: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS

    def backbones(self) -> list[dict[str, Json]]:
        """The table of encoders, and TF-IDF."""
        rows: list[dict[str, Json]] = [{"name": name, **asdict(row)} for name, row in ENCODERS.items()]
        return [*rows, {"name": BACKBONE, "words": f"{self.rival_name}: any language", "fit_for": ("phone", "server")}]

    def recognizes(self, source: object) -> bool:
        """Tables with a column of texts, folders of `.txt`, lists of texts."""
        return recognizes(source)

    def list_source(self, source: object, labels: object = None, layout: Layout | None = None) -> Listing:
        """Lists the texts of a source; see `sources.list_source`."""
        return list_source(source, labels, layout)

    def reader(self, preparation: Mapping[str, Json]) -> TextReader:
        """Reads, measures and compares texts."""
        return TextReader(self.preparer(preparation), KIND, NOTES)

    def literal(self, name: str) -> bytes | None:
        """Anything with a space in it, or that does not end like a file's name."""
        return None if is_file_name(name) else name.encode("utf-8", "replace")

    def items_in(self, path: Path) -> list[str] | None:
        """The rows of a table; a `.txt` is one text."""
        extension = path.suffix.lower()
        return rows_of(path) if extension in TABLES and extension not in KIND.extensions else None

    def is_item(self, content: bytes) -> bool:
        """Whatever does not begin like a list of paths."""
        first = os.fsdecode(content.lstrip().partition(b"\n")[0].partition(b"\0")[0].strip())
        return not (is_file_name(first) or (os.sep in first and not any(map(str.isspace, first))))

    def summarize(self, records: Sequence[Record]) -> dict[str, Json]:
        """Lengths and encodings."""
        return summarize(records)

    def preparer(self, preparation: Mapping[str, Json]) -> TextPreparer:
        """Cuts texts into tokens, by the tokenizer of an encoder."""
        return open_preparer(preparation)

    def settled(self, recipe: Recipe) -> Recipe:
        """An encoder's weights are its own; where the default one cannot be had, the bundled one takes its place.

        Raises:
            InputError: the recipe asks of TF-IDF for a training by steps.
        """
        if recipe.model.backbone is None:
            try:
                find_preset(self.default_backbone)
            except InputError as error:
                say(f"Note: the small encoder inside this package is in use; a larger one knows more. {error}")
                recipe = recipe.replace(backbone=BUNDLED)
        recipe = super().settled(recipe)
        _check_options(recipe)
        if recipe.backbone == AUTO:
            return recipe
        if recipe.backbone == BACKBONE:
            return recipe.replace(weights="none", phases=())
        weights = "pretrained" if recipe.model.weights == ModelOptions().weights else recipe.model.weights
        return recipe.replace(weights=weights)

    def load(self, recipe: Recipe, preparation: Mapping[str, Json] | None = None) -> Dataset:
        """The texts; for TF-IDF cut into the words of the training texts."""
        data = super().load(recipe, preparation)
        return data if preparation else self.fitted(recipe, data)

    def fitted(self, recipe: Recipe, dataset: Dataset) -> Dataset:
        """For TF-IDF cut into the words of the training texts."""
        if recipe.model.backbone != BACKBONE:
            return dataset
        return dataset.prepared_by(words_preparer(dataset.train, recipe.data.sequence_length))

    def recipe_preparation(self, recipe: Recipe) -> Mapping[str, Json]:
        """The tokenizer of the recipe's encoder, and the length that it asks for."""
        if recipe.model.backbone in (BACKBONE, AUTO):
            return {}
        length = recipe.data.sequence_length
        return {"backbone": recipe.backbone, **({"length": length} if length is not None else {})}

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """The tokenizer, and as length the 99th percentile of the training texts', in tokens."""
        preparer = _own(dataset.train.preparer)
        chosen = dict(preparer.settings)
        if recipe.data.sequence_length is None:
            counts = token_counts(dataset.train)
            length = chosen_length(counts, preparer.longest)
            cut = float((counts > length).mean())
            say(
                f"Texts are cut and filled up to {length} tokens, which hold {1 - cut:.1%} of the training texts whole "
                "(--sequence-length sets another length)"
            )
            chosen["length"] = length
        return {"preparation": chosen}

    def data_options(self, preparer: Preparer) -> dict[str, Json]:
        """The length in tokens."""
        return {"sequence_length": _own(preparer).tokens}

    def describe(self, preparer: Preparer, spec: InputSpec) -> dict[str, Json]:
        """`sequence_length` in tokens, and `tokenizer`."""
        return {"sequence_length": spec.tensor.shape[0], "tokenizer": _own(preparer).tokenizer}

    def input_words(self, described: Mapping[str, Json]) -> InputWords:
        """How long texts are, and what cuts them."""
        length, tokenizer = described["sequence_length"], described["tokenizer"]
        return {
            "task": "text-classification",
            "words": f"texts of up to {length} tokens",
            "sentence": f"Of each text the first {length} tokens are read (tokenizer: {tokenizer}).",
            "shown": "Words that spoke for the answer are marked in blue, those against it in orange (integrated "
            "gradients).",
        }

    def tensor_notes(self, inputs: InputSpec) -> list[TensorNotes]:
        """Token ids first, and the vocabulary that makes them, where MediaPipe looks for both."""
        first, *others = super().tensor_notes(inputs)
        wordpiece = inputs.preparation.get("tokenizer") == "wordpiece"
        return [replace(first, name=IDS, vocabulary=next(iter(inputs.assets)) if wordpiece else ""), *others]

    def mediapipe_inputs(self, inputs: InputSpec) -> InputSpec:
        """Token ids, segment ids and a mask; see `preparer.with_segments`."""
        return with_segments(inputs)

    def candidates(self, recipe: Recipe) -> Sequence[Recipe]:
        """The encoders on this machine, those in the folder that the recipe names as weights, and TF-IDF.

        Raises:
            InputError: that folder holds no encoder.
        """
        place = recipe.model.weights
        own = encoders_in(Path(place)) if place != ModelOptions().weights else []
        names = [*map(str, own), *presets_at_hand(), BACKBONE]
        return [recipe.replace(backbone=name, weights=ModelOptions().weights) for name in names]

    def tuning(self, strategy: str, stage_count: int) -> Mapping[str, Json]:
        """Few epochs at a low rate, of the upper half of the blocks; see docs/text.md."""
        own: dict[str, Json] = {"epochs": 3, "optimizer": "adamw", "weight_decay": 0.01, "beta_2": 0.999, "patience": 3}
        if strategy in ("lora", "bitfit", "adapter"):
            return own | {"learning_rate": 1e-3}
        if strategy == "scratch":
            return own | {"epochs": 20, "learning_rate": 5e-4, "patience": 5}
        depth: Json = "all" if strategy == "full" else max(1, stage_count // 2)  # the embeddings are a stage, too
        return own | {"stages": depth, "learning_rate": 1e-4, **({"layer_decay": 0.9} if strategy == "full" else {})}

    def rival(self, data: Dataset, test: Split, seed: int) -> tuple[str, NDArray[np.float32]]:
        """TF-IDF and logistic regression."""
        return answers(data, test, seed)

    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe; see `build_text_classifier`. TF-IDF comes trained."""
        if recipe.backbone == BACKBONE:
            return build_bag(dataset, recipe.seed)
        from keras_transfer.modalities.text.builder import build_text_classifier

        return build_text_classifier(
            recipe.backbone,
            dataset.class_names,
            weights=recipe.model.weights,
            **head_options(recipe, dataset),
        )

    def pretrain(self, model: "keras.Model", splits: Sequence[Split], seed: int) -> Sequence[Mapping[str, object]]:
        """Guessing masked tokens; see `pretrain_masked`."""
        from keras_transfer.modalities.text.masked import pretrain_masked

        return pretrain_masked(model, splits, seed=seed)

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Characters, words and encoding of each text."""
        found = super().properties(dataset, test)
        return {name: values for name, values in found.items() if name != "encoding" or len(set(values)) > 1}

    def corrupt(self, items: Split, indices: Indices, name: str, strength: int, seed: int) -> Array:
        """Texts made worse; see `corruptions.CORRUPTIONS`."""
        way, share = find_strength(name, strength, CORRUPTIONS, "texts")
        preparer = _own(items.preparer)
        length = only(items.rows(indices)).shape[1]
        spec, worse = preparer.spec(length), []
        for index in indices:
            text = preparer.load(str(items.paths[index])).decode("utf-8", "replace")
            random = np.random.default_rng([seed, strength, int(index)])
            changed = way.change(text, share, random)
            worse.append(preparer.prepare((changed if changed.strip() else text).encode(), spec))
        return np.stack(worse)

    def differences(self, own: Split, new: Split, spec: InputSpec) -> list[PropertyDifference]:
        """Length, capitals, marks, digits and letters of the texts."""
        return differences(PROPERTIES, *(texts(side) for side in (own, new)))

    def previews(self, items: Split, indices: Sequence[int]) -> dict[int, ItemView]:
        """The beginnings of texts."""
        views: dict[int, ItemView] = {}
        for index in indices:
            try:
                text = items.preparer.load(str(items.paths[index])).decode("utf-8", "replace")
            except InputError:  # it has vanished
                continue
            views[index] = {"text": excerpt(text)}
        return views

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, ItemView]:
        """The beginnings of texts, and which words spoke for the asked class."""
        from keras_transfer.modalities.text.attribution import token_weights
        from keras_transfer.models import model_inputs

        views, preparer = self.previews(test, wanted), _own(test.preparer)
        if asked:
            spec = test.spec(model_inputs(model))
            ids, columns = only(test.rows(list(asked))), np.array(list(asked.values()))
            weights = token_weights(model, ids, columns, spec, preparer.tokens_of.replacement)
            if weights is not None:
                for index, own, weight in zip(asked, ids, weights, strict=True):
                    if index in views:
                        views[index]["marks"] = marks(own, weight, preparer)
        return views

    def complete(self, recipe: Recipe, model: "keras.Model") -> Recipe:
        """The recipe with the pooling."""
        from keras_transfer.modalities.text.builder import LAST

        default = "token" if any(layer.name == LAST for layer in model.layers) else "avg"
        return recipe.replace(pooling=recipe.model.pooling or default)


MODALITY = TextModality()


def token_counts(split: Split) -> NDArray[np.int64]:
    """How many tokens texts have, marks included, `int64 [n]`: of all, or of 5,000 spread evenly over them."""
    preparer = _own(split.preparer)
    chosen = np.unique(np.linspace(0, len(split) - 1, min(len(split), _MEASURED)).astype(int))
    counts = [
        len(preparer.encode(preparer.load(str(split.paths[int(i)]))))
        for i in track(chosen, "Measuring texts", total=len(chosen))
    ]
    return np.array(counts, np.int64)


def chosen_length(counts: NDArray[np.int64], longest: int) -> int:
    """The length to which texts of so many tokens are cut: their 99th percentile, a multiple of 8.

    >>> chosen_length(np.array([9] * 200 + [400]), 512)
    16
    """
    length = min(-(-int(np.ceil(np.percentile(counts, _COVERED))) // 8) * 8, longest)
    check_length(length, longest)
    return length


def _check_options(recipe: Recipe) -> None:
    """What has no effect on an encoder, or on TF-IDF, is refused rather than ignored."""
    weights = recipe.model.weights
    if weights not in (ModelOptions().weights, "pretrained", "none") and recipe.backbone != AUTO:
        raise InputError(
            f"The weights of an encoder of texts lie in its folder (--backbone FOLDER): `weights` may only be none. "
            f"Received: {weights!r}."
        )
    if recipe.backbone == BACKBONE:
        check_steps(recipe, "an encoder")


def _own(preparer: Preparer) -> TextPreparer:
    assert isinstance(preparer, TextPreparer)
    return preparer
