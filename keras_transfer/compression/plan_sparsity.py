"""Which layers of a classifier get how many zeros."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import keras
import numpy as np

from keras_transfer.compression.sparsity import kernel_layers, spared_layers
from keras_transfer.errors import InputError
from keras_transfer.models import head_layers
from keras_transfer.models import stages as stages_of

Pattern: TypeAlias = str | tuple[int, int] | None
Block: TypeAlias = tuple[int, int] | Literal["2:4"]  # (inputs, outputs)

_FEW = 0.6  # up to this sparsity zeros come in runs: where they are few, single ones hardly pack
_LEAST = 0.05  # a layer with less sparsity stays dense: pruning it would cost training down to it


def plan_sparsity(
    model: keras.Model,
    sparsity: float = 0.5,
    *,
    pattern: Pattern = None,
    allocation: float = 0.75,
    stages: Mapping[str, float] | None = None,
    spare: Sequence[str] = ("first", "last"),
) -> dict[str, float]:
    """How many of each layer's weights `prune` would set to zero.

    Args:
        model: as for `prune`.
        sparsity: as for `prune`.
        pattern: as for `prune`; a layer too small for two blocks each way stays dense.
        allocation: as for `prune`.
        stages: as for `prune`.
        spare: as for `prune`.

    Returns:
        Layer name -> share of zeros, of the layers that get any.

    Raises:
        InputError: as `prune`.

    >>> layers = [keras.layers.Dense(8, use_bias=False, name=name) for name in "abcd"]
    >>> plan_sparsity(keras.Sequential([keras.Input((8,)), *layers]), 0.25, pattern="1x1")
    {'b': 0.5, 'c': 0.5}
    """
    layers = kernel_layers(model)
    dense = spared_layers(layers, spare)
    kind = read_pattern(pattern, sparsity, stages)
    if not 0 <= allocation <= 2:
        raise InputError(f"`allocation` must be in 0..2. Received: allocation={allocation}.")
    counts = {name: math.prod(layer.kernel.shape) for name, layer in layers.items()}
    live = {name: int(np.count_nonzero(layer.kernel)) for name, layer in layers.items()}
    if isinstance(kind, tuple):
        dense |= {name for name, layer in layers.items() if not _has_blocks(layer.kernel.shape, kind)}
    shares: dict[str, float] = {}
    for names, share in _groups(model, layers, sparsity, stages):
        if not 0 < share < 1:
            raise InputError(f"Sparsity must be above 0 and below 1. Received: {share}.")
        if kind == "2:4":
            if share != 0.5:
                raise InputError(f"The pattern 2:4 makes a sparsity of 0.5. Received: {share}.")
            shares |= {name: 0.5 for name in names if name not in dense}
        else:
            shares |= _share_out({name: counts[name] for name in names}, live, share, dense, allocation)
    return shares


def read_pattern(pattern: Pattern, sparsity: float, stages: Mapping[str, float] | None = None) -> Block:
    """What `pattern` means at a sparsity.

    Raises:
        InputError: it is no pattern.
    """
    if pattern is None:
        return (4, 1) if min((stages or {"": sparsity}).values()) <= _FEW else (1, 1)
    sides = pattern.split("x") if isinstance(pattern, str) else [str(side) for side in pattern]
    if pattern != "2:4" and not (len(sides) == 2 and all(side.isdecimal() and int(side) > 0 for side in sides)):
        raise InputError(f"`pattern` must be '2:4' or a block such as '4x1' or (4, 1). Received: pattern={pattern!r}.")
    return "2:4" if pattern == "2:4" else (int(sides[0]), int(sides[1]))


def _has_blocks(shape: Sequence[int], block: tuple[int, int]) -> bool:
    sides = math.prod(shape[:-1]), shape[-1]
    return all(side >= 2 * size for side, size in zip(sides, block, strict=True))


def _groups(
    model: keras.Model, layers: Mapping[str, keras.layers.Layer], sparsity: float, stages: Mapping[str, float] | None
) -> list[tuple[list[str], float]]:
    """Names of layers that are to have a sparsity together."""
    if stages is None:
        return [(list(layers), sparsity)]
    parts = {stage.name: stage.layers for stage in stages_of(model)} | {"head": tuple(head_layers(model))}
    if unknown := set(stages) - set(parts):
        raise InputError(f"The model has no stage {', '.join(sorted(unknown))}. It has: {', '.join(parts)}.")
    groups = []
    for stage, share in stages.items():
        inside = {id(layer) for part in parts[stage] for layer in part._flatten_layers()}
        names = [name for name, layer in layers.items() if id(layer) in inside]
        if names:
            groups.append((names, share))
    return groups


def _share_out(
    counts: Mapping[str, int], live: Mapping[str, int], sparsity: float, spared: set[str], power: float
) -> dict[str, float]:
    """Sparsities that make `sparsity` over all: a kernel's density falls with a power of its size, and is at most 1.

    What is zero already in layers that stay dense counts (`live` are the others): a pretrained MobileNetV2 has 0.8%.
    """
    dense = spared & set(counts)
    while True:
        rest = [name for name in counts if name not in dense]
        kept = (1 - sparsity) * sum(counts.values()) - sum(live[name] for name in dense)
        if kept <= 0:
            raise InputError(f"A sparsity of {sparsity} cannot be reached while {', '.join(sorted(dense))} stay dense.")
        factor = kept / sum(counts[name] ** (1 - power) for name in rest)
        shares = {name: 1 - factor * counts[name] ** -power for name in rest}
        small = {name for name, share in shares.items() if share < min(_LEAST, sparsity / 2)}
        if not small:
            return shares
        dense |= small
