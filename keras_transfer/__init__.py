"""Transfer learning with Keras: from photographs in folders to a proven file on a device.

Importing this package imports nothing heavy: each public name brings its module when it is first used.
"""

from keras_transfer.public_names import on_first_use

__version__ = "0.1.0"

# Public name -> the module that holds it.
PUBLIC = {
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

__all__ = [*PUBLIC, "__version__"]  # noqa: PLE0604  (the names are strings)


__getattr__ = on_first_use(__name__, PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
