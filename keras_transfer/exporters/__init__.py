"""Writing deployable files, each proved on the whole test split.

Judging files (`judge`, `TARGETS`) needs neither Keras nor TensorFlow; all else brings them when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_transfer.exporters.targets import TARGETS, judge

if TYPE_CHECKING:
    from keras_transfer.exporters.artifacts import Artifacts, ExportGateError
    from keras_transfer.exporters.diagnose import LayerError, diagnose
    from keras_transfer.exporters.exporter import export
    from keras_transfer.exporters.gate import judge_drop, recommend
    from keras_transfer.exporters.latency import benchmark, measure_latency
    from keras_transfer.schemas import Artifact

_PUBLIC = {
    "keras_transfer.exporters.artifacts": ("Artifacts", "ExportGateError"),
    "keras_transfer.exporters.diagnose": ("LayerError", "diagnose"),
    "keras_transfer.exporters.exporter": ("export",),
    "keras_transfer.exporters.gate": ("judge_drop", "recommend"),
    "keras_transfer.exporters.latency": ("benchmark", "measure_latency"),
    "keras_transfer.schemas": ("Artifact",),
}

__all__ = [
    "TARGETS",
    "Artifact",
    "Artifacts",
    "ExportGateError",
    "LayerError",
    "benchmark",
    "diagnose",
    "export",
    "judge",
    "judge_drop",
    "measure_latency",
    "recommend",
]


if not TYPE_CHECKING:  # there a name without its import above is an error

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'keras_transfer.exporters' has no attribute '{name}'")
        # All at once: the function `diagnose` has the name of its module, which would take its place.
        for module, names in _PUBLIC.items():
            loaded = import_module(module)
            globals().update({public: getattr(loaded, public) for public in names})
        return globals()[name]
