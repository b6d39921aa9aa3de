"""The page of `web_demo/` around a model of series: a CSV or the device's motion sensor, and scores over time."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import Page, write_page
from keras_transfer.inputs import Json
from keras_transfer.modalities.series.items import numbered
from keras_transfer.modalities.series.live import usual_hop
from keras_transfer.modalities.series.preparer import NORMALIZED, open_preparer

PAGE = Page("measurement", "What was measured?", ("series.js", "timeline.js"), "timeline")
_MOTION: dict[str, Json] = {"acceleration": 1, "rotation": 1}
"""What a browser's m/s² and degrees a second are multiplied by: its owner changes it for a model of other units."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, which must know the length of series, their channels and rate."""
    preparer = open_preparer(kit.inputs.preparation)
    length, width = kit.inputs.tensor.shape
    assert length is not None and width is not None
    about: dict[str, Json] = {
        "length": length,
        "channels": list(preparer.channels or numbered(width)),
        "rate": preparer.rate,
        "hop": usual_hop(length),
        "fill": preparer.fill,
        "normalization": preparer.settings["normalization"] if kit.inputs.tensor.name == NORMALIZED else None,
        "motion": _MOTION,
    }
    return write_page(kit, folder, PAGE, about)
