"""Encoders and decoders of texts from KerasHub's presets, as flat graphs on token ids, and their tokenizers.

The graph keeps KerasHub's own layers, so `model.keras` needs KerasHub where it is loaded; files for devices do not.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.extras import require
from keras_transfer.inputs import Json, keep_asset
from keras_transfer.modalities.text.wordpiece import TOKENIZER_FILE, VOCABULARY_FILE, WordPiece

if TYPE_CHECKING:
    import keras
    import keras_hub

_LONGEST = 512  # tokens, where positions are relative (T5)
_DECODERS = ("GPT2Backbone",)
_SERVED = (
    "AlbertBackbone", "BertBackbone", "DistilBertBackbone", "ElectraBackbone", "RobertaBackbone", "XLMRobertaBackbone",
    "T5Backbone", *_DECODERS,
)  # fmt: skip
_RESERVED = {"ids", "pool", "last_token", "dropout", "logits", "predictions", *(f"hidden_{n}" for n in range(32))}


@dataclass(frozen=True)
class HubPreset:
    """A preset of KerasHub.

    Attributes:
        folder: its folder, or its name or handle, as KerasHub takes it.
    """

    folder: str

    @property
    def name(self) -> str:
        """Without the folders above it."""
        return Path(self.folder).name


@dataclass(frozen=True)
class TokenModel:
    """What makes features of tokens.

    Attributes:
        model: int32 `[n, length]` to float32 `[n, length, width]`.
        padding: the token that fills texts up.
        decoder: whether a token sees only those before it, so that the last one has seen all.
    """

    model: "keras.Model"
    padding: int
    decoder: bool = False


def is_hub_folder(folder: str | Path) -> bool:
    """Whether a folder is what KerasHub's `save_to_preset` writes."""
    try:
        return "registered_name" in json.loads((Path(folder) / "config.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def open_hub_preset(preset: HubPreset, weights: bool) -> TokenModel:
    """The encoder, or decoder, of a preset; of an encoder with a decoder behind it (T5) the encoder alone.

    Args:
        preset: see `keras_transfer.modalities.text.presets.find_preset`.
        weights: whether to load its weights; else they are random.

    Raises:
        InputError: KerasHub is not installed, the preset cannot be had, or is of a kind that is not served.
    """
    import keras

    from keras_transfer.models.kerashub import load_backbone, require_savable
    from keras_transfer.models.replay import replay

    padding = _padding(_tokenizer(preset))
    backbone = load_backbone(preset.folder, weights)
    kind = type(backbone).__name__
    if kind not in _SERVED:
        raise InputError(f"{preset.folder} holds a {kind}. Give one of: {', '.join(_SERVED)}.")
    outputs = backbone.output
    if isinstance(outputs, Mapping):
        outputs = outputs.get("sequence_output", outputs.get("encoder_sequence_output"))
    inputs = [tensor for name, tensor in sorted(backbone.input.items()) if not name.startswith("decoder")]
    ids = keras.Input((None,), dtype="int32", name="ids")
    starts = {
        "token_ids": ids,
        "padding_mask": keras.ops.cast(keras.ops.not_equal(ids, padding), "int32"),
        "segment_ids": keras.ops.zeros_like(ids),
    }
    given = [next(start for name, start in starts.items() if tensor.name.endswith(name)) for tensor in inputs]
    (features,) = replay(keras.Model(inputs, outputs), given, reserved=_RESERVED)
    model = keras.Model(ids, features, name="encoder")
    require_savable(model, preset.folder)
    return TokenModel(model, padding, kind in _DECODERS)


def hub_tokenizer_settings(preset: HubPreset) -> dict[str, Json]:
    """The settings of a `TextPreparer` that tokenizes as a preset's tokenizer does; its file is kept as an asset.

    Raises:
        InputError: KerasHub is not installed, or the tokenizer cannot be had.
    """
    own = _tokenizer(preset)
    import keras_hub

    longest, padding = _longest(preset), _padding(own)
    if isinstance(own, keras_hub.tokenizers.WordPieceTokenizer):
        strips = bool(own.strip_accents)
        words = own.get_vocabulary()
        WordPiece(words, bool(own.lowercase), strips)  # raises where it is not one of BERT
        content = "".join(f"{word}\n" for word in words).encode()
        return {
            "tokenizer": "wordpiece", "lowercase": bool(own.lowercase), "strip_accents": strips,
            "assets": {VOCABULARY_FILE: keep_asset(content)}, "longest": longest, "padding": padding,
        }  # fmt: skip
    marks = _marks(own)
    made = (_byte_pairs if isinstance(own, keras_hub.tokenizers.BytePairTokenizer) else _unigrams)(own)
    made.post_processor = _between(*marks)
    asset = keep_asset(made.to_str().encode())
    return {"tokenizer": "tokenizers", "assets": {TOKENIZER_FILE: asset}, "longest": longest, "padding": padding}


def _tokenizer(preset: HubPreset) -> "keras_hub.tokenizers.Tokenizer":
    require("keras_hub", "keras-hub", "A KerasHub preset of texts")
    import keras_hub

    from keras_transfer.models.download import limited_silence

    try:
        with limited_silence():
            return keras_hub.tokenizers.Tokenizer.from_preset(preset.folder)
    except Exception as error:  # of KerasHub, of the hubs' clients
        raise InputError(f"KerasHub cannot load the tokenizer of {preset.folder} ({in_one_line(error)}).") from error


def _padding(own: "keras_hub.tokenizers.Tokenizer") -> int:
    """The token that fills texts up; GPT-2 has none: the one that ends a text serves."""
    import keras_hub

    return int(own.end_token_id if isinstance(own, keras_hub.tokenizers.GPT2Tokenizer) else own.pad_token_id)


def _longest(preset: HubPreset) -> int:
    """How many tokens a preset's backbone takes, without building it."""
    from keras_hub.src.utils.preset_utils import load_json  # KerasHub has no public way

    from keras_transfer.models.download import limited_silence

    try:
        with limited_silence():
            config = load_json(preset.folder)
    except Exception as error:  # of KerasHub, of the hubs' clients
        raise InputError(f"KerasHub cannot load {preset.folder} ({in_one_line(error)}).") from error
    own = config.get("config", config)  # of KerasHub, or of Hugging Face as it is
    return int(own.get("max_sequence_length") or min(own.get("max_position_embeddings") or _LONGEST, _LONGEST))


def _marks(own: "keras_hub.tokenizers.Tokenizer") -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
    """The tokens before and behind a text, as the model was trained with them."""
    import keras_hub

    if isinstance(own, keras_hub.tokenizers.GPT2Tokenizer):
        return [], []
    last = [(str(own.end_token), int(own.end_token_id))]
    first = [(str(own.start_token), int(own.start_token_id))]
    return ([] if isinstance(own, keras_hub.tokenizers.T5Tokenizer) else first), last


def _between(first: Sequence[tuple[str, int]], last: Sequence[tuple[str, int]]) -> Any:
    from tokenizers import processors

    template = [token for token, _ in first] + ["$A"] + [token for token, _ in last]
    return processors.TemplateProcessing(" ".join(template), special_tokens=[*first, *last])


def _byte_pairs(own: "keras_hub.tokenizers.BytePairTokenizer") -> Any:
    """Byte-level pairs, as GPT-2 and RoBERTa have them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    pairs = (str(merge).partition(" ") for merge in own.merges if "#version:" not in merge)
    merges = [(first, second) for first, _, second in pairs]
    tokenizer = Tokenizer(models.BPE(vocab=dict(own.vocabulary), merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(own.add_prefix_space))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _unigrams(own: "keras_hub.tokenizers.SentencePieceTokenizer") -> Any:
    """SentencePiece's unigrams, in the order of KerasHub's ids, with its normalization of characters."""
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    about = sentencepiece_model_pb2.ModelProto.FromString(own.proto)  # type: ignore[attr-defined]
    if about.trainer_spec.model_type != 1:
        raise InputError("A SentencePiece tokenizer must be one of unigrams: others are not read.")
    scores = {piece.piece: piece.score for piece in about.pieces}
    words = [str(word) for word in own.get_vocabulary()]
    unknown = words.index(about.trainer_spec.unk_piece)
    tokenizer = Tokenizer(models.Unigram([(word, scores.get(word, 0.0)) for word in words], unknown))
    steps: list[Any] = [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
    if about.normalizer_spec.precompiled_charsmap:
        steps.insert(0, normalizers.Precompiled(about.normalizer_spec.precompiled_charsmap))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer
