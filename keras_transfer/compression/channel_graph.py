"""Which channels of a model belong together, read from its graph: what must be removed with a channel."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_transfer.models.graph import Node, input_tensor, nodes

Ids: TypeAlias = NDArray[np.int64]  # numbers of channels

_CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
_SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_MERGES = (
    keras.layers.Add,
    keras.layers.Average,
    keras.layers.Maximum,
    keras.layers.Minimum,
    keras.layers.Multiply,
    keras.layers.Subtract,
)
# Layers that treat each channel by itself and alike.
_CHANNELWISE = {
    layer
    for name, layer in vars(keras.layers).items()
    if re.fullmatch(
        "(Global)?(Average|Max)Pooling[123]D|(UpSampling|ZeroPadding|Cropping|SpatialDropout)[123]D|Activation|ReLU"
        "|LeakyReLU|ELU|(Alpha|Gaussian)?Dropout|GaussianNoise|ActivityRegularization|Identity|Resizing",
        name,
    )
}
# Operations without a layer, `x + 3.0` or `keras.ops.sigmoid(x)`, of which the same is true.
_ELEMENTWISE = {
    "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum", "Negative", "Absolute", "Square",
    "Sqrt", "Exp", "Clip", "Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Gelu", "Tanh", "Elu", "Selu",
    "LeakyRelu", "Softplus", "Softsign", "Mish",
}  # fmt: skip
_MIXING = {"softmax", "log_softmax", "sparsemax", "glu"}  # activations that compute over the channels


class Slices(NamedTuple):
    """A weight, the channels that its axes run over, and how often it is applied per item."""

    layer: keras.layers.Layer
    weight: int  # its position in `layer.weights`
    axes: dict[int, Ids]  # axis -> the channel at each of its places
    reads: int | None = None  # the axis of the channels that a kernel sums over
    places: int = 0  # multiply-adds per item for each number in a kernel; 0 for other weights


@dataclass
class ChannelGraph:
    """All channels of a model, numbered so that those that are kept or removed together have one number.

    Attributes:
        slices: every weight that has channels.
        sizes: by a layer's identity, the entry of its configuration that counts channels, and those channels.
        families: the channels that may be removed. A family is what some layers make together: the channels of a
            convolution, or of all convolutions whose outputs are added.
        count: how many numbers there are.
    """

    slices: list[Slices] = field(default_factory=list)
    sizes: dict[int, tuple[str, Ids]] = field(default_factory=dict)
    families: list[Ids] = field(default_factory=list)
    count: int = 0


def channel_graph(model: keras.Model) -> ChannelGraph:
    """Follows every channel through a model.

    Channels are tied where they meet: added, multiplied (squeeze-and-excite), in the same place of a depthwise
    convolution or normalization. A layer of an unknown kind keeps the channels it reads and makes. The idea is
    that of dependency graphs (Fang et al. 2023, https://arxiv.org/abs/2301.12900), here channel by channel.

    Args:
        model: a functional or Sequential model with one input, channels last.

    Returns:
        The channels. Channels of the model's input and outputs are in no family.
    """
    return _Tracer(model).graph()


Rule: TypeAlias = Callable[[keras.layers.Layer, Node, list[Ids]], Ids]
"""Layer, call, and the channels that each of its inputs has -> those of its output."""


class _Tracer:
    """The walk through the graph; channels are tied by union-find."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self.parent: list[int] = []
        self.fixed: list[Ids] = []
        self.made: list[Ids] = []  # the channels that one layer makes
        self.result = ChannelGraph()
        self.known: dict[int, tuple[Ids, Ids]] = {}  # of layers met before: the channels read and made
        self.order = nodes(model)

    def graph(self) -> ChannelGraph:
        start = input_tensor(self.model)
        channels = {id(start): self.fix(self.new(start))}
        for node in self.order:
            for tensor in node.inputs:
                if id(tensor) not in channels:  # a further output of an operation that has several
                    channels[id(tensor)] = self.fix(self.new(tensor))
            channels[id(node.output)] = self.follow(node, [channels[id(tensor)] for tensor in node.inputs])
        for tensor in self.model.outputs:
            if id(tensor) in channels:
                self.fix(channels[id(tensor)])
        return self.numbered()

    def numbered(self) -> ChannelGraph:
        """The result, with one number for all channels that are tied."""
        roots = np.array([self.root(channel) for channel in range(len(self.parent))], np.int64)
        names, numbers = np.unique(roots, return_inverse=True)
        result = self.result
        result.count = len(names)
        result.slices = [s._replace(axes={a: numbers[ids] for a, ids in s.axes.items()}) for s in result.slices]
        result.sizes = {layer: (entry, numbers[ids]) for layer, (entry, ids) in result.sizes.items()}
        fixed = np.zeros(result.count, bool)
        for ids in self.fixed:
            fixed[numbers[ids]] = True
        families: list[Ids] = []
        for ids in self.made:
            own = np.unique(numbers[ids])
            touching = [other for other in families if np.isin(own, other).any()]
            families = [other for other in families if not any(other is one for one in touching)]
            families.append(np.unique(np.concatenate([own, *touching])))
        result.families = [free for family in families if len(free := family[~fixed[family]])]
        return result

    def new(self, tensor: keras.KerasTensor) -> Ids:
        count = int(tensor.shape[-1] or 0) if len(tensor.shape) > 1 else 0
        start = len(self.parent)
        self.parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def root(self, channel: int) -> int:
        while self.parent[channel] != channel:
            self.parent[channel] = self.parent[self.parent[channel]]
            channel = self.parent[channel]
        return channel

    def tie(self, one: Ids, other: Ids) -> None:
        for a, b in zip(one.tolist(), other.tolist(), strict=True):
            self.parent[self.root(a)] = self.root(b)

    def fix(self, channels: Ids) -> Ids:
        self.fixed.append(channels)
        return channels

    def follow(self, node: Node, reads: list[Ids]) -> Ids:
        """The channels of a call's output."""
        layer = node.layer
        if layer is None:
            return self.operation(node, reads)
        rule = self.rule(layer, node)
        if rule is None:
            return self.unknown(node, reads)
        if id(layer) in self.known:  # a shared layer has one set of weights, so one set of channels
            read, made = self.known[id(layer)]
            self.tie(reads[0], read)
            self.result.slices = [
                s._replace(places=s.places + _places(node)) if s.layer is layer and s.places else s
                for s in self.result.slices
            ]
            return made
        made = rule(layer, node, reads)
        if getattr(getattr(layer, "activation", None), "__name__", "") in _MIXING:
            self.fix(made)
        if layer.weights:
            self.known[id(layer)] = reads[0], made
        return made

    def rule(self, layer: keras.layers.Layer, node: Node) -> Rule | None:
        """How channels pass a layer; None where that is not known. Subclasses may compute what they like."""
        kind, known = type(layer), len(layer.weights)
        if getattr(layer, "data_format", None) == "channels_first":
            return None
        bias = int(bool(getattr(layer, "use_bias", False)))
        if (kind in _CONVOLUTIONS and layer.groups == 1) or kind is keras.layers.Dense:
            return self.kernel if known == 1 + bias else None
        if kind in _SEPARABLE:
            return self.separable if known == 2 + bias else None
        if kind in _DEPTHWISE:
            return self.depthwise if known == 1 + bias else None
        last = len(node.output.shape) - 1
        if kind is keras.layers.BatchNormalization:
            return self.along if layer.axis in (-1, last) else None
        if kind is keras.layers.PReLU:
            return self.along
        if kind in _CHANNELWISE or (
            kind is keras.layers.Rescaling and not np.ndim(layer.scale) + np.ndim(layer.offset)
        ):
            return lambda layer, node, reads: reads[0]
        if kind in _MERGES:
            return lambda layer, node, reads: self.merge(node, reads)
        if kind is keras.layers.Concatenate:
            return self.concatenate if layer.axis in (-1, last) else None
        return self.reshape if kind in (keras.layers.Flatten, keras.layers.Reshape) else None

    def unknown(self, node: Node, reads: list[Ids]) -> Ids:
        for channels in reads:
            self.fix(channels)
        for index, weight in enumerate(getattr(node.layer, "weights", [])):
            if weight.path.endswith("kernel"):
                self.add(node.layer, index, {}, None, _places(node))
        return self.fix(self.new(node.output))

    def kernel(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        rank = len(layer.weights[0].shape)
        made = self.makes(layer, node, "units" if type(layer) is keras.layers.Dense else "filters")
        self.add(layer, 0, {rank - 2: reads[0], rank - 1: made}, rank - 2, _places(node))
        if layer.use_bias:
            self.add(layer, 1, {0: made})
        return made

    def separable(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        rank = len(layer.weights[0].shape)
        between = np.repeat(reads[0], layer.depth_multiplier)
        made = self.makes(layer, node, "filters")
        self.add(layer, 0, {rank - 2: reads[0]}, None, _places(node))
        self.add(layer, 1, {rank - 2: between, rank - 1: made}, rank - 2, _places(node))
        if layer.use_bias:
            self.add(layer, 2, {0: made})
        return made

    def depthwise(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        rank = len(layer.weights[0].shape)
        self.add(layer, 0, {rank - 2: reads[0]}, None, _places(node))
        out = np.repeat(reads[0], layer.depth_multiplier)
        if layer.use_bias:
            self.add(layer, 1, {0: out})
        return out

    def along(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        for index, weight in enumerate(layer.weights):
            self.add(layer, index, {len(weight.shape) - 1: reads[0]})
        return reads[0]

    def merge(self, node: Node, reads: Sequence[Ids]) -> Ids:
        if len({len(tensor.shape) for tensor in node.inputs}) > 1:
            return self.unknown(node, list(reads))
        widest = max(reads, key=len)
        for channels in reads:
            if len(channels) == len(widest):
                self.tie(channels, widest)
            else:  # one channel for all of the others'
                self.fix(channels)
        return widest

    def concatenate(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        return np.concatenate(reads)

    def reshape(self, layer: keras.layers.Layer, node: Node, reads: list[Ids]) -> Ids:
        """Flattening, and reshaping that leaves the channels last; the target of the latter counts them."""
        before, after = node.inputs[0].shape[1:], node.output.shape[1:]
        if None in (*before, *after):
            return self.unknown(node, reads)
        repeats = math.prod(before[:-1]) if len(after) == 1 else 1
        made = np.tile(reads[0], repeats)
        if after[-1] != len(made):
            return self.unknown(node, reads)
        if type(layer) is keras.layers.Reshape and layer.target_shape[-1] != -1:
            self.result.sizes[id(layer)] = "target_shape", made
        return made

    def operation(self, node: Node, reads: list[Ids]) -> Ids:
        history = node.output._keras_history
        call = node.operation._inbound_nodes[history.node_index].arguments
        constants = [a for a in (*call.args, *call.kwargs.values()) if not isinstance(a, keras.KerasTensor)]
        if type(node.operation).__name__ not in _ELEMENTWISE or any(np.ndim(constant) for constant in constants):
            return self.unknown(node, reads)
        return self.merge(node, reads)

    def makes(self, layer: keras.layers.Layer, node: Node, entry: str) -> Ids:
        made = self.new(node.output)
        self.made.append(made)
        self.result.sizes[id(layer)] = entry, made
        return made

    def add(
        self, layer: keras.layers.Layer, index: int, axes: dict[int, Ids], reads: int | None = None, places: int = 0
    ) -> None:
        self.result.slices.append(Slices(layer, index, axes, reads, places))


def _places(node: Node) -> int:
    return math.prod(side or 1 for side in node.output.shape[1:-1])
