"""Writing deployable files, each proved on the whole test split."""

from keras_transfer.export.diagnose import LayerError, diagnose
from keras_transfer.export.exporter import Artifact, export
from keras_transfer.export.gate import ExportGateError
from keras_transfer.export.latency import measure_latency
from keras_transfer.export.targets import TARGETS, judge

__all__ = ["TARGETS", "Artifact", "ExportGateError", "LayerError", "diagnose", "export", "judge", "measure_latency"]
