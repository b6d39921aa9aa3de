"""Writing deployable files, each proved on the whole test split.

Judging files (`judge`, `TARGETS`) needs neither Keras nor TensorFlow; all else brings them when it is first used.
"""

from keras_transfer.public_names import on_first_use

# Public name -> the module that holds it.
PUBLIC = {
    "TARGETS": "targets",
    "judge": "targets",
    "Artifacts": "artifacts",
    "ExportGateError": "artifacts",
    "LayerError": "layer_errors",
    "diagnose": "layer_errors",
    "export": "exporter",
    "judge_drop": "gate",
    "recommend": "gate",
    "benchmark": "latency",
    "measure_latency": "latency",
}

__all__ = [*PUBLIC]  # noqa: PLE0604  (the names are strings)

__getattr__ = on_first_use(__name__, PUBLIC)


def __dir__() -> list[str]:
    return sorted(__all__)
