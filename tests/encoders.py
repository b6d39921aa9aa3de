"""Tiny text encoders in folders as Hugging Face writes them, with random weights."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
WORDS = ["the", "a", "soup", "tea", "was", "is", "very", "bad", "poor", "good", "fine", "not", "and", "it", ",", "."]
VOCABULARY = list(dict.fromkeys([*SPECIAL, *LETTERS, *WORDS]))
WIDTH, BLOCKS, HEADS, INNER, POSITIONS, EMBEDDING = 16, 2, 2, 32, 64, 8

BERT = {
    "model_type": "bert", "hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS,
    "intermediate_size": INNER, "hidden_act": "gelu", "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS, "vocab_size": len(VOCABULARY), "pad_token_id": 0,
}  # fmt: skip
KINDS = {
    "bert": BERT,
    "distilbert": {
        "model_type": "distilbert", "dim": WIDTH, "n_layers": BLOCKS, "n_heads": HEADS, "hidden_dim": INNER,
        "activation": "gelu", "dropout": 0.1, "max_position_embeddings": POSITIONS, "vocab_size": len(VOCABULARY),
        "pad_token_id": 0,
    },
    "roberta": BERT | {"model_type": "roberta", "pad_token_id": 1, "max_position_embeddings": POSITIONS + 2},
    "xlm-roberta": BERT | {"model_type": "xlm-roberta", "pad_token_id": 1, "max_position_embeddings": POSITIONS + 2},
    "electra": BERT | {"model_type": "electra", "embedding_size": EMBEDDING},
    "albert": BERT | {"model_type": "albert", "embedding_size": EMBEDDING, "hidden_act": "gelu_new"},
}  # fmt: skip
_BLOCK = {
    "bert": (
        "encoder.layer.{}.",
        ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        ("intermediate.dense", "output.dense"),
        ("attention.output.LayerNorm", "output.LayerNorm"),
    ),
    "distilbert": (
        "transformer.layer.{}.",
        ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"),
        ("ffn.lin1", "ffn.lin2"),
        ("sa_layer_norm", "output_layer_norm"),
    ),
    "albert": (
        "encoder.albert_layer_groups.0.albert_layers.0.",
        ("attention.query", "attention.key", "attention.value", "attention.dense"),
        ("ffn", "ffn_output"),
        ("attention.LayerNorm", "full_layer_layer_norm"),
    ),
}


def write_encoder(folder: Path, kind: str = "bert", seed: int = 0, scale: float = 0.3) -> Path:
    """A folder with `config.json`, `model.safetensors`, and a tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config, random = KINDS[kind], np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}

    def matrix(name: str, *shape: int) -> None:
        weights[name] = random.normal(0, scale, shape).astype(np.float32)

    def dense(name: str, inputs: int, outputs: int) -> None:
        matrix(f"{name}.weight", outputs, inputs)
        matrix(f"{name}.bias", outputs)

    def norm(name: str, width: int) -> None:
        weights[f"{name}.weight"] = (1 + random.normal(0, 0.1, width)).astype(np.float32)
        matrix(f"{name}.bias", width)

    own = "" if kind == "bert" else f"{kind.removeprefix('xlm-')}."  # as in a model with a head of its own
    width = config.get("embedding_size", WIDTH)
    matrix(f"{own}embeddings.word_embeddings.weight", len(VOCABULARY), width)
    matrix(f"{own}embeddings.position_embeddings.weight", config["max_position_embeddings"], width)
    if kind != "distilbert":
        matrix(f"{own}embeddings.token_type_embeddings.weight", 2, width)
    norm(f"{own}embeddings.LayerNorm", width)
    if kind == "electra":
        dense(f"{own}embeddings_project", width, WIDTH)
    if kind == "albert":
        dense(f"{own}encoder.embedding_hidden_mapping_in", width, WIDTH)
    block, attention, (inner, outer), norms = _BLOCK.get(kind, _BLOCK["bert"])
    for number in range(1 if kind == "albert" else BLOCKS):
        start = own + block.format(number)
        for name in attention:
            dense(start + name, WIDTH, WIDTH)
        dense(start + inner, WIDTH, INNER)
        dense(start + outer, INNER, WIDTH)
        for name in norms:
            norm(start + name, WIDTH)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    if kind in ("bert", "distilbert", "electra"):
        (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in VOCABULARY))
        (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    else:
        _write_tokenizer(folder / "tokenizer.json")
    return folder


def _write_tokenizer(path: Path) -> None:
    """Of whole words, in the marks of RoBERTa."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *VOCABULARY[len(SPECIAL) :]]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(path))
