"""How a microcontroller's sources speak of an image model's input."""

from pathlib import Path
from string import Template

from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller import sources
from keras_transfer.files import write_json
from keras_transfer.litert.labels import GEOMETRY_FILE
from keras_transfer.modalities.image.targets import geometry_of

_DECLARATION = Template("""\
// Input: $height x $width pixels of $channels channels ($order), row by row. Each is the byte 0..255 less 128.
// That stands for (byte - 128 - kInputZeroPoint) * kInputScale, but no arithmetic is needed.
constexpr int kInputHeight = $height;
constexpr int kInputWidth = $width;
constexpr int kInputChannels = $channels;
constexpr int kInputBytes = kInputHeight * kInputWidth * kInputChannels;""")
_QUANTIZE = """\
// One byte of a pixel as the model takes it.
inline int8_t QuantizePixel(uint8_t byte) { return static_cast<int8_t>(byte - 128); }"""
_SENSOR = Template("""\
// Put your camera here: kInputHeight x kInputWidth pixels $order through QuantizePixel(), cut and resized as README.txt
// says. The image that stands in is a test image, so that the program can be tried before there is a camera.""")
_PREPARATION = Template("""\
The image
  $resize.
  Colours: $colours.
  Then every byte less 128. Any other way of cutting and resizing will do, at some cost in accuracy.""")


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the sources of `exporters.targets.microcontroller.sources`, and the geometry.

    Raises:
        GateError: see there.
    """
    geometry = geometry_of(kit)
    resize = geometry.describe()
    height, width, channels = kit.inputs.tensor.shape
    order = "R, G, B" if channels == 3 else "gray"
    words = sources.InputWords(
        _DECLARATION.substitute(height=height, width=width, channels=channels, order=order),
        _QUANTIZE,
        _SENSOR.substitute(order=order),
        _PREPARATION.substitute(resize=resize[0].upper() + resize[1:], colours=kit.proof["input"]["colour_order"]),
    )
    file = write_json(folder / GEOMETRY_FILE, geometry.to_dict())
    return [*sources.write(kit, folder, words), file]
