# What type checkers and editors see of the package, whose names are imported when they are first used.

from keras_transfer.exporters.artifacts import Artifacts as Artifacts
from keras_transfer.exporters.artifacts import ExportGateError as ExportGateError
from keras_transfer.exporters.exporter import export as export
from keras_transfer.exporters.gate import judge_drop as judge_drop
from keras_transfer.exporters.gate import recommend as recommend
from keras_transfer.exporters.latency import benchmark as benchmark
from keras_transfer.exporters.latency import measure_latency as measure_latency
from keras_transfer.exporters.layer_errors import LayerError as LayerError
from keras_transfer.exporters.layer_errors import diagnose as diagnose
from keras_transfer.exporters.targets import TARGETS as TARGETS
from keras_transfer.exporters.targets import judge as judge
