"""Series as a modality: what jobs ask of it, see `keras_transfer.modalities.Modality`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset, Record
from keras_transfer.data.folds import joined
from keras_transfer.data.labels import one_hot
from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.split import Split
from keras_transfer.data.stretches import MarkedRecording
from keras_transfer.data.table_files import TABLES
from keras_transfer.errors import InputError
from keras_transfer.evaluation.shift import differences
from keras_transfer.inputs import Array, Indices, InputSpec, Json, Labels, Preparer, only
from keras_transfer.modalities import Corruption, InputWords, Modality
from keras_transfer.modalities.modality import check_steps, head_options
from keras_transfer.modalities.series.appearance import PROPERTIES, each_series, plot, plots
from keras_transfer.modalities.series.corruptions import CORRUPTIONS, corrupt
from keras_transfer.modalities.series.dtw import BUDGET, cells, nearest_neighbour
from keras_transfer.modalities.series.items import KIND, unpack
from keras_transfer.modalities.series.live import line_windows
from keras_transfer.modalities.series.loading import READERS, is_wide, open_spool
from keras_transfer.modalities.series.preparer import SeriesPreparer, open_preparer
from keras_transfer.modalities.series.reader import NOTES, SeriesReader, lengths_of, summarize
from keras_transfer.modalities.series.remarks import settle
from keras_transfer.modalities.series.sources import list_source, marked_recordings, recognizes, windows_of
from keras_transfer.modalities.series.spool import row_name
from keras_transfer.progress import say
from keras_transfer.recipe import AUTO, Format, ModelOptions, Recipe, make_recipe
from keras_transfer.schemas import ItemView, PropertyDifference

if TYPE_CHECKING:
    from io import BufferedReader

    import keras

_THUMBNAIL = 144
_SPREAD = 3  # deviations on either side of the mean, within which samples are
_SHARED = 16  # the range of all channels over that of the narrowest, which then has four bits of eight
_EXAMPLES = 2000  # training series by which a network is normalized, and to which Rocket is fitted


class SeriesModality(Modality):
    """Gestures, heartbeats, vibration, power."""

    name: ClassVar[str] = "series"
    kind: ClassVar[Kind] = KIND
    options: ClassVar[tuple[str, ...]] = ("sequence_length", "normalize", "rate")
    default_backbone: ClassVar[str] = AUTO
    rival_name: ClassVar[str] = "MiniRocket features and ridge regression"
    formats: ClassVar[tuple[Format, ...]] = ("float32", "float16", "int8")
    kits: ClassVar[Mapping[str, str]] = {
        target: f"keras_transfer.modalities.series.targets.{target}" for target in ("android", "microcontroller", "web")
    }
    corruptions: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS
    unfit: ClassVar[Mapping[str, str]] = {
        "sensitivity": "it knows the layers of pictures alone",
        "qat": "raw samples have no range that is known before",
    }

    def backbones(self) -> list[dict[str, Json]]:
        """The table of networks of series."""
        from keras_transfer.modalities.series.backbones import SERIES_BACKBONES

        names = ("name", "source", "fit_for")
        return [{name: getattr(row, name) for name in names} for row in SERIES_BACKBONES.values()]

    # Items

    def recognizes(self, source: object) -> bool:
        """Files of many series, class folders of CSV files, tables, arrays of floats, and the made gestures."""
        return recognizes(source)

    def list_source(self, source: object, labels: object = None, layout: Layout | None = None) -> Listing:
        """Lists the series of a source; see `sources.list_source`."""
        return list_source(source, labels, layout).listing

    def layout_for(self, layout: Layout, preparation: Mapping[str, Json]) -> Layout:
        """With a model's rate; and with its windows, where it was trained on windows and no others are asked for."""
        if not preparation:
            return layout
        preparer = open_preparer(preparation)
        window = preparer.window if preparer.windows and layout.window is None else layout.window
        return replace(layout, rate=layout.rate or preparer.rate, window=window)

    def listed(
        self, source: object, labels: object, layout: Layout, preparation: Mapping[str, Json]
    ) -> tuple[Listing, SeriesReader]:
        """The series of a source; long recordings as windows, where they are asked for or suit them."""
        found = list_source(source, labels, layout)
        preparer = self.preparer(preparation)
        channels, rate = preparer.channels or found.channels, preparer.rate or found.rate
        preparer = settle(found.listing, replace(preparer, channels=channels, rate=rate))
        if found.window is not None:
            if layout.window is None:
                unit = "s" if found.rate else "samples"
                say(f"Recordings are listed as windows of {found.window:g} {unit} (--window sets another length).")
            length = preparer.length if "length" in preparation else round(found.window * (preparer.rate or 1))
            preparer = replace(preparer, length=length, windows=True)
        return found.listing, SeriesReader(preparer, KIND, NOTES)

    def measured(self, dataset: Dataset, preparation: Mapping[str, Json]) -> Dataset:
        """Series of the length that is asked for, or of the windows, or else of the longest one."""
        preparer = _own(dataset.train.preparer)
        if preparer.windows or "length" in preparation:
            return dataset
        longest = int(lengths_of([record for record in dataset.records if record.split]).max(initial=1))
        return dataset.prepared_by(replace(preparer, length=longest))

    def reader(self, preparation: Mapping[str, Json]) -> SeriesReader:
        """Reads, measures and compares series."""
        return SeriesReader(self.preparer(preparation), KIND, NOTES)

    def items_in(self, path: Path) -> list[str] | None:
        """The series of a file that holds many, or of a table with a row for each."""
        try:
            many = path.suffix.lower() in READERS or (path.suffix.lower() in TABLES and is_wide(str(path)))
        except InputError:  # it is no such table
            many = False
        return [row_name(str(path), number) for number in range(1, len(open_spool(str(path))) + 1)] if many else None

    def parts(self, source: str, inputs: InputSpec, hop: float | None = None) -> Sequence[str]:
        """The series of a file of many; the windows of a long recording, as long as a model's series."""
        if hop is None and (rows := self.items_in(Path(source))) is not None:
            return rows
        preparer = open_preparer(inputs.preparation)
        return windows_of(source, preparer.window, preparer.rate, hop)

    def is_item(self, content: bytes) -> bool:
        """Whether bytes are one series: a CSV of numbers, or a NumPy array."""
        try:
            unpack(content)
        except InputError:
            return False
        return True

    def marked_recordings(self, source: str, layout: Layout, inputs: InputSpec) -> tuple[list[MarkedRecording], float]:
        """A table with a row for each moment, with its stretches of one label; or files, each of one label.

        Raises:
            InputError: see `list_source`, or no rate is known.
        """
        preparer = open_preparer(inputs.preparation)
        return marked_recordings(source, self.layout_for(layout, inputs.preparation)), preparer.window

    def stream(
        self, source: "BufferedReader", inputs: InputSpec, hop: float | None
    ) -> Iterator[tuple[float, float, bytes]] | None:
        """Windows of lines of numbers, as a sensor sends them: a line for each moment."""
        return line_windows(source, open_preparer(inputs.preparation), hop)

    def summarize(self, records: Sequence[Record]) -> dict[str, Json]:
        """Lengths, channels and rates."""
        return summarize(records)

    # Inputs

    def preparer(self, preparation: Mapping[str, Json]) -> SeriesPreparer:
        """Chooses channels, resamples, cuts and fills up series."""
        return open_preparer(preparation)

    def recipe_preparation(self, recipe: Recipe) -> Mapping[str, Json]:
        """The length that a recipe asks for, as far as it does."""
        length = recipe.data.sequence_length
        return {"length": length} if length is not None else {}

    def preparer_for(self, recipe: Recipe, preparer: Preparer) -> Preparer:
        """That of the items, for every network."""
        return preparer

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """The length, channels and rate that the series were loaded with."""
        preparer = _own(dataset.train.preparer)
        rate = f" at {preparer.rate:g} Hz" if preparer.rate else ""
        say(
            f"Series are of {preparer.length} samples{rate} of {len(preparer.channels)} channels; shorter ones are "
            "filled up with their mean (--sequence-length sets another length)."
        )
        from keras_transfer.modalities.series.builder import normalization_of

        own = normalization_of(model) if model is not None else ()
        return {"preparation": dict(replace(preparer, normalization=own).settings)}

    def data_options(self, preparer: Preparer) -> dict[str, Json]:
        """The length, and the window where the series are windows."""
        own = _own(preparer)
        return {"sequence_length": own.length, **({"window": own.window} if own.windows else {})}

    def describe(self, preparer: Preparer, spec: InputSpec) -> dict[str, Json]:
        """`length` in samples, the `channels`, and `rate` in Hz."""
        own = _own(preparer)
        return {"length": spec.tensor.shape[0], "channels": list(own.channels), "rate": own.rate}

    def input_words(self, described: Mapping[str, Json]) -> InputWords:
        """How long series are, and their channels."""
        length, channels, rate = described["length"], described["channels"], described["rate"]
        assert isinstance(channels, Sequence)
        words = f"series of {length} samples of {len(channels)} channels"
        return {
            "task": "time-series-classification",
            "words": words + (f" at {rate} Hz" if rate else "") + ", in the sensor's own units",
            "sentence": f"Of each series {length} samples are read ({', '.join(map(str, channels))[:200]}); shorter "
            "ones are filled up with their mean.",
            "shown": "In the second picture the moments glow whose deletion costs the answer most.",
        }

    # Networks

    def settled(self, recipe: Recipe) -> Recipe:
        """Rocket is fitted whole; other networks have the weights of this package, of a run, or random ones."""
        from keras_transfer.modalities.series.backbones import find_series_backbone

        recipe = super().settled(recipe)
        if recipe.backbone == AUTO:
            return recipe
        row = find_series_backbone(recipe.backbone)
        recipe = recipe.replace(backbone=row.name)
        if row.layers is None:
            check_steps(recipe, "a network")
            return recipe.replace(weights="none", phases=())
        given = recipe.model.weights != ModelOptions().weights
        return recipe if given else recipe.replace(weights="pretrained" if row.pretrained else "none")

    def candidates(self, recipe: Recipe) -> Sequence[Recipe]:
        """Rocket, the networks that suit the recipe's targets, and that of the run whose weights it names.

        Raises:
            InputError: that is no run of a network.
        """
        from keras_transfer.modalities.series.backbones import SERIES_BACKBONES
        from keras_transfer.run import read_result

        own, plain = recipe.model.weights, recipe.replace(weights=ModelOptions().weights)
        targets = set(recipe.export.targets) & {"microcontroller", "edgetpu"} or {"phone"}
        rows = [plain.replace(backbone=row.name) for row in SERIES_BACKBONES.values() if targets <= set(row.fit_for)]
        if own == plain.model.weights:
            return rows
        result = read_result(Path(own).expanduser())
        row = SERIES_BACKBONES.get(result["backbone"]) if result is not None else None
        if row is None or row.layers is None:
            raise InputError(f"{own} is no finished run of a network whose weights could be carried over.")
        return [*rows, recipe.replace(backbone=row.name)]

    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe; see `build_series_classifier`. Rocket is fitted to validation series, too."""
        from keras_transfer.modalities.series.builder import build_series_classifier

        known = joined([dataset.train, dataset.val]) if self.fitted_to_val(recipe) else dataset.train
        preparer = _own(dataset.train.preparer)
        return build_series_classifier(
            recipe.backbone,
            dataset.class_names,
            length=preparer.length,
            channels=len(preparer.channels),
            normalization=recipe.data.normalize or "channel",
            weights=recipe.model.weights,
            examples=_examples(known) if len(known) else None,
            seed=recipe.seed,
            **head_options(recipe, dataset),
        )

    def fitted_to_val(self, recipe: Recipe) -> bool:
        """Rocket, whose penalty and sharpness items that are left out in turn choose."""
        from keras_transfer.modalities.series.backbones import find_series_backbone

        return find_series_backbone(recipe.backbone).layers is None

    def quantized_part(self, model: "keras.Model") -> "keras.Model":
        """All of it, or what is behind the normalization where eight bits for all channels are too few for one."""
        from keras_transfer.modalities.series.builder import behind_normalization, normalization_of

        own = normalization_of(model)
        if own != "window":
            ends = [mean + side * _SPREAD * deviation for mean, deviation in own for side in (-1, 1)]
            narrowest = min((2 * _SPREAD * deviation for _, deviation in own), default=1)
            if not own or (max(ends) - min(ends)) / narrowest <= _SHARED:
                return model
        return behind_normalization(model)

    def rival(self, data: Dataset, test: Split, seed: int) -> tuple[str, NDArray[np.float32]]:
        """Rocket, fitted to training and validation series."""
        from keras_transfer.evaluation import predict_split

        model = self.build(make_recipe(data="", backbone="rocket", weights="none", seed=seed), data)
        what = f"{model.get_layer('logits').input.shape[-1]:,} features of fixed kernels"
        return what, predict_split(model, test)

    def other_baselines(
        self, data: Dataset, test: Split
    ) -> Mapping[str, Callable[[], tuple[str, NDArray[np.float32]]]]:
        """The nearest neighbour by dynamic time warping, where that is cheap."""
        known, length = joined([data.train, data.val]), _own(data.train.preparer).length

        def neighbours() -> tuple[str, NDArray[np.float32]]:
            series, others = (only(split.arrays(length)) for split in (known, test))
            mean, deviation = series.mean(axis=(0, 1)), series.std(axis=(0, 1)) + 1e-9
            own = one_hot(known.labels, len(data.class_names))
            answers = nearest_neighbour((series - mean) / deviation, own, (others - mean) / deviation)
            return f"says what the nearest of {len(series)} series is, channels normalized", answers.astype(np.float32)

        cheap = cells(len(known), len(test), length) <= BUDGET
        return {"Nearest neighbour by time warping": neighbours} if cheap else {}

    # Reports

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Length and rate, where they differ, how large and rough each series is, and what its table says of it."""
        found = super().properties(dataset, test)
        columns = {name: values for name, values in found.items() if len(set(values)) > 1}
        series = [only(test.rows([i]))[0] for i in range(len(test))]
        for name in ("level", "size", "roughness"):
            columns[name] = [PROPERTIES[name].measure(each) for each in series]
        return columns

    def corrupt(self, items: Split, indices: Indices, name: str, strength: int, seed: int) -> Array:
        """Series made worse; see `corruptions.CORRUPTIONS`."""
        return corrupt(only(items.rows(indices)), name, strength, seed)

    def differences(self, own: Split, new: Split, spec: InputSpec) -> list[PropertyDifference]:
        """Length, level, size and roughness."""
        return differences(PROPERTIES, each_series(own), each_series(new))

    def thumbnails(self, items: Split, indices: Sequence[int], side: int = _THUMBNAIL) -> dict[int, str]:
        """Plots."""
        return dict(plots(items, indices, side))

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, ItemView]:
        """Plots, and at which moments the asked class was seen."""
        from keras_transfer.modalities.series.attribution import moment_weights

        views = self.previews(test, wanted)
        if not asked:
            return views
        series = only(test.rows(list(asked)))
        weights = moment_weights(model, series, np.array(list(asked.values())))
        for index, own, weight in zip(asked, series, weights, strict=True):
            if index in views:  # both of what the model takes, what fills short series up included
                views[index]["picture"] = plot(own, _THUMBNAIL)
                views[index]["heat"] = plot(own, _THUMBNAIL, weight)
        return views

    def complete(self, recipe: Recipe, model: "keras.Model") -> Recipe:
        """The recipe with the pooling."""
        return recipe.replace(pooling=recipe.model.pooling or "avg")


MODALITY = SeriesModality()


def _examples(train: Split) -> tuple[Array, Labels]:
    """Training series, float32 `[n, length, channels]`, and their labels: all, or 2,000 of all classes."""
    drawn = train.stratified(_EXAMPLES) if len(train) > _EXAMPLES else train
    return only(drawn.arrays(_own(train.preparer).length)), drawn.labels


def _own(preparer: Preparer) -> SeriesPreparer:
    assert isinstance(preparer, SeriesPreparer)
    return preparer
