"""The page of `web_demo/` around a model of sounds: the microphone or a recording, and scores over time."""

from pathlib import Path

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.web_page import write_page
from keras_transfer.inputs import Json
from keras_transfer.litert import read_flatbuffer
from keras_transfer.modalities.audio.targets import clip_samples, kit_front_end, takes_spectrograms

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
    front_end = kit_front_end(kit.inputs)
    return {
        "sample_rate": front_end.sample_rate,
        "samples": clip_samples(kit.inputs),
        "front_end": front_end.to_dict() if takes_spectrograms(kit.inputs) else None,
        "input": {"dtype": tensor.dtype, "shape": list(tensor.shape), **scale},
    }
