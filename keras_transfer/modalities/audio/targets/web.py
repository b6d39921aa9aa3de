"""The page of `web_demo/` around a model of sounds: the microphone or a recording, and scores over time."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import write_page
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.modalities.audio.targets import opened

PAGE = {
    "index.html": "sound.html",
    "sound.js": "sound.js",
    "log_mel.js": "log_mel.js",
    "microphone.js": "microphone.js",
}
"""Its own files."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the page; see `keras_transfer.exporters.web_page.write_page`."""
    return write_page(kit, folder, PAGE, describe(kit))


def describe(kit: Kit) -> dict[str, Json]:
    """What the page must know of a model of sounds: rate and length of clips, and the front end where it has none."""
    info = read_flatbuffer(kit.content)
    tensor = info.tensors[info.inputs[0]]
    scale = {"scale": float(tensor.scale[0]), "zero_point": int(tensor.zero_point[0])} if tensor.scale else {}
    preparer, front_end = opened(kit.inputs)
    return {
        "sample_rate": front_end.sample_rate,
        "samples": preparer.samples,
        "front_end": front_end.to_dict() if len(kit.inputs.tensor.shape) == 2 else None,
        "input": {"dtype": tensor.dtype, "shape": list(tensor.shape), **scale},
    }
