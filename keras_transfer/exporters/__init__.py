"""Writing deployable files, each proved on the whole test split.

Judging files (`judge`, `TARGETS`) needs neither Keras nor TensorFlow; all else brings them when it is first used.
"""

from keras_transfer.public_names import on_first_use

# Module -> the public names that it holds.
PUBLIC = {
    "targets": "TARGETS judge",
    "artifacts": "Artifacts ExportGateError",
    "layer_errors": "LayerError diagnose",
    "exporter": "export",
    "gate": "judge_drop recommend",
    "latency": "benchmark measure_latency",
}

__all__, __getattr__, __dir__ = on_first_use(__name__, PUBLIC)
