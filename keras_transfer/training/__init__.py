"""Training: frozen features once, then only what trains."""

from keras_transfer.training.callbacks import ReduceRatesOnPlateau, ResumableEarlyStopping
from keras_transfer.training.features import compute_features
from keras_transfer.training.fit import History, fit, fit_plan, sweep_phases
from keras_transfer.training.lr_finder import LearningRateSweep, find_learning_rate
from keras_transfer.training.optimizers import (
    CyclicalLearningRate,
    layerwise_optimizer,
    learning_rate_schedule,
    make_optimizer,
)
from keras_transfer.training.samples import feature_samples, input_samples

__all__ = [
    "CyclicalLearningRate",
    "History",
    "LearningRateSweep",
    "ReduceRatesOnPlateau",
    "ResumableEarlyStopping",
    "compute_features",
    "feature_samples",
    "find_learning_rate",
    "fit",
    "fit_plan",
    "input_samples",
    "layerwise_optimizer",
    "learning_rate_schedule",
    "make_optimizer",
    "sweep_phases",
]
