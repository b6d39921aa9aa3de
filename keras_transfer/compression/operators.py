"""A classifier as the operators of its integer file: what the converter fuses is one step here, what it splits several.

Fake quantization must stand where the file's integers stand, and nowhere else.
"""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_transfer.errors import InputError

if TYPE_CHECKING:
    import tf_keras

# Where an output's integers come from: a range of its own; its input's range; a range known beforehand (or none for the
# network's last output, whose range the converter knows).
Kind = Literal["own", "same", "fixed"]
_SAME = (
    "MaxPooling2D", "AveragePooling2D", "ZeroPadding2D", "Cropping2D", "Reshape", "Flatten", "Permute", "UpSampling2D",
    "GlobalMaxPooling2D",
)  # fmt: skip
_ONLY_TRAINING = ("Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "ActivityRegularization")
_OWN = ("GlobalAveragePooling2D", "LeakyReLU", "PReLU", "ELU", "Concatenate")
_ARITHMETIC = ("Add", "Subtract", "Multiply")
_KERNELS = {"Conv2D": "kernel", "Dense": "kernel", "DepthwiseConv2D": "depthwise_kernel"}
_FIXED = {"sigmoid": (0.0, 255 / 256), "softmax": (0.0, 255 / 256), "tanh": (-1.0, 127 / 128)}


@dataclass
class Kernel:
    """A step's weights. The layer computes with `kernel * scale` and `bias`: BatchNormalization is folded in.

    Attributes:
        layer: the twin's layer that has the kernel, and its weight's number there.
        values: the kernel as the twin has it.
        scale: one factor for each output channel.
        bias: float32 `[channels]`; None where there is neither bias nor BatchNormalization.
        bias_of: the twin's layer that takes what training adds to `bias`.
    """

    layer: "tf_keras.layers.Layer"
    number: int
    values: NDArray[np.float32]
    scale: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    bias_of: "tf_keras.layers.Layer"


@dataclass
class Step:
    """One operator: a `tf_keras` layer not yet built, and the steps whose outputs it takes (-1: the model's input)."""

    layer: "tf_keras.layers.Layer"
    inputs: tuple[int, ...]
    kind: Kind
    range: tuple[float, float] | None = None
    fuses: bool = False  # a ReLU that alone reads its output is part of the same operator
    relu: bool = False
    folded: bool = False  # preprocessing that is no operator in the file, but the quantization of its input
    kernel: Kernel | None = None


class _Traits(TypedDict, total=False):
    """What `Step` has beside its layer, inputs and kind."""

    range: tuple[float, float]
    fuses: bool
    relu: bool
    folded: bool
    kernel: Kernel


def own_ranges(steps: list[Step], end: int) -> set[int]:
    """The steps whose outputs are integers of a range of their own: what is fused, or shares its reader's, has none."""
    readers: dict[int, list[int]] = {}
    for number, step in enumerate(steps):
        for value in step.inputs:
            readers.setdefault(value, []).append(number)
    own = set()
    for number, step in enumerate(steps):
        only = readers.get(number, [])
        reader = steps[only[0]] if len(only) == 1 and number != end else None
        fused = reader is not None and ((step.fuses and reader.relu) or type(reader.layer).__name__ == "Concatenate")
        if step.kind == "own" and not fused:
            own.add(number)
    return own


def operators_of(twin: "tf_keras.Model", input_range: tuple[float, float] = (0.0, 255.0)) -> tuple[list[Step], int]:
    """Reads a `tf_keras` model as the steps of its integer file.

    Args:
        twin: from `make_twin`; one output.
        input_range: least and greatest value of the input.

    Returns:
        The steps in topological order, and the number of the one whose output is the model's.

    Raises:
        InputError: a layer has no integer counterpart, or weights that are used twice.
    """
    return _Reader(twin, input_range).read()


class _Reader:
    """Goes through the twin's graph once, collecting steps."""

    def __init__(self, twin: "tf_keras.Model", input_range: tuple[float, float]) -> None:
        import tf_keras

        if len(twin.outputs) != 1:
            raise InputError(f"Model {twin.name!r} has {len(twin.outputs)} outputs: quantization needs one.")
        self.layers, self.twin, self.input_range = tf_keras.layers, twin, input_range
        self.steps: list[Step] = []
        self.nodes = [
            node
            for depth in sorted(twin._nodes_by_depth, reverse=True)
            for node in twin._nodes_by_depth[depth]
            if not node.is_input
        ]
        self.readers = Counter(id(tensor) for node in self.nodes for tensor in node.keras_inputs)
        self.readers[id(twin.outputs[0])] += 1
        self.values = {id(twin.inputs[0]): -1}  # tensor of the twin -> step
        self.weighted: set[int] = set()

    def read(self) -> tuple[list[Step], int]:
        for node in self.nodes:
            inputs = tuple(self.values[id(tensor)] for tensor in node.keras_inputs)
            only = all(self.readers[id(tensor)] == 1 for tensor in node.keras_inputs)
            self.values[id(node.outputs)] = self._layer(node.layer, inputs, only)
        end = self.values[id(self.twin.outputs[0])]
        if end >= 0 and self.steps[end].kind == "fixed":
            # The loss needs probabilities as they are: those rounded to 0 have no gradient.
            self.steps[end].range = None
        return self.steps, end

    def _layer(self, layer: "tf_keras.layers.Layer", inputs: tuple[int, ...], only: bool) -> int:
        kind = type(layer).__name__
        if kind in _KERNELS or kind == "SeparableConv2D":
            if id(layer) in self.weighted:
                raise InputError(
                    f"Layer {layer.name!r} is called twice: its weights cannot be quantized for both calls."
                )
            self.weighted.add(id(layer))
        if kind in _KERNELS:
            return self._weighted(layer, inputs, 0)
        if kind == "SeparableConv2D":
            return self._weighted(layer, (self._weighted(layer, inputs, 0),), 1)
        if kind == "BatchNormalization":
            return self._batchnorm(layer, inputs[0], only)
        if kind in ("Activation", "Softmax"):
            return self._activation(layer.name, layer, inputs[0], only)
        if kind == "ReLU":
            plain = not layer.negative_slope and not layer.threshold and layer.max_value in (None, 6.0)
            return self._same_layer(layer, inputs, "own", relu=plain)
        if kind in _ARITHMETIC:
            return self._arithmetic(layer, inputs)
        if kind == "Rescaling":
            return self._affine(layer.name, inputs[0], layer.scale, layer.offset, only)
        if kind == "Normalization":
            deviation = np.maximum(np.sqrt(np.asarray(layer.variance)), 1e-7)
            if layer.invert:
                return self._affine(layer.name, inputs[0], deviation, np.asarray(layer.mean))
            value = inputs[0]
            if np.any(layer.mean):
                mean = np.reshape(layer.mean, -1)
                less = self.layers.Normalization(mean=mean, variance=np.ones_like(mean), name=f"{layer.name}_mean")
                value = self._add(less, inputs, "own")
            return self._affine(layer.name, value, 1 / deviation, 0.0)
        if kind in _ONLY_TRAINING or kind.startswith("Random"):
            # Against noise, a network that learns its own answers would learn to be too sure.
            return inputs[0]
        if kind in _SAME:
            return self._same_layer(layer, inputs, "same")
        if kind in _OWN:
            return self._same_layer(layer, inputs, "own")
        raise InputError(
            f"Layer {layer.name!r} ({kind}) has no integer operator here: quantization-aware training is for networks "
            "that have an int8 file. Use post-training quantization, or another backbone."
        )

    def _add(
        self, layer: "tf_keras.layers.Layer", inputs: tuple[int, ...], kind: Kind, **traits: Unpack[_Traits]
    ) -> int:
        self.steps.append(Step(layer, inputs, kind, **traits))
        return len(self.steps) - 1

    def _same_layer(
        self, layer: "tf_keras.layers.Layer", inputs: tuple[int, ...], kind: Kind, **traits: Unpack[_Traits]
    ) -> int:
        # PReLU has weights: the twin's own layer is used, so that what it learns is there.
        own = layer if layer.weights else type(layer).from_config(layer.get_config())
        return self._add(own, inputs, kind, **traits)

    def _activation(self, name: str, layer: "tf_keras.layers.Layer", value: int, only: bool = True) -> int:
        import tf_keras

        function = getattr(layer, "activation", tf_keras.activations.softmax)  # a Softmax layer does not name it
        activation, make = str(tf_keras.activations.serialize(function)).rpartition(">")[2], self.layers.Activation
        if activation == "linear":
            return value
        if activation in ("relu", "relu6"):
            return self._add(
                self.layers.ReLU(6.0 if activation == "relu6" else None, name=name), (value,), "own", relu=True
            )
        if activation in _FIXED:
            return self._add(make(activation, name=name), (value,), "fixed", range=_FIXED[activation])
        if activation in ("swish", "silu"):
            gate = self._add(make("sigmoid", name=f"{name}_sigmoid"), (value,), "fixed", range=_FIXED["sigmoid"])
            return self._add(self.layers.Multiply(name=name), (value, gate), "own", fuses=True)
        if activation == "hard_sigmoid":
            shifted = self._affine(f"{name}_shift", value, 1.0, 3.0, only)
            clipped = self._add(self.layers.ReLU(6.0, name=f"{name}_relu6"), (shifted,), "own", relu=True)
            return self._affine(name, clipped, 1 / 6, 0.0)
        return self._add(make(function, name=name), (value,), "own")

    def _arithmetic(self, layer: "tf_keras.layers.Layer", inputs: tuple[int, ...]) -> int:
        result = inputs[0]
        for number, other in enumerate(inputs[1:], 1):
            name = layer.name if number == len(inputs) - 1 else f"{layer.name}_{number}"
            result = self._add(type(layer)(name=name), (result, other), "own", fuses=True)
        return result

    def _affine(self, name: str, value: int, scale: ArrayLike, offset: ArrayLike, only: bool = True) -> int:
        """A multiplication and an addition, each where it does something; `only` where nothing else reads `value`."""
        scale, offset = np.asarray(scale, np.float32), np.asarray(offset, np.float32)
        both = bool(np.any(scale != 1)) and bool(np.any(offset))
        alone = value == -1 and self.readers[id(self.twin.inputs[0])] == 1
        if alone and scale.ndim == offset.ndim == 0 and scale > 0:
            low, high = (float(limit * scale + offset) for limit in self.input_range)
            layer = self.layers.Rescaling(float(scale), float(offset), name=name)
            return self._add(layer, (value,), "fixed", range=(low, high), folded=True)
        if np.any(scale != 1):
            multiplied = self.layers.Rescaling(scale.tolist(), name=f"{name}_scale" if both else name)
            value = self._add(multiplied, (value,), "own", fuses=not both)
        kernel = self.steps[value].kernel if value >= 0 and only else None
        if kernel is not None and kernel.bias is not None and np.all(scale == 1):
            kernel.bias = (kernel.bias + offset).astype(np.float32)
        elif np.any(offset):
            value = self._add(self.layers.Rescaling(1.0, offset.tolist(), name=name), (value,), "own", fuses=True)
        return value

    def _weighted(self, layer: "tf_keras.layers.Layer", inputs: tuple[int, ...], number: int) -> int:
        """A convolution or dense layer without its activation, which follows as a step of its own."""
        kind, config = type(layer).__name__, layer.get_config()
        separable = kind == "SeparableConv2D"
        last = not separable or number == 1
        values = layer.get_weights()[number]
        bias = layer.get_weights()[-1] if layer.use_bias and last else None
        name = layer.name if last else f"{layer.name}_depthwise"
        if separable:
            kind = "Conv2D" if last else "DepthwiseConv2D"
            keep = ("data_format", "dilation_rate", "padding", "depth_multiplier", "strides", "kernel_size")
            config = {"filters": layer.filters, "kernel_size": 1} if last else {key: config[key] for key in keep}
        config = {key: value for key, value in config.items() if not key.endswith(("initializer", "constraint"))}
        config |= {"name": name, "activation": "linear", "use_bias": bias is not None}
        depthwise = kind == "DepthwiseConv2D"
        channels = values.shape[2] * values.shape[3] if depthwise else values.shape[-1]
        kernel = Kernel(layer, number, values, np.ones(channels, np.float32), bias, layer)
        made = getattr(self.layers, kind).from_config(config)
        step = self._add(made, inputs, "own", fuses=True, kernel=kernel)
        if last:
            step = self._activation(f"{layer.name}_activation", layer, step)
        return step

    def _batchnorm(self, layer: "tf_keras.layers.Layer", value: int, only: bool) -> int:
        mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
        scale = (layer.gamma.numpy() if layer.scale else 1.0) / np.sqrt(variance + layer.epsilon)
        shift = (layer.beta.numpy() if layer.center else 0.0) - mean * scale
        step = self.steps[value] if value >= 0 else None
        if step is None or step.kernel is None or not only:
            return self._affine(layer.name, value, scale, shift)
        kernel = step.kernel
        kernel.bias = (shift if kernel.bias is None else kernel.bias * scale + shift).astype(np.float32)
        kernel.scale, kernel.bias_of = (kernel.scale * scale).astype(np.float32), layer
        config = {**step.layer.get_config(), "use_bias": True}
        step.layer = type(step.layer).from_config(config)
        return value
