"""Exact `tf_keras` twins of Keras 3 models, for tools that know only the older Keras."""

from keras_transfer.models.twin.build import copy_weights, make_twin

__all__ = ["copy_weights", "make_twin"]
