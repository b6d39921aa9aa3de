"""CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020): classifiers of pictures from words, without training.

Presets are KerasHub's. What is made is a plain classifier: the picture's tower, and a last layer whose weights are the
embeddings of sentences, one for each class. It is evaluated, exported and trained on as any other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.errors import InputError, in_one_line
from keras_transfer.models.download import limited_silence
from keras_transfer.models.head import compile_classifier
from keras_transfer.models.kerashub import load_backbone, preset_backbone, preset_of

if TYPE_CHECKING:
    import keras_hub

PROMPTS = ("a photo of a {}.",)
"""Sentences that name a class, where nobody gives others."""


def build_zero_shot_classifier(
    preset: str, class_names: Sequence[str], prompts: Sequence[str] = PROMPTS
) -> keras.Model:
    """A classifier of pictures by what their classes are called.

    Args:
        preset: of CLIP: `"kerashub:clip_vit_base_patch32"`, a handle or a folder; see `kerashub.preset_of`.
        class_names: at least two.
        prompts: sentences with `{}` where the name goes; the embeddings of several are averaged.

    Returns:
        The model, compiled: pixels in 0..255 to probabilities `[n, classes]`.

    Raises:
        InputError: KerasHub is not installed, the preset is none of CLIP or cannot be had, or names or prompts will not
            do.
    """
    if len(set(class_names)) < 2 or len(set(class_names)) < len(class_names):
        raise InputError(f"`class_names` must be two or more different names. Received: {list(class_names)}.")
    if isinstance(prompts, str) or not prompts or not all("{}" in prompt for prompt in prompts):
        raise InputError(f"`prompts` must be sentences with {{}} where the class's name goes. Received: {prompts!r}.")
    name = preset_of(preset) or preset
    tower = preset_backbone(name)
    clip = load_backbone(name, True)
    if type(clip).__name__ != "CLIPBackbone":
        raise InputError(f"{name} holds a {type(clip).__name__}: zero-shot classification needs a preset of CLIP.")
    tokenizer = _tokenizer(name)
    embeddings = np.stack(
        [_embedding(clip, tokenizer, [prompt.format(own) for prompt in prompts]) for own in class_names]
    )
    projected = keras.layers.Dense(clip.projection_dim, use_bias=False, name="projection")
    logits = keras.layers.Dense(len(class_names), name="logits")
    x = keras.layers.UnitNormalization(name="unit")(projected(tower.output))
    outputs = keras.layers.Activation("softmax", name="predictions")(logits(x))
    projected.set_weights(clip.vision_projection.get_weights())
    scale = float(np.exp(np.asarray(clip.clip_head.logit_scale)))
    logits.set_weights([scale * embeddings.T, np.zeros(len(class_names))])
    model = keras.Model(tower.inputs[0], outputs, name=tower.name)
    compile_classifier(model, multi_label=False)
    return model


def _tokenizer(preset: str) -> "keras_hub.tokenizers.CLIPTokenizer":
    import keras_hub

    try:
        with limited_silence():
            return keras_hub.tokenizers.CLIPTokenizer.from_preset(preset)
    except Exception as error:  # of KerasHub, of the hubs' clients
        raise InputError(f"KerasHub cannot load the tokenizer of {preset} ({in_one_line(error)}).") from error


def _embedding(
    clip: "keras_hub.models.CLIPBackbone",
    tokenizer: "keras_hub.tokenizers.CLIPTokenizer",
    sentences: Sequence[str],
) -> NDArray[np.float32]:
    """The mean direction of some sentences, float32 `[width]`, of length 1."""
    rows = []
    for sentence in sentences:
        length = clip.text_encoder.max_sequence_length
        words = [int(token) for token in np.asarray(tokenizer(sentence))][: length - 2]
        ids = [tokenizer.start_token_id, *words, tokenizer.end_token_id]
        row = np.asarray(clip.get_text_embeddings(np.array([ids], np.int32)))[0]
        rows.append(row / np.linalg.norm(row))
    mean = np.mean(rows, axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
