"""Smaller and faster classifiers: distillation, channels, pruning, clustering, quantization-aware training."""

from keras_transfer.compression.channels import remove_channels
from keras_transfer.compression.cluster import cluster
from keras_transfer.compression.distill import distill
from keras_transfer.compression.prune import prune
from keras_transfer.compression.qat import QuantizationAware, quantize_aware
from keras_transfer.compression.sensitivity import sensitivity
from keras_transfer.compression.shrink import shrink
from keras_transfer.compression.sparsity import weight_figures

__all__ = [
    "QuantizationAware",
    "cluster",
    "distill",
    "prune",
    "quantize_aware",
    "remove_channels",
    "sensitivity",
    "shrink",
    "weight_figures",
]
