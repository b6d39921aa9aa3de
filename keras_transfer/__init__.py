"""Transfer learning with Keras: from photographs in folders to a proven file on a device.

Importing this package imports nothing heavy: each public name brings its module when it is first used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the module that holds it.
_PUBLIC = {
    "InputError": "errors",
    "GateError": "errors",
    "load": "modalities",
    "load_images": "modalities.image",
    "decode_image": "modalities.image",
    "build_augmenter": "modalities.image",
    "BACKBONES": "models",
    "build_classifier": "models",
    "as_classifier": "models",
    "stages": "models",
    "freeze_backbone": "models",
    "unfreeze_top": "models",
    "boundary": "models",
    "convert": "litert",
    "open_litert": "litert",
    "fit": "training",
    "find_learning_rate": "training",
    "layerwise_optimizer": "training",
    "cross_validate": "jobs.cross_validate",
    "adapt_batchnorm": "models",
    "batchnorm_shift": "models",
    "evaluate": "evaluation",
    "open_classifier": "evaluation",
    "export": "exporters",
    "make_twin": "models",
    "copy_weights": "models",
    "distill": "compression",
    "shrink": "compression",
    "remove_channels": "compression",
    "prune": "compression",
    "cluster": "compression",
    "quantize_aware": "compression",
    "sensitivity": "compression",
    "weight_figures": "compression",
}

__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604  (the names are strings)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_transfer' has no attribute '{name}'")
    value = getattr(import_module(f"keras_transfer.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
