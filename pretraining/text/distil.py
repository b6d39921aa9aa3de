"""Makes the bundled encoder of texts: the lower blocks of MiniLM, thinner, learn to say of each word what they said.

    python pretraining/text/distil.py texts.txt MINILM --out student

The student keeps the most frequent word pieces, gives each 160 numbers and a projection instead of 384, and of the
1,536 neurons of each block 640, those that matter most, fitted by least squares. Then it trains to copy the teacher's
features of words (the mean over a word's pieces: the two cut words differently) after the embeddings and every block.
Stopped, the same command goes on. It ends with a Hugging Face folder of type `electra`, as float32.
"""

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.modalities.text.encoder import EncoderShape, build_encoder
from keras_transfer.modalities.text.presets import encoder_shape, find_preset, load_weights
from keras_transfer.modalities.text.wordpiece import FIRST, LAST, MASK, PADDING, UNKNOWN, WordPiece, read_vocabulary

SPECIAL = (PADDING, UNKNOWN, FIRST, LAST, MASK)
LENGTHS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 256)
HELD_OUT = 600  # texts by which distillation is judged
CALIBRATION = 1000  # texts to which the thinner blocks are fitted
BELOW = 0.3  # weight of the losses below the last block
LAST_WORD = -2
COLUMNS = ("step", "seconds", "loss", "held_out", "rate")


def chosen_pieces(vocabulary: Sequence[str], counts: Counter[int], size: int) -> list[int]:
    """Ids of the pieces that stay: marks, all characters, and in turn the most frequent ones of BERT's own texts (its
    vocabulary is in that order) and of ours."""
    kept = [i for i, piece in enumerate(vocabulary) if len(piece.removeprefix("##")) == 1 or piece in SPECIAL]
    kept, seen = kept[:size], set(kept)
    orders = [iter(range(len(vocabulary))), (i for i, _ in counts.most_common())]
    while len(kept) < size:
        for order in orders:
            piece = next((i for i in order if i not in seen and not vocabulary[i].startswith("[")), None)
            if piece is not None and len(kept) < size:
                seen.add(piece)
                kept.append(piece)
    return sorted(kept)


def encode(words: WordPiece, text: str, longest: int) -> tuple[list[int], list[int]]:
    """Ids of a text with its marks, and the number of the word of each."""
    ids, numbers = [words.id_of(FIRST)], [0]
    for number, word in enumerate(words.words(text), start=1):
        pieces = words.pieces_of(word)
        ids += pieces
        numbers += [number] * len(pieces)
    ids, numbers = ids[: longest - 1], numbers[: longest - 1]
    return [*ids, words.id_of(LAST)], [*numbers, LAST_WORD]


def split_words(text: str, old: WordPiece, new: WordPiece) -> int:
    """How many words of a text the student has to cut further than the teacher."""
    return sum(len(new.pieces_of(word)) > len(old.pieces_of(word)) for word in old.words(text))


class Pairs:
    """Texts as the teacher and the student read them, in batches of like length."""

    def __init__(self, texts: list[str], readers: tuple[WordPiece, WordPiece]) -> None:
        self.rows = [[encode(words, text, LENGTHS[-1]) for words in readers] for text in texts]
        longest = np.array([max(len(ids) for ids, _ in row) for row in self.rows])
        self.bucket = np.searchsorted(LENGTHS, longest)

    def batches(self, tokens: int, random: np.random.Generator) -> Iterator[list[np.ndarray]]:
        """Teacher's ids and words, the student's: each int32 `[n, length]`; words are numbered over the batch."""
        chosen = []
        for bucket, length in enumerate(LENGTHS):
            rows, size = random.permutation(np.flatnonzero(self.bucket == bucket)), tokens // length
            chosen += [(length, rows[i : i + size]) for i in range(0, len(rows) - size + 1, size)]
        for i in random.permutation(len(chosen)):
            yield self.batch(*chosen[int(i)])

    def batch(self, length: int, rows: np.ndarray) -> list[np.ndarray]:
        filled = []
        for side in (0, 1):
            ids, words = np.zeros((len(rows), length), np.int32), np.full((len(rows), length), -1, np.int32)
            for i, row in enumerate(rows):
                own, numbers = self.rows[int(row)][side]
                ids[i, : len(own)] = own
                words[i, : len(own)] = np.where(np.array(numbers) == LAST_WORD, length - 1, numbers) + i * length
            filled += [ids, words]
        return filled


def levels(encoder: keras.Model, blocks: int, first: str) -> keras.Model:
    """An encoder's features after the embeddings and each of so many blocks."""
    names = [first, *(f"block{number}_outer_norm" for number in range(blocks))]
    return keras.Model(encoder.input, [encoder.get_layer(name).output for name in names])


def word_features(features: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
    """Means over the pieces of each word, `[n * length, width]`; zero where there is none."""
    flat = tf.reshape(tf.cast(features, tf.float32), (-1, features.shape[-1]))
    return tf.math.unsorted_segment_mean(flat, tf.reshape(words, [-1]), tf.size(words))


def normalized(x: np.ndarray, epsilon: float = 1e-12) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + epsilon)


def least_squares(inputs: np.ndarray, targets: np.ndarray, ridge: float = 1e-3) -> list[np.ndarray]:
    """Kernel and bias of the dense layer that comes nearest."""
    mean, goal = inputs.mean(0), targets.mean(0)
    centred = (inputs - mean).astype(np.float64)
    square = centred.T @ centred
    square[np.diag_indices_from(square)] += ridge * np.trace(square) / len(square)
    kernel = np.linalg.solve(square, centred.T @ (targets - goal)).astype(np.float32)
    return [kernel, goal - mean @ kernel]


def start(teacher: keras.Model, student: keras.Model, shape: EncoderShape, kept: list[int], pairs: Pairs) -> None:
    """Gives the student what it can have of the teacher without training."""
    equal = [i for i, ((own, _), (ids, _)) in enumerate(pairs.rows) if [kept[j] for j in ids] == own and len(own) <= 48]
    rows = np.array(equal[:CALIBRATION])
    ids = np.zeros((len(rows), 48), np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(pairs.rows[row][1][0])] = pairs.rows[row][1][0]
    real, old = ids != 0, np.where(ids != 0, np.array(kept)[ids], 0)

    def seen(model: keras.Model, layer: str, values: np.ndarray) -> np.ndarray:
        part = keras.Model(model.input, model.get_layer(layer).output)
        found = [np.asarray(part(values[i : i + 50]), np.float32) for i in range(0, len(values), 50)]
        return np.concatenate(found)[real]

    table, places = (teacher.get_layer(name).get_weights()[0] for name in ("words", "places"))
    table = table[kept]
    centre = table[ids[real]].mean(0)
    _, vectors = np.linalg.eigh(np.cov((table[ids[real]] - centre).T))
    axes = vectors[:, -shape.embedding :]
    scale = 1 / np.std((table[ids[real]] - centre) @ axes)
    student.get_layer("words").set_weights([(table - centre) @ axes * scale])
    student.get_layer("places").set_weights([(places[: shape.positions]) @ axes * scale])
    goal = seen(teacher, "embeddings_norm", old)
    student.get_layer("projection").set_weights(least_squares(seen(student, "embeddings_norm", ids), goal))
    print("embeddings, share that is lost:", lost(seen(student, "projection", ids), goal))
    for number in range(shape.blocks):
        for part in ("query", "key", "value", "attention", "attention_norm", "outer_norm"):
            name = f"block{number}_{part}"
            student.get_layer(name).set_weights(teacher.get_layer(name).get_weights())
        inner, outer = (f"block{number}_{part}" for part in ("inner", "outer"))
        (first, first_bias), (second, _) = (teacher.get_layer(name).get_weights() for name in (inner, outer))
        x = seen(student, f"block{number}_attention_norm", ids)
        neurons = np.asarray(keras.ops.gelu(x @ first + first_bias, approximate=False))
        best = np.sort(np.argsort(neurons.var(0) * (second**2).sum(1))[-shape.inner :])
        student.get_layer(inner).set_weights([first[:, best], first_bias[best]])
        student.get_layer(outer).set_weights(least_squares(neurons[:, best], seen(teacher, outer, old)))
        goal = seen(teacher, f"block{number}_outer_norm", old)
        print(f"block {number}, share that is lost:", lost(seen(student, f"block{number}_outer_norm", ids), goal))


def lost(own: np.ndarray, goal: np.ndarray) -> float:
    return round(float(((own - goal) ** 2).mean() / goal.var(0).mean()), 4)


def losses(teacher: keras.Model, student: keras.Model) -> Callable[..., tf.Tensor]:
    """A function of a batch: the share of each level's variance that the student's words miss."""

    def of(batch: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
        ids, words, own_ids, own_words = batch
        found = []
        for goal, own in zip(teacher(ids, training=False), student(own_ids, training=training), strict=True):
            goal, own = tf.stop_gradient(word_features(goal, words)), word_features(own, own_words)
            both = tf.cast(tf.reduce_any(goal != 0, 1) & tf.reduce_any(own != 0, 1), tf.float32)[:, None]
            mean = tf.reduce_sum(goal * both, 0) / tf.reduce_sum(both)
            found.append(tf.reduce_sum(both * (own - goal) ** 2) / tf.reduce_sum(both * (goal - mean) ** 2))
        return tf.stack(found)

    return of


def write_folder(student: keras.Model, shape: EncoderShape, vocabulary: Sequence[str], folder: Path) -> None:
    """The student as a Hugging Face folder of type `electra`."""
    from safetensors.numpy import save_file

    from keras_transfer.modalities.text.presets import KINDS

    names = KINDS["electra"]
    tensors: dict[str, np.ndarray] = {}
    for layer in student.layers:
        if not layer.weights:
            continue
        values = [np.asarray(value, np.float32) for value in layer.get_weights()]
        if layer.name in ("words", "places"):
            tensors[f"embeddings.{'word' if layer.name == 'words' else 'position'}_embeddings.weight"] = values[0]
            continue
        if layer.name == "embeddings_norm":
            name = "embeddings.LayerNorm"
        elif layer.name == "projection":
            name = "embeddings_project"
        else:
            block, part = layer.name.removeprefix("block").split("_", 1)
            name = names.block.format(block) + names.parts[part]
        tensors[f"{name}.weight"] = np.ascontiguousarray(values[0].T)
        tensors[f"{name}.bias"] = values[1]
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "electra", "vocab_size": shape.vocabulary, "hidden_size": shape.width,
        "embedding_size": shape.embedding, "num_hidden_layers": shape.blocks, "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner, "max_position_embeddings": shape.positions, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("teacher")
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--embedding", type=int, default=160)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--inner", type=int, default=640)
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=2048, help="of a batch")
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--most", type=int, help="read only so many texts")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    preset = find_preset(options.teacher)
    whole = encoder_shape(preset)
    old = WordPiece(read_vocabulary((preset.folder / "vocab.txt").read_bytes()))
    texts = options.texts.read_text("utf-8").splitlines()
    counts = Counter(piece for text in texts for piece in old.ids(text))
    kept = chosen_pieces(old.vocabulary, counts, options.vocabulary)
    vocabulary = [old.vocabulary[i] for i in kept]
    new = WordPiece(vocabulary)
    print(f"{sum(counts[i] for i in kept) / counts.total():.4f} of the pieces stay", flush=True)

    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    shape = EncoderShape(
        len(vocabulary), whole.width, options.blocks, whole.heads, options.inner, options.positions, options.embedding,
        dropout=0.0,
    )  # fmt: skip
    teacher = build_encoder(replace(whole, dropout=0.0))
    load_weights(teacher, preset)
    student = build_encoder(shape)
    print(f"{student.count_params():,} parameters", flush=True)
    begun = time.time()
    texts = [text for text in texts if split_words(text, old, new) <= 1]
    held_out, pairs = (Pairs(part, (old, new)) for part in (texts[:HELD_OUT], texts[HELD_OUT : options.most]))
    print(f"{time.time() - begun:.0f} s to cut texts; {sum(len(r[1][0]) for r in pairs.rows):,} tokens", flush=True)

    each = sum(int((pairs.bucket == b).sum()) // (options.tokens // length) for b, length in enumerate(LENGTHS))
    total = each * options.epochs
    warm_up = min(200, total // 10)
    rate = keras.optimizers.schedules.CosineDecay(0.0, total, warmup_target=options.rate, warmup_steps=warm_up)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01, clipnorm=1.0)
    optimizer.build(student.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64)
    state = tf.train.Checkpoint(student=student, optimizer=optimizer, step=step)
    manager = tf.train.CheckpointManager(state, options.out / "checkpoints", 1)
    log = options.out / "history.csv"
    if manager.latest_checkpoint:
        state.restore(manager.latest_checkpoint)
        print(f"goes on at step {int(step)} of {total}", flush=True)
    else:
        start(teacher, student, shape, kept, pairs)
        write_folder(student, shape, vocabulary, options.out / "start")
        log.write_text(",".join(COLUMNS) + "\n")
    tops = levels(teacher, shape.blocks, "embeddings_norm"), levels(student, shape.blocks, "projection")
    of = losses(*tops)
    weights = tf.constant([BELOW] * shape.blocks + [1.0])
    variables = student.trainable_variables
    signature = [[tf.TensorSpec((None, None), tf.int32)] * 4]

    @tf.function(input_signature=signature)
    def train(batch: Any) -> tf.Tensor:
        with tf.GradientTape() as tape:
            each_level = of(batch, True)
            loss = tf.reduce_sum(each_level * weights)
        optimizer.apply(tape.gradient(loss, variables), variables)
        return each_level

    judge = tf.function(lambda batch: of(batch, False), input_signature=signature)

    def judged() -> np.ndarray:
        found = [judge(batch).numpy() for batch in held_out.batches(options.tokens // 4, np.random.default_rng(0))]
        return np.mean(found, 0).round(4)

    print("held out, before:", judged(), flush=True)
    begun, recent = time.time(), []
    while int(step) < total:
        epoch, skip = divmod(int(step), each)
        for number, batch in enumerate(pairs.batches(options.tokens, np.random.default_rng((1, epoch)))):
            if number < skip:
                continue
            recent.append(train([tf.constant(part) for part in batch]))
            step.assign_add(1)
            if int(step) % 100 == 0 or int(step) == total:
                loss = np.mean([value.numpy() for value in recent], 0).round(4)
                found = judged()
                row = [int(step), round(time.time() - begun), loss[-1], found[-1], f"{float(rate(int(step))):.2e}"]
                with log.open("a", newline="") as file:
                    csv.writer(file, lineterminator="\n").writerow(row)
                print(f"{int(step)}/{total} {time.time() - begun:.0f} s  {loss}  held out {found}", flush=True)
                recent = []
                manager.save()
                write_folder(student, shape, vocabulary, options.out / "student")


if __name__ == "__main__":
    main()
