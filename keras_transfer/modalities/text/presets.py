"""Pretrained encoders: folders as Hugging Face's `save_pretrained` writes them, here or on its hub.

A folder has `config.json`, `model.safetensors`, and `vocab.txt` (WordPiece) or `tokenizer.json`. Weights in pickles
(`pytorch_model.bin`) are not read: they can run code.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.files import read_file
from keras_transfer.inputs import MAX_ASSET, Array, Json, keep_asset
from keras_transfer.modalities.text import bundled
from keras_transfer.modalities.text.kerashub import HubPreset, hub_tokenizer_settings, is_hub_folder
from keras_transfer.modalities.text.wordpiece import (
    PADDING,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
    WordPiece,
    read_vocabulary,
)

if TYPE_CHECKING:
    import keras

    from keras_transfer.modalities.text.encoder import EncoderShape

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"
_HANDLE = re.compile(r"[\w.-]+/[\w.-]+")
_MOST_CONFIG = 1 << 20
_PHONE = ("phone", "server")


@dataclass(frozen=True)
class Encoder:
    """A pretrained encoder that has a name of its own.

    Attributes:
        handle: on Hugging Face's hub; or of a preset of KerasHub; empty for the one inside this package.
        licence: of its weights, as its authors state it.
        parameters: in millions.
        words: whom it suits.
        fit_for: where it is at home: `"phone"` or `"server"`.
        tokens: of a text, at most.
    """

    handle: str
    licence: str
    parameters: float
    words: str
    fit_for: tuple[str, ...] = ("server",)
    tokens: int = 512


BUNDLED = "mini"
ENCODERS = {
    "minilm": Encoder("sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0", 22.7, "English, small and quick", _PHONE),
    "distilbert": Encoder("distilbert/distilbert-base-uncased", "Apache-2.0", 66.4, "English"),
    "bert": Encoder("google-bert/bert-base-uncased", "Apache-2.0", 109.5, "English"),
    "roberta": Encoder("FacebookAI/roberta-base", "MIT", 124.6, "English, cased"),
    "albert": Encoder("albert/albert-base-v2", "Apache-2.0", 11.7, "English, small file, as slow as bert", _PHONE),
    "electra_small": Encoder("google/electra-small-discriminator", "Apache-2.0", 13.5, "English, small", _PHONE),
    "xlm_roberta": Encoder("FacebookAI/xlm-roberta-base", "MIT", 278.0, "100 languages, large"),
    "gpt2": Encoder("kerashub:gpt2_base_en", "MIT", 124.4, "English; a decoder by its last token: heavy", tokens=1024),
    "t5_small": Encoder("kerashub:t5_small_multi", "Apache-2.0", 35.3, "English, German, French; T5's encoder: heavy"),
    BUNDLED: Encoder("", "Apache-2.0", 5.0, "English, very small: inside this package", _PHONE, 256),
}
"""Name -> encoder, for `--backbone`."""


@dataclass(frozen=True)
class _Names:
    """What a kind of encoder calls its settings and its weights."""

    settings: Mapping[str, str]
    block: str
    parts: Mapping[str, str]


_SETTINGS = "width blocks heads inner activation dropout"
_PARTS = "query key value attention attention_norm inner outer outer_norm"


def _names(settings: str, block: str, parts: str) -> _Names:
    """From the names in the order of `_SETTINGS` and `_PARTS`."""
    return _Names(
        dict(zip(_SETTINGS.split(), settings.split(), strict=True)),
        block,
        dict(zip(_PARTS.split(), parts.split(), strict=True)),
    )


_OF_BERT = "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act hidden_dropout_prob"
_BERT = _names(
    _OF_BERT,
    "encoder.layer.{}.",
    "attention.self.query attention.self.key attention.self.value attention.output.dense attention.output.LayerNorm "
    "intermediate.dense output.dense output.LayerNorm",
)
_DISTIL = _names(
    "dim n_layers n_heads hidden_dim activation dropout",
    "transformer.layer.{}.",
    "attention.q_lin attention.k_lin attention.v_lin attention.out_lin sa_layer_norm ffn.lin1 ffn.lin2 "
    "output_layer_norm",
)
_ALBERT = _names(
    _OF_BERT,
    "encoder.albert_layer_groups.0.albert_layers.0.",
    "attention.query attention.key attention.value attention.dense attention.LayerNorm ffn ffn_output "
    "full_layer_layer_norm",
)
KINDS = {
    "bert": _BERT,
    "distilbert": _DISTIL,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "albert": _ALBERT,
}
_OWN_NAME = re.compile(r"^(bert|distilbert|roberta|electra|albert)\.")  # before the names of a larger model
_PROJECTIONS = ("embeddings_project", "encoder.embedding_hidden_mapping_in")


@dataclass(frozen=True)
class Preset:
    """A pretrained encoder on this machine: what `find_preset` found.

    Attributes:
        folder: where it lies.
        name: as it was asked for, without what stands before a path.
    """

    folder: Path
    name: str

    @property
    def kind(self) -> str:
        """Its architecture, a key of Hugging Face's `model_type`."""
        return str(self.config["model_type"])

    @property
    def config(self) -> Mapping[str, Json]:
        """What `config.json` says.

        Raises:
            InputError: it cannot be read, or the architecture is not one that can be built here.
        """
        config = _read_json(self.folder / CONFIG_FILE)
        if config.get("model_type") not in KINDS:
            known = ", ".join(KINDS)
            found = str(config.get("model_type", "unknown"))[:40]
            raise InputError(f"{self.folder} holds a model of type {found!r}. Give one of: {known}.")
        return config


