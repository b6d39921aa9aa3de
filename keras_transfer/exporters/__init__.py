"""Writing deployable files, each proved on the whole test split.

Judging files (`judge`, `TARGETS`) needs neither Keras nor TensorFlow; all else brings them when it is first used.
"""

from typing import TYPE_CHECKING, Any

from keras_transfer.exporters.targets import TARGETS, judge

if TYPE_CHECKING:
    from keras_transfer.exporters.diagnose import LayerError, diagnose
    from keras_transfer.exporters.exporter import Artifact, Artifacts, export
    from keras_transfer.exporters.gate import ExportGateError, judge_drop, recommend
    from keras_transfer.exporters.latency import benchmark, measure_latency

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'keras_transfer.exporters' has no attribute '{name}'")
    from keras_transfer.exporters.diagnose import LayerError, diagnose
    from keras_transfer.exporters.exporter import Artifact, Artifacts, export
    from keras_transfer.exporters.gate import ExportGateError, judge_drop, recommend
    from keras_transfer.exporters.latency import benchmark, measure_latency

    # All at once: the function `diagnose` has the name of its module, which would take its place.
    names: tuple[Any, ...] = (
        Artifact,
        Artifacts,
        ExportGateError,
        LayerError,
        benchmark,
        diagnose,
        export,
        judge_drop,
        measure_latency,
        recommend,
    )
    globals().update({value.__name__: value for value in names})
    return globals()[name]
