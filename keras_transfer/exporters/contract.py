"""What every file's proof says alike: how its input values are made, and what made the file."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from keras_transfer.inputs import InputSpec, Json, TensorSpec, open_modality

_VERSIONS = ("tensorflow", "keras", "ai-edge-litert", "numpy", "keras-transfer")


def describe_inputs(inputs: InputSpec) -> list[dict[str, Json]]:
    """What a file's proof says of the values that each of its inputs takes, as its modality describes them."""
    return open_modality(inputs.modality).input_contract(inputs)


def plain_contract(inputs: InputSpec) -> list[dict[str, Json]]:
    """`input_contract` of a modality that has nothing more to say: meaning, range, settings of the preparation.

    >>> plain_contract(InputSpec("text", (TensorSpec("ids", (8,), "int32", 0, 99, "token ids"),)))
    [{'meaning': 'token ids', 'value_range': '0..99', 'preparation': {}}]
    """
    return [
        {"meaning": tensor.meaning, "value_range": _range(tensor), "preparation": dict(inputs.preparation)}
        for tensor in inputs.tensors
    ]


def _range(tensor: TensorSpec) -> str:
    bounds = [bound for bound in (tensor.low, tensor.high) if bound is not None]
    return "..".join(f"{bound:g}" for bound in bounds) if len(bounds) == 2 else "not bounded"


def versions(others: Sequence[str] = ()) -> dict[str, str]:
    """The packages that made a file, without importing them; `others` beside those that make all."""
    installed = {}
    for name in (*_VERSIONS, *others):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed
