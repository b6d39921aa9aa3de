"""What jobs and commands ask of a modality."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset, Reader, Record
from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.loading import LoadOptions, load_listing
from keras_transfer.data.reader import FileReader
from keras_transfer.data.sources import list_path, names_files
from keras_transfer.data.split import Split
from keras_transfer.data.stretches import MarkedRecording
from keras_transfer.errors import InputError
from keras_transfer.exporters.contract import plain_contract
from keras_transfer.inputs import Array, Arrays, Indices, InputSpec, Json, Preparer, TensorNotes
from keras_transfer.modalities.rows import Corruption
from keras_transfer.recipe import AUTO, DataOptions, Effort, Format, Recipe
from keras_transfer.schemas import ItemView, PropertyDifference

if TYPE_CHECKING:
    from io import BufferedReader

    import keras
    import tensorflow as tf

_OF_STEPS = (
    *("strategy", "epochs", "gradual", "rank", "hidden", "label_smoothing", "augmentation", "views"),
    "compare_backbones",
)
_THUMBNAIL = 144  # the longest side: sharp on a phone at the 96 it is shown at


class InputWords(TypedDict):
    """How the report and the model card describe the inputs.

    Attributes:
        task: Hugging Face's name of the task.
        words: what the model takes.
        sentence: how an item becomes that; may be empty.
        shown: what the report shows of an answer beside its item; may be empty.
    """

    task: str
    words: str
    sentence: str
    shown: str


class FilterSheet(TypedDict):
    """The filters of the first layer as one picture, a `data:` address."""

    count: int
    side: int
    picture: str


class StageView(TypedDict):
    """What one stage makes of an item, as a picture."""

    name: str
    size: str
    picture: str


class FollowedItem(TypedDict):
    """One item on its way through the stages."""

    title: str
    picture: str
    stages: list[StageView]


class NetworkViews(TypedDict):
    """Pictures of what a network sees, for the page of `keras-transfer see`."""

    filters: FilterSheet | None
    followed: list[FollowedItem]


class HeadOptions(TypedDict):
    """What every builder of classifiers takes for the layers above the backbone."""

    pooling: str | None
    hidden: Sequence[int]
    dropout: float
    multi_label: bool


def head_options(recipe: Recipe, dataset: Dataset) -> HeadOptions:
    """The head of a recipe for this data."""
    model = recipe.model
    return {
        "pooling": model.pooling,
        "hidden": model.hidden,
        "dropout": model.dropout,
        "multi_label": dataset.multi_label,
    }


def layout_of(data: DataOptions) -> Layout:
    """How a recipe's source is arranged, where its user says so."""
    return Layout(**{each.name: getattr(data, each.name) for each in fields(Layout)})


def check_choice(recipe: Recipe) -> None:
    """Raises `InputError` where a recipe that leaves the backbone to an audition says what belongs to one."""
    own = recipe.model
    if own.alpha is not None:
        raise InputError(f"`alpha` goes with a named backbone, not with {AUTO!r}. Received: {own.alpha}.")
    if not own.pretrained:
        raise InputError(f"{AUTO!r} chooses among pretrained weights: name a backbone, or leave weights='none' out.")


def check_steps(recipe: Recipe, network: str) -> None:
    """Raises `InputError` where a recipe of a backbone that is fitted whole says how steps train one.

    Args:
        recipe: settled but for its phases.
        network: what to name in its place, such as `"an encoder"`.
    """
    said, own = recipe.fields(), Recipe(data=recipe.data).fields()
    for name in _OF_STEPS:
        if said[name] != own[name] and (name, said[name]) not in (("augmentation", "none"), ("views", 1)):
            raise InputError(
                f"{recipe.backbone!r} is fitted whole, without steps or phases, and takes no `{name}`: leave it out, "
                f"or choose {network} as --backbone. Received: {said[name]}."
            )


class Modality(ABC):
    """What a raw item is: how items are read, prepared, corrupted and shown, and which network they get.

    A modality is a subclass. Its only instance is called `MODALITY`, in a module that
    `keras_transfer.inputs.MODALITIES` names. Four members have no default: `name`, `kind`, `preparer` and `build`.
    Where a default offers nothing, reports leave the section out, and commands refuse by name.

    Attributes:
        name: its name in `MODALITIES`.
        kind: how its items are called and recognised.
        corruptions: ways to make items worse, for the robustness table; empty where there are none.
        kits: target -> the module whose `write(kit, folder)` fills that target's folder for models of this modality
            (see `keras_transfer.exporters.targets.Kit`); empty where the `.tflite` files are all.
        default_backbone: of a recipe that names none; `recipe.AUTO` for the best of `candidates`.
        borrowed: names of other modalities, whose backbones serve these items as well.
        options: fields of recipes that serve these items and not those of every modality; others refuse them.
        many: see `keras_transfer.inputs.ModalityInputs`; so is `head_views`.
        rival_name: what its simple rival of every network is called; empty where there is none.
        efforts: effort -> values of fields of which a recipe with pretrained weights says nothing itself; see `effort`.
        space: field -> values among which a search chooses, the usual one first: fields of recipes, and the factors of
            `keras_transfer.jobs.search`.
        formats: of the files of a recipe that names none; empty for those of `keras_transfer.export`.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    corruptions: ClassVar[Mapping[str, Corruption]] = {}
    kits: ClassVar[Mapping[str, str]] = {}
    default_backbone: ClassVar[str] = "own"
    borrowed: ClassVar[tuple[str, ...]] = ()
    options: ClassVar[tuple[str, ...]] = ()
    many: ClassVar[int] = 500
    head_views: ClassVar[bool] = True
    rival_name: ClassVar[str] = ""
    efforts: ClassVar[Mapping[Effort, Mapping[str, object]]] = {
        "quick": {"strategy": "feature-extraction", "augmentation": "none", "baselines": "none"},
        "standard": {},
        "best": {"strategy": "full", "epochs": 12},
    }
    space: ClassVar[Mapping[str, Sequence[str | int | float]]] = {
        "strategy": ("auto", "feature-extraction", "full"),
        "epochs_factor": (1, 2, 3),
        "rate_factor": (1.0, 0.5, 2.0),
        "augmentation": ("auto", "none"),
        "label_smoothing": (0.0, 0.1),
        "dropout": (0.2, 0.5),
    }
    formats: ClassVar[tuple[Format, ...]] = ()
    unfit: ClassVar[Mapping[str, str]] = {}  # formats and steps of `compress` that do not serve such networks

    # Items

    def recognizes(self, source: object) -> bool:
        """Whether a source holds this modality's items; by default by the extensions of files, in a folder or a CSV."""
        return isinstance(source, str | Path) and names_files(source, self.kind.extensions)

    def list_source(self, source: object, labels: object = None, layout: Layout | None = None) -> Listing:
        """Lists the items of a source, before any is read: by default files in class folders or in a table.

        Args:
            source: a path, or what else the modality takes.
            labels: of a source that has none of its own, such as an array.
            layout: how a folder or a table is arranged.

        Raises:
            InputError: the source is missing or of no known kind, or `layout` does not fit it.
        """
        if labels is not None or not isinstance(source, str | Path):
            kind = type(source).__name__
            raise InputError(f"Give a folder or a table of {self.kind.items}. Received: a source of type {kind}.")
        return list_path(Path(source).expanduser(), layout or Layout(), self.kind)

    def layout_for(self, layout: Layout, preparation: Mapping[str, Json]) -> Layout:
        """A layout with what items must be like for a model's inputs, where that is not said.

        Args:
            layout: how a source is arranged.
            preparation: of the model, see `preparer`.
        """
        return layout

    def reader(self, preparation: Mapping[str, Json]) -> Reader:
        """Reads items and makes splits of them: by default files, which `facts` looks into.

        Args:
            preparation: see `preparer`.
        """
        preparer = self.preparer(preparation)
        return FileReader(preparer, self.kind, measure=partial(self.facts, preparer))

    def facts(self, preparer: Preparer, content: bytes) -> tuple[str | float, ...]:
        """The values of `kind.facts` of an item.

        Args:
            preparer: of the items.
            content: of one.

        Raises:
            InputError: it is damaged.
        """
        return ()

    def load_items(
        self,
        source: object,
        *,
        labels: object = None,
        layout: Layout | None = None,
        preparation: Mapping[str, Json] | None = None,
        **options: Unpack[LoadOptions],
    ) -> Dataset:
        """The items of a source, examined and split.

        Args:
            source: see `list_source`.
            labels: see `list_source`.
            layout: see `list_source`.
            preparation: see `preparer`.
            **options: see `keras_transfer.data.loading.load_listing`.

        Raises:
            InputError: see `keras_transfer.data.loading.load_listing`.
        """
        layout = self.layout_for(layout or Layout(), preparation or {})
        data = load_listing(*self.listed(source, labels, layout, preparation or {}), **options)
        return self.measured(data, preparation or {})

    def measured(self, dataset: Dataset, preparation: Mapping[str, Json]) -> Dataset:
        """The items, prepared by what was found when they were examined, where `preparation` leaves that open."""
        return dataset

    def listed(
        self, source: object, labels: object, layout: Layout, preparation: Mapping[str, Json]
    ) -> tuple[Listing, Reader]:
        """The items of a source as they will be split, and what reads them; see `load_items`."""
        return self.list_source(source, labels, layout), self.reader(preparation)

    def load(self, recipe: Recipe, preparation: Mapping[str, Json] | None = None) -> Dataset:
        """The items that a recipe names, examined and split.

        Args:
            recipe: names the items.
            preparation: of a finished model, in place of the recipe's own.

        Raises:
            InputError: see `keras_transfer.data.loading.load_listing`.
        """
        data = recipe.data
        return self.load_items(
            data.source,
            layout=layout_of(data),
            preparation=preparation or self.recipe_preparation(recipe),
            val=data.val,
            test=data.test,
            seed=recipe.seed,
            allow_bad=data.allow_bad,
            few_shot=data.few_shot,
            class_names=data.class_names,
        )

    def fitted(self, recipe: Recipe, dataset: Dataset) -> Dataset:
        """The items, prepared by what the training items teach, where a network needs that."""
        return dataset

    def fitted_to_val(self, recipe: Recipe) -> bool:
        """Whether `build` fits a recipe's classifier to validation items, too."""
        return False

    def literal(self, name: str) -> bytes | None:
        """The item that an argument of a command is itself, such as a sentence, where it names no file."""
        return None

    def items_in(self, path: Path) -> list[str] | None:
        """The names of the items in a file that holds several, such as a table; None where a file is one item."""
        return None

    def parts(self, source: str, inputs: InputSpec, hop: float | None = None) -> Sequence[str]:
        """The names of the items that a file is for a model: by default it is one item.

        Args:
            source: the file.
            inputs: of the model.
            hop: seconds from the beginning of an item to that of the next; None leaves it to the modality.

        Raises:
            InputError: `hop` is given, and items have no length in time (the default).
        """
        if hop is not None:
            raise InputError(f"`hop` (--hop) needs recordings, not {self.kind.items}. Received: hop={hop}.")
        return [source]

    def marked_recordings(self, source: str, layout: Layout, inputs: InputSpec) -> tuple[list[MarkedRecording], float]:
        """The recordings of a source with what happens in them when, and how many seconds of them a model hears.

        Args:
            source: as for `list_source`.
            layout: as for `list_source`.
            inputs: of the model.

        Raises:
            InputError: items have no length in time (the default), or see `list_source`.
        """
        raise InputError(f"Events over time (--stream) are of recordings, not of {self.kind.items}.")

    def stream(
        self, source: "BufferedReader", inputs: InputSpec, hop: float | None
    ) -> Iterator[tuple[float, float, bytes]] | None:
        """Items of what comes as it is recorded: start and end in seconds, and the bytes; None where it is no stream.

        Args:
            source: standard input; nothing is taken from it where the answer is None.
            inputs: of the model.
            hop: seconds from the beginning of an item to that of the next; None leaves it to the modality.
        """
        return None

    def is_item(self, content: bytes) -> bool:
        """Whether bytes from standard input are one item, not a list of paths."""
        return False

    def capture(self, device: int) -> bytes:
        """One item from a device of this machine, such as a camera.

        Raises:
            InputError: there is no such device; by default always.
        """
        raise InputError(f"No device records {self.kind.items} here: give files. Received: device {device}.")

    def summarize(self, records: Sequence[Record]) -> dict[str, Json]:
        """Entries of `inspection.json` on the items in use, such as their sizes."""
        return {}

    # Inputs

    @abstractmethod
    def preparer(self, preparation: Mapping[str, Json]) -> Preparer:
        """How items become inputs.

        Args:
            preparation: `Preparer.settings`; what is missing has its default.

        Raises:
            InputError: a setting is unknown or wrong.
        """

    def recipe_preparation(self, recipe: Recipe) -> Mapping[str, Json]:
        """The preparation that a recipe asks for, as far as it does."""
        return {}

    def preparer_for(self, recipe: Recipe, preparer: Preparer) -> Preparer:
        """What prepares items for the network of a recipe that were loaded for another one.

        Args:
            recipe: names the network.
            preparer: of the items as they were loaded.
        """
        return self.preparer(self.recipe_preparation(recipe))

    def preparer_with(self, model: "keras.Model", preparer: Preparer) -> Preparer:
        """The preparer with what a model's own layers say of inputs of its parts; see `quantized_part`."""
        return preparer

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """The preparation of a run, as `result.json` has it; by default the one that items were loaded with.

        Args:
            recipe: complete but for the preparation.
            dataset: its items.
            model: the classifier that will train.
            run: the run directory, if there is one. A run that was begun keeps what it chose.
        """
        return {"preparation": dict(dataset.train.preparer.settings)}

    def prepared(self, recipe: Recipe, dataset: Dataset, chosen: Mapping[str, Json]) -> tuple[Recipe, Dataset]:
        """The recipe and the items with what `choose_preparation` chose."""
        settings = chosen["preparation"]
        assert isinstance(settings, Mapping)
        preparer = self.preparer(settings)
        return recipe.replace(**self.data_options(preparer)), dataset.prepared_by(preparer)

    def data_options(self, preparer: Preparer) -> Mapping[str, Json]:
        """Fields of the recipe that follow from how items are prepared."""
        return {}

    def describe(self, preparer: Preparer, spec: InputSpec) -> dict[str, Json]:
        """Entries of `result.json` and `report.json` on how items become inputs.

        Args:
            preparer: of the items.
            spec: what they become.
        """
        return dict(preparer.settings)

    def input_contract(self, inputs: InputSpec) -> list[dict[str, Json]]:
        """What a file's proof says of the values that each of its inputs takes: `meaning`, `value_range` and others."""
        return plain_contract(inputs)

    def tensor_notes(self, inputs: InputSpec) -> list[TensorNotes]:
        """What a file's metadata says of each of its inputs, for other programs that run the file."""
        return [TensorNotes(tensor.name, tensor.meaning) for tensor in inputs.tensors]

    def mediapipe_inputs(self, inputs: InputSpec) -> InputSpec:
        """What MediaPipe's classifier of such items gives a file: its own inputs, and what must stand behind them.

        Args:
            inputs: of a file of this modality.

        Raises:
            InputError: MediaPipe has no such classifier (the default), or it cannot make such inputs.
        """
        raise InputError(f"MediaPipe has no classifier of {self.kind.items}.")

    def input_words(self, described: Mapping[str, Json]) -> InputWords:
        """How the report and the model card describe the inputs.

        Args:
            described: from `describe`, or the same entries of `result.json`.
        """
        return {"task": "other", "words": self.kind.items, "sentence": "", "shown": ""}

    # Networks

    def settled(self, recipe: Recipe) -> Recipe:
        """The recipe with the modality's own choice where it leaves the network or the files to it."""
        recipe = recipe.replace(modality=self.name, backbone=recipe.model.backbone or self.default_backbone)
        return recipe.replace(formats=self.formats) if self.formats and not recipe.export.formats else recipe

    def title(self, recipe: Recipe) -> str:
        """What the network of a recipe is called, such as `mobilenet_v2 0.35`."""
        alpha, depth = recipe.model.alpha, recipe.model.depth
        width = f" {alpha:g}" if alpha not in (None, 1.0) else ""
        return Path(recipe.backbone).name + width + (f", {depth} blocks" if depth else "")

    def effort(self, recipe: Recipe) -> Mapping[str, object]:
        """What the effort of a recipe, settled, says of fields of which it says nothing itself."""
        return self.efforts[recipe.training.effort]

    def sizes(self, recipe: Recipe, asked: Recipe) -> Sequence[Recipe]:
        """A recipe with its network on larger and smaller inputs, the largest first; by default as it is.

        Args:
            recipe: settled, with its network.
            asked: the recipe as it was asked for; a size that it says stays.
        """
        return (recipe,)

    def candidates(self, recipe: Recipe) -> Sequence[Recipe]:
        """The networks among which an audition chooses: those whose pretrained weights are on this machine.

        Args:
            recipe: whose backbone is `recipe.AUTO`; the weights that it names are one candidate's, and nothing else of
                it says which network is meant.

        Returns:
            The recipe with each network in turn, not settled; by default none.

        Raises:
            InputError: the recipe asks for what no choice can have.
        """
        return ()

    def from_scratch(self, recipe: Recipe) -> Recipe | None:
        """A small network of random weights, which an audition tries where pretrained ones know little of the items.

        Args:
            recipe: whose backbone is `recipe.AUTO`.

        Returns:
            The recipe with it; None, the default, where there is none, or it is among the candidates already.
        """
        return None

    def tuning(self, strategy: str, stage_count: int) -> Mapping[str, Json]:
        """Fields of the phase that trains a backbone, where they are not those of other modalities.

        Args:
            strategy: never `"auto"`.
            stage_count: stages of the backbone.
        """
        return {}

    @abstractmethod
    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe, before any training."""

    def backbones(self) -> list[dict[str, Json]]:
        """What a recipe may name as `backbone`, beside folders and handles: a row each, as `keras-transfer backbones`
        shows it. Rows have a `name`, and `fit_for`: `"phone"`, `"microcontroller"`, `"edgetpu"`, `"server"`.
        """
        return []

    def pretrain(self, model: "keras.Model", splits: Sequence[Split], seed: int) -> Sequence[Mapping[str, object]]:
        """Trains a classifier's backbone further on items whose labels are not looked at, in place.

        Args:
            model: as `build` gave it.
            splits: the items.
            seed: of what is random in it.

        Returns:
            The figures of each epoch.

        Raises:
            InputError: there is no such training of these items; by default always.
        """
        raise InputError(f"There is no pretraining on {self.kind.items} without labels here.")

    def network_options(self, recipe: Recipe) -> list[object]:
        """Options of `keras-transfer train` for the recipe's network."""
        alpha = recipe.model.alpha
        return ["--backbone", recipe.backbone, *(["--alpha", alpha] if alpha is not None else [])]

    def advice(self, recipe: Recipe) -> list[str]:
        """Sentences on the network that a recipe asks for, such as that another one is better."""
        return []

    def zero_shot(self, preset: str, class_names: Sequence[str], prompts: Sequence[str]) -> "keras.Model":
        """A classifier from the names of its classes, without training.

        Args:
            preset: of a network that knows words and items alike.
            class_names: at least two.
            prompts: sentences with `{}` where the name goes; none for the modality's own.

        Raises:
            InputError: the classifier cannot be made; by default always.
        """
        raise InputError(f"There is no classifier without training for {self.kind.items}.")

    def offline(self, recipe: Recipe) -> Recipe | None:
        """The recipe with a pretrained network that lies in this package, for where none can be downloaded, if any."""
        return None

    def complete(self, recipe: Recipe, model: "keras.Model") -> Recipe:
        """The recipe with what it leaves open of the network, as it was built."""
        return recipe

    def encoded_input(self, inputs: InputSpec) -> "Callable[[tf.Tensor], tf.Tensor] | None":
        """What makes the model's input of an item's bytes in TensorFlow's own operators; None (the default): nothing.

        A server has no Python. The function takes a scalar string, and gives what the preparer gives.

        Args:
            inputs: of a model with one input.
        """
        return None

    def quantized_part(self, model: "keras.Model") -> "keras.Model":
        """The part of a model that int8 and 16x8 files hold; the preparer makes its inputs. By default all of it.

        Whoever runs such a file computes what is left out: a spectrum, say, whose range eight bits do not hold.

        Args:
            model: a classifier of this modality.
        """
        return model

    def adopt(self, model: "keras.Model", recipe: Recipe, dataset: Dataset) -> tuple["keras.Model", Recipe]:
        """A model that was trained elsewhere as one of ours, and the recipe with what was chosen for it.

        Args:
            model: as it was loaded.
            recipe: names its file in `model.file`.
            dataset: items of its classes.

        Raises:
            InputError: it cannot become one of ours; by default always.
        """
        raise InputError(f"{recipe.model.file} was trained elsewhere: that is not supported yet for {self.kind.items}.")

    def rival(self, data: Dataset, test: Split, seed: int) -> tuple[str, NDArray[np.float32]]:
        """The answers of the simple method called `rival_name`, which a network has to beat.

        Args:
            data: what it may learn from: training and validation items.
            test: the items to classify.
            seed: of whatever is random in it.

        Returns:
            How it was made, in a few words, and its probabilities, `float32 [n, classes]`.
        """
        raise NotImplementedError

    def other_baselines(
        self, data: Dataset, test: Split
    ) -> Mapping[str, Callable[[], tuple[str, NDArray[np.float32]]]]:
        """What the table of baselines shows beside the rival: name -> what gives as `rival` does; by default nothing.

        Args:
            data: see `rival`.
            test: see `rival`.
        """
        return {}

    # Reports

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Properties of each test item, by which the report looks for weak segments; by default its facts.

        Args:
            dataset: of the test split; its records hold facts of the files.
            test: the split, `stored`.

        Returns:
            For each property, one value per item: a number, a word, or None where it is unknown.
        """
        records = dataset.records_of(test)
        return {name: [record.facts[i] for record in records] for i, name in enumerate(self.kind.facts)}

    def corrupt(self, items: Split, indices: Indices, name: str, strength: int, seed: int) -> Array:
        """Items made worse in one of the ways of `corruptions`, `[len(indices), ...]` as `items.rows` gives them.

        Args:
            items: a split that is stored.
            indices: which of its items.
            name: a key of `corruptions`.
            strength: from 1 up.
            seed: of what is random in it.

        Raises:
            InputError: there is no such corruption.
        """
        raise InputError(f"There is no corruption {name!r} of {self.kind.items}.")

    def measures(self, inputs: Arrays) -> dict[str, float]:
        """Cheap figures of one prepared item, whatever it shows, by which a spoilt sensor is noticed; by default none.

        Args:
            inputs: as the preparer gives them, without the batch axis.
        """
        return {}

    def differences(self, own: Split, new: Split, spec: InputSpec) -> list[PropertyDifference]:
        """How new items differ from those of a run, apart from what they show; the largest difference first.

        Args:
            own: items of the run.
            new: the new ones.
            spec: the inputs of the run's model.
        """
        return []

    def thumbnails(self, items: Split, indices: Sequence[int], side: int = _THUMBNAIL) -> dict[int, str]:
        """Small pictures of items, as `data:` addresses by index; items that cannot be shown are missing.

        Args:
            items: the split.
            indices: which of its items.
            side: the longest side.
        """
        return {}

    def previews(self, items: Split, indices: Sequence[int]) -> dict[int, ItemView]:
        """How items are shown, small, by index; items that cannot be shown are missing."""
        return {index: {"picture": picture} for index, picture in self.thumbnails(items, indices).items()}

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, ItemView]:
        """How test items are shown in the report.

        Args:
            model: the trained model.
            test: the split, `stored`.
            wanted: which items.
            asked: item -> the class to explain.

        Returns:
            For each item its view, with what explains the class, where there is something. Items that cannot be
            shown are missing.
        """
        return self.previews(test, wanted)

    def network_views(self, model: "keras.Model", test: Split, titles: Mapping[int, str]) -> NetworkViews:
        """Pictures of what a network sees.

        Args:
            model: the trained model.
            test: the split, `stored`.
            titles: item -> its title, for the items to follow through the stages.
        """
        return {"filters": None, "followed": []}
