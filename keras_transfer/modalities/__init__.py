"""What a raw item is: readers, preparation, augmentation, networks and views of each modality.

A modality is a module with the attributes of `Modality`; `keras_transfer.inputs.MODALITIES` names it. Jobs know no
more of it than this protocol.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from keras_transfer.data.dataset import Dataset
from keras_transfer.data.split import Split
from keras_transfer.inputs import MODALITIES, Array, Json, Preparer, open_modality
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Corruption:
    """One way in which items get worse.

    Attributes:
        words: what it is, for the report.
        strengths: how many there are, the mildest first.
    """

    words: str
    strengths: int


class Modality(Protocol):
    """What jobs ask of a modality."""

    corruptions: Mapping[str, Corruption]
    """Ways to make items worse, for the robustness table; empty where there are none."""

    kits: Mapping[str, str]
    """Target -> the module whose `write(kit, folder)` fills that target's folder for models of this modality (see
    `keras_transfer.exporters.targets.Kit`); empty where the `.tflite` files are all."""

    def recognizes(self, source: object) -> bool:
        """Whether a source holds this modality's items; cheap, and wrong calls are answered by False."""
        ...

    def load_source(self, source: object, **options: object) -> Dataset:
        """The items of a source, examined and split; the modality's plain door, such as `load_images`.

        Raises:
            InputError: see `keras_transfer.data.dataset.load_listing`.
        """
        ...

    def load(self, recipe: Recipe) -> Dataset:
        """The items that a recipe names, examined and split.

        Raises:
            InputError: see `keras_transfer.data.dataset.load_listing`.
        """
        ...

    def open_preparer(self, preparation: Mapping[str, Json]) -> Preparer:
        """See `keras_transfer.inputs.open_preparer`."""
        ...

    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe, before any training."""
        ...

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """How items become inputs in this run, as `result.json` tells it; a run that was begun keeps what it chose.

        Args:
            recipe: with all chosen but the preparation.
            dataset: its items.
            model: the classifier that will train.
            run: the run directory, if there is one.
        """
        ...

    def describe(self, preparer: Preparer) -> dict[str, Json]:
        """Entries of `result.json` and `report.json` on how items become inputs."""
        ...

    def input_words(self, described: Mapping[str, Json]) -> dict[str, str]:
        """How the report and the model card call the inputs.

        Args:
            described: what `describe` gave, or what `result.json` has in its place, and `image_size`.

        Returns:
            `task`, Hugging Face's name of the task; `words` on what the model takes; and `sentence` on how items become
            that, which may be empty.
        """
        ...

    def prepared(self, recipe: Recipe, dataset: Dataset, chosen: Mapping[str, Json]) -> tuple[Recipe, Dataset]:
        """The recipe and the items as `choose_preparation` has chosen."""
        ...

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Figures and kinds of each test item, whatever it shows, by which the report looks for weak segments.

        Args:
            dataset: of the test split, whose records tell of the files.
            test: the split, `stored`.
        """
        ...

    def corrupt(self, values: Array, name: str, strength: int, seed: int) -> Array:
        """Items `[n, ...]` made worse in one of the ways of `corruptions`, by a strength from 1 up."""
        ...

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, dict[str, str]]:
        """Pictures of test items for the report, as data URIs.

        Args:
            model: the trained model.
            test: the split, `stored`.
            wanted: which items.
            asked: item -> the class that the model is asked about; only of these the reasons are shown.

        Returns:
            For each item `picture`, and `heat` where the reasons can be shown.
        """
        ...


def modality_of(source: object) -> str:
    """The name of the modality whose items a source holds; images where none says so.

    >>> modality_of("digits")
    'image'
    """
    others = (name for name in MODALITIES if name != "image")
    return next((name for name in others if open_modality(name).recognizes(source)), "image")


def load(source: object, **options: object) -> Dataset:
    """Finds, checks and splits labelled items, whatever a source holds.

    Args:
        source: see `keras_transfer.load_images` for pictures.
        **options: those of the modality's own door, such as `val`, `test` and `seed`.

    Returns:
        A `Dataset`.

    Raises:
        InputError: the source is missing or of no known kind, has one class or an empty one, fewer items than splits
            need, or too many unusable ones.

    >>> import numpy as np
    >>> images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    >>> load((images, ["cat", "dog"] * 10), val=0.2, test=0.2)
    Dataset(2 classes; train ..., val ..., test ...)
    """
    dataset: Dataset = open_modality(modality_of(source)).load_source(source, **options)
    return dataset
