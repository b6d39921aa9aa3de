"""Recordings as a modality: what jobs ask of it, see `keras_transfer.modalities.Modality`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from keras_transfer.data.dataset import Dataset, Record
from keras_transfer.data.listing import Kind, Layout, Listing
from keras_transfer.data.made import is_made
from keras_transfer.data.split import Split
from keras_transfer.data.stretches import MarkedRecording, parse_stretch
from keras_transfer.errors import InputError
from keras_transfer.evaluation.shift import differences
from keras_transfer.inputs import Array, Indices, InputSpec, Json, Preparer, TensorNotes, only
from keras_transfer.modalities import Corruption, InputWords, Modality
from keras_transfer.modalities.audio.appearance import PROPERTIES, picture, sound_address, sounds, statistics
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES, SPEECH_FILE, find_audio_backbone
from keras_transfer.modalities.audio.corruptions import CORRUPTIONS, corrupt
from keras_transfer.modalities.audio.items import KIND, Samples, sniff
from keras_transfer.modalities.audio.live import raw_windows
from keras_transfer.modalities.audio.made import NAME
from keras_transfer.modalities.audio.preparer import AudioPreparer, open_preparer
from keras_transfer.modalities.audio.reader import NOTES, AudioReader, summarize
from keras_transfer.modalities.audio.sources import list_source, marked_recordings, windows_of
from keras_transfer.modalities.modality import check_choice, head_options
from keras_transfer.progress import say
from keras_transfer.recipe import AUTO, NAMED_WEIGHTS, Format, ModelOptions, Recipe
from keras_transfer.schemas import ItemView, PropertyDifference

if TYPE_CHECKING:
    from io import BufferedReader

    import keras

_THUMBNAIL = 144
_AUDIO = 4  # `ContentProperties.AudioProperties` of TFLite Metadata


class AudioModality(Modality):
    """Recordings of machines, birds, voices, words."""

    name: ClassVar[str] = "audio"
    kind: ClassVar[Kind] = KIND
    head_views: ClassVar[bool] = False  # `docs/results/heads_means.csv`: no gain, a fifth of a job's time
    default_backbone: ClassVar[str] = AUTO
    borrowed: ClassVar[tuple[str, ...]] = ("image",)
    options: ClassVar[tuple[str, ...]] = ("alpha",)
    rival_name: ClassVar[str] = "Log-mel statistics and logistic regression"
    formats: ClassVar[tuple[Format, ...]] = ("float32", "float16", "int8")
    unfit: ClassVar[Mapping[str, str]] = {
        "sensitivity": "it knows the layers of pictures alone",
        "qat": "it trains the whole network in eight bits, and that of sounds begins with a spectrogram in floats",
    }
    kits: ClassVar[Mapping[str, str]] = {
        target: f"keras_transfer.modalities.audio.targets.{target}"
        for target in ("android", "edgetpu", "microcontroller", "web")
    }
    corruptions: ClassVar[Mapping[str, Corruption]] = CORRUPTIONS

    def backbones(self) -> list[dict[str, Json]]:
        """The table of networks of sounds; those of pictures serve as well."""
        names = ("name", "parameters", "licence", "fit_for", "source")
        return [{name: getattr(row, name) for name in names} for row in AUDIO_BACKBONES.values()]

    # Items

    def recognizes(self, source: object) -> bool:
        """Folders and tables of recordings, and the made sounds."""
        return is_made(source, NAME) or super().recognizes(source)

    def list_source(self, source: object, labels: object = None, layout: Layout | None = None) -> Listing:
        """Lists the recordings of a source, long ones as windows; see `sources.list_source`."""
        return list_source(source, labels, layout, to_split=False).listing

    def layout_for(self, layout: Layout, preparation: Mapping[str, Json]) -> Layout:
        """With the windows of a model's clips, where no others are asked for."""
        if layout.window is not None or not {"samples", "window"} & set(preparation):
            return layout
        return replace(layout, window=open_preparer(preparation).seconds)

    def listed(
        self, source: object, labels: object, layout: Layout, preparation: Mapping[str, Json]
    ) -> tuple[Listing, AudioReader]:
        """The recordings of a source, as clips of the window that is asked for, or else suits them."""
        windows = list_source(source, labels, layout)
        count = sum(parse_stretch(entry.file) is not None for entry in windows.listing.entries)
        if count and layout.window is None:
            say(f"Recordings are listed as {count} windows of {windows.window:g} s (--window sets another length).")
        return windows.listing, self.reader({"window": windows.window, **preparation})

    def reader(self, preparation: Mapping[str, Json]) -> AudioReader:
        """Decodes, measures and compares recordings."""
        return AudioReader(self.preparer(preparation), KIND, NOTES)

    def is_item(self, content: bytes) -> bool:
        """Whether bytes begin as a recording does."""
        return bool(sniff(content))

    def parts(self, source: str, inputs: InputSpec, hop: float | None = None) -> Sequence[str]:
        """The windows of a recording, as long as a model's clips."""
        return windows_of(source, open_preparer(inputs.preparation).seconds, hop)

    def marked_recordings(self, source: str, layout: Layout, inputs: InputSpec) -> tuple[list[MarkedRecording], float]:
        """Recordings beside label tracks, or of a table with stretches; of class folders each is one event."""
        return marked_recordings(source, layout), open_preparer(inputs.preparation).seconds

    def stream(
        self, source: "BufferedReader", inputs: InputSpec, hop: float | None
    ) -> Iterator[tuple[float, float, bytes]] | None:
        """Windows of raw sound: 16-bit samples, little end first, mono, at the model's rate."""
        return raw_windows(source, open_preparer(inputs.preparation), hop)

    def summarize(self, records: Sequence[Record]) -> dict[str, Json]:
        """Lengths, sample rates and channels."""
        return summarize(records)

    # Inputs

    def preparer(self, preparation: Mapping[str, Json]) -> AudioPreparer:
        """Decodes, mixes down, resamples, cuts and fills up recordings."""
        return open_preparer(preparation)

    def recipe_preparation(self, recipe: Recipe) -> Mapping[str, Json]:
        """The window and the front end of the network that a recipe asks for, as far as it does."""
        chosen: dict[str, Json] = {"window": recipe.data.window} if recipe.data.window is not None else {}
        if recipe.backbone != AUTO and recipe.model.file is None:
            chosen["front_end"] = find_audio_backbone(recipe.backbone).front_end.to_dict()
        return chosen

    def preparer_for(self, recipe: Recipe, preparer: Preparer) -> Preparer:
        """That of the items: clips have the length as which they were listed, for every network."""
        return preparer

    def preparer_with(self, model: "keras.Model", preparer: Preparer) -> Preparer:
        """With the front end that the model begins with."""
        from keras_transfer.modalities.audio.layers import front_end_of_layers

        own = _own(preparer)
        known = [row.front_end for row in AUDIO_BACKBONES.values()] + [find_audio_backbone("mobilenet_v2").front_end]
        found = None if own.front_end is not None else front_end_of_layers(model, known)
        return own if found is None else replace(own, front_end=found)

    def choose_preparation(
        self, recipe: Recipe, dataset: Dataset, model: "keras.Model", run: Path | None
    ) -> dict[str, Json]:
        """The clips that the recordings were listed as, and the network's front end."""
        preparer = _own(dataset.train.preparer)
        if recipe.data.window is None:
            say(f"Clips are of {preparer.seconds:g} s; shorter ones are filled up (--window sets another length).")
        own = replace(preparer, front_end=find_audio_backbone(recipe.backbone).front_end)
        return {"preparation": dict(own.settings)}

    def data_options(self, preparer: Preparer) -> dict[str, Json]:
        """The window."""
        return {"window": _own(preparer).seconds}

    def describe(self, preparer: Preparer, spec: InputSpec) -> dict[str, Json]:
        """`sample_rate` in Hz, and `clip_seconds`."""
        own = _own(preparer)
        return {"sample_rate": own.sample_rate, "clip_seconds": own.length(spec) / own.sample_rate}

    def tensor_notes(self, inputs: InputSpec) -> list[TensorNotes]:
        """Sample rate and channels, where MediaPipe looks for them; of spectrograms what they are, in words."""
        [note] = super().tensor_notes(inputs)
        if len(inputs.tensor.shape) != 1:
            return [note]
        rate = self.preparer(inputs.preparation).sample_rate
        return [replace(note, content=(_AUDIO, [("Uint32", rate), ("Uint32", 1)]))]

    def mediapipe_inputs(self, inputs: InputSpec) -> InputSpec:
        """Those of the file: samples."""
        if len(inputs.tensor.shape) != 1:
            raise InputError("MediaPipe gives samples, the file takes spectrograms.")
        return inputs

    def input_words(self, described: Mapping[str, Json]) -> InputWords:
        """How long clips are, and their sample rate."""
        seconds, rate = described["clip_seconds"], described["sample_rate"]
        return {
            "task": "audio-classification",
            "words": f"clips of {seconds:g} s of mono sound at {rate} Hz, as floats in -1..1",
            "sentence": f"Of each recording {seconds:g} s are heard, mixed down to one channel at {rate} Hz; what is "
            "shorter is filled up with silence, what is longer is cut into windows.",
            "shown": "Pictures are spectrograms, time to the right and high notes on top; the second one lights up "
            "where the network heard what it answered (integrated gradients).",
        }

    # Networks

    def settled(self, recipe: Recipe) -> Recipe:
        """A backbone's weights are its own unless others are named."""
        recipe = super().settled(recipe)
        row = AUDIO_BACKBONES.get(recipe.backbone)
        if row is None or recipe.model.weights != ModelOptions().weights:
            return recipe
        return recipe.replace(weights="pretrained" if row.licence else "none")

    def candidates(self, recipe: Recipe) -> Sequence[Recipe]:
        """YAMNet, speech_embedding, what the recipe's weights are of, and networks of pictures on this machine.

        Raises:
            InputError: the recipe says what belongs to one backbone.
        """
        from keras_transfer.modalities.image import bundled
        from keras_transfer.modalities.image.at_hand import downloaded, weights_in

        own = recipe.model
        check_choice(recipe)
        rows = [recipe.replace(backbone="yamnet", weights="pretrained")]
        place = None if own.weights in NAMED_WEIGHTS else Path(own.weights).expanduser()
        speech = place is not None and (place.suffix == ".onnx" or (place / SPEECH_FILE).is_file())
        weights = own.weights if speech else "pretrained"  # without its file it is left out, and says where that is
        rows.append(recipe.replace(backbone="speech_embedding", weights=weights))
        files = weights_in(place) if place is not None and (not speech or any(place.glob("*.h5"))) else []
        rows.append(recipe.replace(backbone=bundled.BACKBONE, alpha=bundled.ALPHA, weights="bundled"))
        files += downloaded() if own.weights != "bundled" else []
        return [*rows, *(recipe.replace(backbone=f.backbone, alpha=f.alpha, weights=f.weights) for f in files)]

    def from_scratch(self, recipe: Recipe) -> Recipe:
        """DS-CNN: spoken digits of other speakers it reads far better than YAMNet's features do (docs/audio.md)."""
        return recipe.replace(backbone="ds_cnn", weights="none")

    def build(self, recipe: Recipe, dataset: Dataset) -> "keras.Model":
        """The classifier of a recipe; see `build_audio_classifier`."""
        from keras_transfer.modalities.audio.builder import build_audio_classifier

        return build_audio_classifier(
            recipe.backbone,
            dataset.class_names,
            samples=_own(dataset.train.preparer).samples,
            weights=recipe.model.weights,
            alpha=recipe.model.alpha,
            **head_options(recipe, dataset),
        )

    def quantized_part(self, model: "keras.Model") -> "keras.Model":
        """What stands behind the front end: a spectrogram spans more than eight bits of samples hold."""
        from keras_transfer.modalities.audio.layers import LOG_MEL
        from keras_transfer.models.freezing import suffix

        layers = {layer.name: layer for layer in model.layers}
        return suffix(model, layers[LOG_MEL].output) if LOG_MEL in layers else model

    def rival(self, data: Dataset, test: Split, seed: int) -> tuple[str, NDArray[np.float32]]:
        """Logistic regression on mean and deviation of the log-mel spectrogram over time."""
        from keras_transfer.training.probe import linear_probe

        samples = _own(data.train.preparer).samples
        rows = [statistics(split, samples) for split in (data.train, data.val, test)]
        answers = linear_probe((rows[0], data.train.labels), (rows[1], data.val.labels), rows[2], len(data.class_names))
        return f"mean and deviation over time of {rows[0].shape[1] // 2} log-mel bands", answers

    # Reports

    def properties(self, dataset: Dataset, test: Split) -> dict[str, list[float | str | None]]:
        """Length, sample rate and channels, where they differ, and how loud and how bright each clip is."""
        found = super().properties(dataset, test)
        columns = {name.replace("_", " "): values for name, values in found.items() if len(set(values)) > 1}
        clips = [only(test.rows([i]))[0] for i in range(len(test))]
        if clips and clips[0].ndim == 1:
            for name in ("level", "floor", "brightness"):
                columns[name] = [PROPERTIES[name].measure(clip) for clip in clips]
        return columns

    def corrupt(self, items: Split, indices: Indices, name: str, strength: int, seed: int) -> Array:
        """Clips made worse; see `corruptions.CORRUPTIONS`."""
        clips = only(items.rows(indices))
        if clips.ndim != 2:
            raise InputError("Spectrograms cannot be made worse; the model that takes samples can be tried so.")
        return corrupt(clips, _own(items.preparer).sample_rate, name, strength, seed)

    def differences(self, own: Split, new: Split, spec: InputSpec) -> list[PropertyDifference]:
        """Length, loudness, background and spectrum."""
        return differences(PROPERTIES, sounds(own), sounds(new))

    def thumbnails(self, items: Split, indices: Sequence[int], side: int = _THUMBNAIL) -> dict[int, str]:
        """Log-mel spectrograms."""
        return {index: picture(clip, side) for index, clip in _clips(items, indices)}

    def previews(self, items: Split, indices: Sequence[int]) -> dict[int, ItemView]:
        """Spectrograms, and the clips to listen to."""
        rate = _own(items.preparer).sample_rate
        return {
            index: {"picture": picture(clip, _THUMBNAIL), "sound": sound_address(clip, rate)}
            for index, clip in _clips(items, indices)
        }

    def views(
        self, model: "keras.Model", test: Split, wanted: Sequence[int], asked: Mapping[int, int]
    ) -> dict[int, ItemView]:
        """The same, and where in its spectrogram the asked class was heard."""
        from keras_transfer.modalities.audio.attribution import sound_weights

        views = self.previews(test, wanted)
        clips = only(test.rows(list(asked))) if asked else np.zeros((0, 0))
        weights = sound_weights(model, clips, np.array(list(asked.values()))) if clips.ndim == 2 and asked else None
        if weights is not None:
            for index, clip, heat in zip(asked, clips, weights, strict=True):
                if index in views:  # both of what the model takes, silence around short clips included
                    views[index]["picture"] = picture(clip, _THUMBNAIL)
                    views[index]["heat"] = picture(clip, _THUMBNAIL, heat)
        return views

    def complete(self, recipe: Recipe, model: "keras.Model") -> Recipe:
        """The recipe with the pooling, and the width of the bundled network of pictures."""
        from keras_transfer.modalities.image import bundled

        own = recipe.model
        return recipe.replace(pooling=own.pooling or "avg", alpha=bundled.width(own.weights, own.alpha))


MODALITY = AudioModality()


def _clips(items: Split, indices: Sequence[int]) -> Iterator[tuple[int, Samples]]:
    """The clips of items as they are, by index; those that are damaged or have vanished are missing."""
    preparer = _own(items.preparer)
    for index in indices:
        try:
            clip = preparer.waveform(preparer.load(str(items.paths[index])), preparer.samples)
        except InputError:
            continue
        yield index, clip


def _own(preparer: Preparer) -> AudioPreparer:
    assert isinstance(preparer, AudioPreparer)
    return preparer
