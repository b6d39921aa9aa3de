"""Backbones and the classifiers built on them: plain Keras models in, plain Keras models out."""

from keras_transfer.public_names import on_first_use

# Module -> the public names that it holds.
PUBLIC = {
    "head": "add_head compile_classifier logits_of",
    "graph": "cut_points model_inputs side_inputs",
    "stage": "Stage backbone_layers head_layers stages",
    "freezing": "boundary freeze_backbone prefix suffix unfreeze_top",
    "loading": "load_model read_inputs save_model",
    "classifiers": "as_classifier as_network",
    "preprocessing": "preprocessing_of",
    "cost": "multiply_adds",
    "batchnorm": "adapt_batchnorm batchnorm_shift",
    "twin": "copy_weights make_twin",
}

__all__, __getattr__, __dir__ = on_first_use(__name__, PUBLIC)
