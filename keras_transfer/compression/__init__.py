"""Smaller and faster classifiers: pruning, clustering, quantization-aware training, distillation."""
