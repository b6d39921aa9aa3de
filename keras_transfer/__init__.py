"""Transfer learning with Keras: from photographs in folders or texts in a table to a proven file on a device.

Importing this package imports nothing heavy: each public name brings its module when it is first used.
"""

from keras_transfer.public_names import on_first_use

__version__ = "0.1.0"

# Module -> the public names that it holds.
PUBLIC = {
    "errors": "GateError InputError",
    "modalities": "load",
    "modalities.audio.builder": "build_audio_classifier",
    "modalities.image": "build_augmenter decode_image load_images",
    "modalities.text.builder": "build_text_classifier",
    "modalities.image.backbones": "BACKBONES",
    "modalities.image.builder": "build_classifier",
    "models": "adapt_batchnorm as_classifier batchnorm_shift boundary copy_weights "
    "freeze_backbone make_twin stages unfreeze_top",
    "litert": "convert open_litert",
    "training": "find_learning_rate fit layerwise_optimizer",
    "jobs.add_class": "add_class",
    "jobs.audition": "audition",
    "jobs.cross_validate": "cross_validate",
    "jobs.search": "search",
    "jobs.stream": "evaluate_stream",
    "evaluation": "evaluate open_classifier",
    "exporters": "export",
    "compression": "cluster distill prune quantize_aware remove_channels sensitivity shrink weight_figures",
}

__all__, __getattr__, __dir__ = on_first_use(__name__, PUBLIC)
__all__ += ["__version__"]
