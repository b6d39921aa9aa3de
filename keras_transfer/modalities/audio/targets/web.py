"""The page of `web_demo/` around a model of sounds: the microphone or a recording, and scores over time."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import Page, write_page
from keras_transfer.inputs import Json
from keras_transfer.modalities.audio.targets import opened

PAGE = Page("sound", "What is to be heard?", ("log_mel.js", "microphone.js", "timeline.js"), "timeline")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page, which must know rate and length of clips, and the front end where the file has none."""
    preparer, front_end = opened(kit.inputs)
    about: dict[str, Json] = {
        "sample_rate": front_end.sample_rate,
        "samples": preparer.samples,
        "front_end": front_end.to_dict() if len(kit.inputs.tensor.shape) == 2 else None,
    }
    return write_page(kit, folder, PAGE, about)