def find_preset(backbone: str) -> Preset | HubPreset:
    """The encoder of a name, a folder or a handle; one that is not on this machine is downloaded.

    Args:
        backbone: a name of `ENCODERS`; the path of a folder, of Hugging Face or KerasHub; `hf:FOLDER`; `hf:USER/NAME`
            on Hugging Face's hub; or a preset of KerasHub: `kerashub:NAME`, `kaggle:...`, `hf://USER/NAME`.

    Raises:
        InputError: there is no such encoder, or it cannot be had.
    """
    place = backbone.removeprefix("hf:")
    for folder in (place, os.path.expanduser(place)):  # noqa: PTH111  (Path raises on names that cannot be)
        if os.path.isdir(folder):  # noqa: PTH112
            if is_hub_folder(folder):
                return HubPreset(folder)
            return Preset(Path(folder), Path(folder).resolve().name)
    if backbone == BUNDLED:
        return Preset(bundled.FOLDER, BUNDLED)
    place = ENCODERS[backbone].handle if backbone in ENCODERS else backbone
    if place.startswith(("kerashub:", "kaggle:", "modelscope:", "hf://")):
        from keras_transfer.models.kerashub import preset_of

        return HubPreset(str(preset_of(place)))
    if backbone in ENCODERS:
        return Preset(_download(place), backbone)
    place = place.removeprefix("hf:")
    if backbone.startswith("hf:") and _HANDLE.fullmatch(place):
        return Preset(_download(place), place)
    if os.sep in place:
        raise InputError(
            f"There is no text encoder in {place} (any more?): give the folder of a Hugging Face model, "
            "with config.json, model.safetensors, and vocab.txt or tokenizer.json; or hf:USER/NAME."
        )
    raise InputError(
        f"There is no text encoder {backbone[:80]!r}. Give one of {', '.join(ENCODERS)}; the folder of a Hugging Face "
        "model; or hf:USER/NAME."
    )


def presets_at_hand() -> list[str]:
    """The names of `ENCODERS` whose weights are on this machine; nothing is downloaded."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # it is of the extra `text`
        return [BUNDLED]

    def here(handle: str) -> bool:
        if ":" in handle:  # a preset of KerasHub, which keeps its own
            return False
        return not handle or isinstance(try_to_load_from_cache(handle, WEIGHTS_FILE), str)

    return [name for name, encoder in ENCODERS.items() if here(encoder.handle)]


def encoders_in(place: Path) -> list[Path]:
    """The encoders' folders at a place: it, or those in it.

    Raises:
        InputError: there are none.
    """
    folders = [place, *(sorted(place.iterdir()) if place.is_dir() else ())]
    encoders = [folder for folder in folders if (folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()]
    if not encoders:
        raise InputError(
            f"{place} holds no text encoder: give the folder of a Hugging Face model, with {CONFIG_FILE} and "
            f"{WEIGHTS_FILE}, or a folder of such folders."
        )
    return encoders


@lru_cache
def _download(handle: str) -> Path:
    require("huggingface_hub", "text", f"Downloading {handle}")
    from huggingface_hub import snapshot_download

    wanted = [CONFIG_FILE, WEIGHTS_FILE, TOKENIZER_FILE, VOCABULARY_FILE, "tokenizer_config.json"]
    try:
        return Path(snapshot_download(handle, allow_patterns=wanted))
    except Exception as error:  # of the network, the hub, the disk: it has no common type
        raise InputError(
            f"{handle} cannot be downloaded ({in_one_line(error)}). Fetch its folder on a connected machine "
            f"({', '.join(wanted)}), and give its path as the backbone."
        ) from error


def encoder_shape(preset: Preset) -> "EncoderShape":
    """The measures of a preset's encoder.

    Raises:
        InputError: its `config.json` is of another kind of model, or makes no sense.
    """
    from keras_transfer.modalities.text.encoder import EncoderShape

    config, names = preset.config, KINDS[preset.kind].settings
    activation = str(config.get(names["activation"], "gelu"))
    relative = config.get("position_embedding_type", "absolute") != "absolute"
    if activation not in ("gelu", "gelu_new", "gelu_pytorch_tanh") or relative:
        raise InputError(f"{preset.folder} has activations or positions that are not built here: {activation}.")
    try:
        width, padding = _whole(config, names["width"]), _whole(config, "pad_token_id", 0)
        shape = EncoderShape(
            vocabulary=_whole(config, "vocab_size"),
            width=width,
            blocks=_whole(config, names["blocks"]),
            heads=_whole(config, names["heads"]),
            inner=_whole(config, names["inner"]),
            positions=_whole(config, "max_position_embeddings"),
            embedding=_whole(config, "embedding_size", width),
            tanh_gelu=activation != "gelu",
            epsilon=float(str(config.get("layer_norm_eps", 1e-12))),
            padding=padding,
            first_position=padding + 1 if "roberta" in preset.kind else 0,
            shared=preset.kind == "albert",
            dropout=float(str(config.get(names["dropout"], 0.1))),
        )
    except ValueError as error:
        raise InputError(f"{preset.folder / CONFIG_FILE} is damaged: {error}.") from error
    if min(shape.vocabulary, shape.width, shape.blocks, shape.heads, shape.inner, shape.longest) < 1 or (
        shape.width % shape.heads or not 0 <= shape.dropout < 1
    ):
        raise InputError(
            f"{preset.folder / CONFIG_FILE} makes no sense: a width of {shape.width} in {shape.heads} heads, "
            f"{shape.blocks} blocks of {shape.inner}, {shape.longest} positions, {shape.vocabulary} tokens, "
            f"dropout {shape.dropout}."
        )
    return shape


def _whole(config: Mapping[str, Json], name: str, default: int | None = None) -> int:
    value = config.get(name, default)
    if value is None:
        raise ValueError(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number, it is {str(value)[:40]!r}")
    return value


def load_weights(encoder: "keras.Model", preset: Preset) -> None:
    """Gives an encoder of `build_encoder` the weights of a preset.

    Raises:
        InputError: there are no such weights, or they do not fit.
    """
    read = _weights_of(preset)
    block, parts = KINDS[preset.kind].block, KINDS[preset.kind].parts
    for layer in encoder.layers:
        if not layer.weights:
            continue
        if layer.name == "words":
            values = [read("embeddings.word_embeddings.weight")]
        elif layer.name == "places":
            values = [_places(read)]
        elif layer.name == "embeddings_norm":
            values = _pair(read, "embeddings.LayerNorm")
        elif layer.name == "projection":
            values = _pair(
                read, next((name for name in _PROJECTIONS if f"{name}.weight" in read.names), _PROJECTIONS[0])
            )
        else:
            number, part = re.fullmatch(r"block(\d*)_(\w+)", layer.name).groups()  # type: ignore[union-attr]
            values = _pair(read, block.format(number) + parts[part])
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if [value.shape for value in values] != shapes:
            raise InputError(
                f"{preset.folder / WEIGHTS_FILE}: the weights of {layer.name} have the shapes "
                f"{[list(value.shape) for value in values]}, and config.json wants {[list(shape) for shape in shapes]}."
            )
        layer.set_weights(values)


class _Weights:
    """A file's weights by their names without the model's own in front, as float32."""

    def __init__(self, path: Path, names: Iterable[str], tensor: Callable[[str], Array]) -> None:
        self.names = {_OWN_NAME.sub("", name): name for name in names}
        self._path, self._tensor = path, tensor

    def __call__(self, name: str) -> Array:
        if name not in self.names:
            raise InputError(f"{self._path} has no weights {name!r}: is it of another kind than config.json says?")
        return np.asarray(self._tensor(self.names[name]), np.float32)


def _weights_of(preset: Preset) -> _Weights:
    if preset.folder == bundled.FOLDER:
        return _Weights(bundled.FILE, bundled.arrays(), bundled.arrays().__getitem__)
    require("safetensors", "text", f"Reading {preset.folder / WEIGHTS_FILE}")
    path = preset.folder / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(f"{preset.folder} has no {WEIGHTS_FILE}: save the model as safetensors; pickles are not read.")
    from safetensors import SafetensorError, safe_open

    try:
        file = safe_open(path, "np")
        return _Weights(path, file.keys(), file.get_tensor)  # type: ignore[no-untyped-call]
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {in_one_line(error)}.") from error


def _places(read: _Weights) -> Array:
    """The table of positions, and the first of the token types, which every token of a single text has, in each row."""
    places, types = read("embeddings.position_embeddings.weight"), "embeddings.token_type_embeddings.weight"
    return places + read(types)[0] if types in read.names else places


def _pair(read: _Weights, name: str) -> list[Array]:
    """Kernel and bias of a dense layer, or scale and offset of a normalization."""
    kernel = read(f"{name}.weight")
    return [kernel.T if kernel.ndim == 2 else kernel, read(f"{name}.bias")]


def tokenizer_settings(preset: Preset | HubPreset) -> dict[str, Json]:
    """The settings of a `TextPreparer` that tokenizes as a preset does; its vocabulary is kept as an asset.

    Raises:
        InputError: there is no tokenizer, or it is damaged.
    """
    if isinstance(preset, HubPreset):
        return hub_tokenizer_settings(preset)
    config = preset.config
    longest = encoder_shape(preset).longest
    settings: dict[str, Json] = {"longest": longest, "padding": _whole(config, "pad_token_id", 0)}
    vocabulary, tokenizer = preset.folder / VOCABULARY_FILE, preset.folder / TOKENIZER_FILE
    about = _read_json(preset.folder / "tokenizer_config.json", missing={})
    if preset.kind in ("bert", "distilbert", "electra") and vocabulary.is_file():
        content = _asset(vocabulary)
        lowercase, strips = about.get("do_lower_case", True), about.get("strip_accents")
        try:
            words = WordPiece(read_vocabulary(content), bool(lowercase), None if strips is None else bool(strips))
        except InputError as error:
            raise InputError(f"{vocabulary} is damaged: {error}") from error
        if words.id_of(PADDING) != settings["padding"] or len(words.vocabulary) > encoder_shape(preset).vocabulary:
            raise InputError(f"{vocabulary} does not fit {preset.folder / CONFIG_FILE}: another padding, or too long.")
        return settings | {
            "tokenizer": "wordpiece",
            "lowercase": bool(lowercase),
            "strip_accents": None if strips is None else bool(strips),
            "assets": {VOCABULARY_FILE: keep_asset(content)},
        }
    if not tokenizer.is_file():
        raise InputError(f"{preset.folder} has no tokenizer: neither {VOCABULARY_FILE} nor {TOKENIZER_FILE}.")
    return settings | {"tokenizer": "tokenizers", "assets": {TOKENIZER_FILE: keep_asset(_asset(tokenizer))}}


def _asset(path: Path) -> bytes:
    if path.stat().st_size > MAX_ASSET:
        raise InputError(f"{path} is larger than {MAX_ASSET >> 20} MB.")
    return read_file(path)


def _read_json(path: Path, missing: Mapping[str, Json] | None = None) -> Mapping[str, Json]:
    if missing is not None and not path.is_file():
        return missing
    try:
        if path.stat().st_size > _MOST_CONFIG:
            raise InputError(f"{path} is larger than {_MOST_CONFIG >> 20} MB.")
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read ({in_one_line(error)}): is its folder that of a model?") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold an object of settings. Received: {type(content).__name__}.")
    return content
