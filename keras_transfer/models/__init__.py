"""Backbones and the classifiers built on them: plain Keras models in, plain Keras models out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_transfer.models.backbones import BACKBONES, Backbone, find_backbone
    from keras_transfer.models.batchnorm import adapt_batchnorm, batchnorm_shift
    from keras_transfer.models.builder import build_classifier, build_imagenet_classifier
    from keras_transfer.models.classifiers import as_classifier, as_network
    from keras_transfer.models.cost import multiply_adds
    from keras_transfer.models.freezing import boundary, freeze_backbone, prefix, suffix, unfreeze_top
    from keras_transfer.models.graph import cut_points, model_inputs, side_inputs
    from keras_transfer.models.head import add_head, compile_classifier, logits_of
    from keras_transfer.models.loading import load_model, read_inputs, save_model
    from keras_transfer.models.preprocessing import preprocessing_of
    from keras_transfer.models.stage import Stage, backbone_layers, head_layers, stages
    from keras_transfer.models.twin import copy_weights, make_twin

# Public name -> the module that holds it; the table alone needs no TensorFlow.
_PUBLIC = {
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

__all__ = [
    "BACKBONES",
    "Backbone",
    "Stage",
    "adapt_batchnorm",
    "add_head",
    "as_classifier",
    "as_network",
    "backbone_layers",
    "batchnorm_shift",
    "boundary",
    "build_classifier",
    "build_imagenet_classifier",
    "compile_classifier",
    "copy_weights",
    "cut_points",
    "find_backbone",
    "freeze_backbone",
    "head_layers",
    "load_model",
    "logits_of",
    "make_twin",
    "model_inputs",
    "multiply_adds",
    "prefix",
    "preprocessing_of",
    "read_inputs",
    "save_model",
    "side_inputs",
    "stages",
    "suffix",
    "unfreeze_top",
]


if not TYPE_CHECKING:  # there a name without its import above is an error

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'keras_transfer.models' has no attribute '{name}'")
        value = getattr(import_module(f"keras_transfer.models.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
