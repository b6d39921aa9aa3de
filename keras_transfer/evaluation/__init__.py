"""How good a classifier is: figures, saved models that answer alike, and what they see in files."""

from keras_transfer.decisions import expected_calibration_error
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.evaluator import classifier_of, evaluate, predict_split
from keras_transfer.evaluation.hints import chance_hint, in_text_order
from keras_transfer.evaluation.keras_file import load_keras
from keras_transfer.evaluation.opening import keras_classifier, open_classifier, require_model
from keras_transfer.evaluation.predictions import Prediction, predict_files
from keras_transfer.evaluation.scores import metrics

__all__ = [
    "Classifier",
    "Prediction",
    "chance_hint",
    "classifier_of",
    "evaluate",
    "expected_calibration_error",
    "in_text_order",
    "keras_classifier",
    "load_keras",
    "metrics",
    "open_classifier",
    "predict_files",
    "predict_split",
    "require_model",
]
