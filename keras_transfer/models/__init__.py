"""Backbones and the classifiers built on them: plain Keras models in, plain Keras models out."""

from keras_transfer.public_names import on_first_use

# Public name -> the module that holds it; the table alone needs no TensorFlow.
PUBLIC = {
    "BACKBONES": "backbones",
    "Backbone": "backbones",
    "find_backbone": "backbones",
    "build_classifier": "builder",
    "build_imagenet_classifier": "builder",
    "add_head": "head",
    "compile_classifier": "head",
    "logits_of": "head",
    "cut_points": "graph",
    "side_inputs": "graph",
    "Stage": "stage",
    "stages": "stage",
    "head_layers": "stage",
    "backbone_layers": "stage",
    "freeze_backbone": "freezing",
    "unfreeze_top": "freezing",
    "boundary": "freezing",
    "suffix": "freezing",
    "prefix": "freezing",
    "load_model": "loading",
    "as_classifier": "classifiers",
    "model_inputs": "graph",
    "as_network": "classifiers",
    "save_model": "loading",
    "read_inputs": "loading",
    "preprocessing_of": "preprocessing",
    "multiply_adds": "cost",
    "adapt_batchnorm": "batchnorm",
    "batchnorm_shift": "batchnorm",
    "make_twin": "twin",
    "copy_weights": "twin",
}

__all__ = [*PUBLIC]  # noqa: PLE0604  (the names are strings)

__getattr__ = on_first_use(__name__, PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
