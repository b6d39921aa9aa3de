"""What the file of a network will need on a device, before the network is trained."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from keras_transfer import __version__, cache
from keras_transfer.exporters.preview import preview
from keras_transfer.exporters.targets import judge
from keras_transfer.exporters.targets.devices import Latency
from keras_transfer.exporters.targets.fit import Needs, needs_of
from keras_transfer.litert import read_flatbuffer
from keras_transfer.models.graph import nodes

if TYPE_CHECKING:
    import keras

    from keras_transfer.data.split import Split

_ITEMS = 16  # that calibrate
_CHANCE = ("name", "seed")  # of a layer's configuration: no part of what is computed


class Footprint(NamedTuple):
    """What a file needs, and the target's own reason against it, empty where it takes the file."""

    needs: Needs
    why: str


def footprint(
    model: "keras.Model",
    target: str,
    calibration: "Split | None" = None,
    *,
    accelerator: str | None = None,
    mhz: float | None = None,
) -> Footprint:
    """Measures the file that exporting a network would give, whatever the network has learned.

    The network is converted as it is, calibrated with a few items, and judged as a file is: TFLM's arena is measured
    in TFLM, Vela estimates for the Ethos-U. Bytes and arena follow from the operators and their shapes, not from what
    is in the weights. Kept in the cache by the graph.

    Args:
        model: the classifier, or the part of it that the target's file holds.
        target: a name of `keras_transfer.exporters.targets.TARGETS`.
        calibration: items, prepared for the model; random pictures without.
        accelerator: for ethos-u, one of its `ACCELERATORS`.
        mhz: the clock of that accelerator.

    Raises:
        InputError: LiteRT lacks operators of the model, or the target's tool is missing.
    """
    key = cache.cache_key(
        footprint=__version__, graph=graph_digest(model), target=target, accelerator=accelerator, mhz=mhz
    )
    entry = cache.open_entry(key)
    if entry is not None:
        about = cast(dict[str, dict[str, object]], entry.about)
        entry.close()
        known = about["needs"].pop("latency")
        latency = Latency(*cast(tuple[float, float | None], known)) if known is not None else None
        return Footprint(Needs(**about["needs"], latency=latency), str(about["why"]))  # type: ignore[arg-type]
    with _weights_like_trained_ones(model):
        content = preview(model, [target], calibration, _ITEMS).contents[target]
    verdict = judge(content, target, **({"accelerator": accelerator} if accelerator is not None else {}))
    needs = needs_of(content, read_flatbuffer(content), {**verdict}, mhz)
    with cache.new_entry(key, {"kind": "footprint", "why": verdict["why"], "needs": asdict(needs)}):
        pass
    return Footprint(needs, verdict["why"])


def graph_digest(model: "keras.Model") -> str:
    """What a network computes, but for its weights and names, as a SHA-256.

    >>> import keras
    >>> models = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]) for _ in range(2)]
    >>> graph_digest(models[0]) == graph_digest(models[1])
    True
    """
    places = {id(tensor): number for number, tensor in enumerate(model.inputs)}
    lines = [str(tensor.shape) for tensor in model.inputs]
    for node in nodes(model):
        layer = node.operation
        config = json.dumps(_plain(layer.get_config()), sort_keys=True, default=str) if node.layer is not None else ""
        shapes = [str(weight.shape) for weight in getattr(layer, "weights", ())]
        lines.append(f"{type(layer).__name__} {config} {shapes} {[places[id(tensor)] for tensor in node.inputs]}")
        places |= {id(tensor): len(places) + number for number, tensor in enumerate(node.outputs)}
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _plain(config: object) -> object:
    if isinstance(config, dict):
        return {
            name: _plain(value)
            for name, value in config.items()
            if name not in _CHANCE and not name.endswith(("_initializer", "_regularizer", "_constraint"))
        }
    return [_plain(value) for value in config] if isinstance(config, list | tuple) else config


@contextlib.contextmanager
def _weights_like_trained_ones(model: "keras.Model") -> Iterator[None]:
    """Biases that are nought get other values meanwhile: a file holds equal ones once, and trained ones never are."""
    random = np.random.default_rng(0)
    empty = [weight for weight in model.weights if len(weight.shape) == 1 and not np.any(weight.numpy())]
    kept = [weight.numpy() for weight in empty]
    try:
        for weight in empty:
            weight.assign(random.normal(0, 0.01, weight.shape))
        yield
    finally:
        for weight, value in zip(empty, kept, strict=True):
            weight.assign(value)
