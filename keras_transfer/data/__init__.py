"""Sources, splits, folds and pipelines of labelled items, whatever they are."""

from keras_transfer.data.dataset import Dataset, Record
from keras_transfer.data.split import Split

__all__ = ["Dataset", "Record", "Split"]
