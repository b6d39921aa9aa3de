"""What a microcontroller's owner gets around a model of series: a sensor's raw samples in, scores over time out."""

from dataclasses import replace
from pathlib import Path
from string import Template

import numpy as np

from keras_transfer.errors import GateError
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.microcontroller import sources
from keras_transfer.files import write_bytes
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.runtime import input_values
from keras_transfer.modalities.series.items import numbered
from keras_transfer.modalities.series.live import usual_hop
from keras_transfer.modalities.series.preparer import NORMALIZED, SERIES, SeriesPreparer, open_preparer

_TEMPLATES = Path(__file__).with_name("templates")
_OWN = ("sensor.h", "sensor.cc", "main.cc", "sensor_test.cc", "classifier.ino")
_NAMED = 8  # channels that a comment names
_DECLARATION = Template("""\
// Input: $length moments of $width channels ($channels), one moment after the other. A sample, in the units of the
// training data, becomes a byte by Normalized() and Quantize() of classifier.h.
constexpr int kInputLength = $length;
constexpr int kInputChannels = $width;
constexpr int kInputBytes = kInputLength * kInputChannels;$channels_are""")
_AS_THEY_ARE = """
// The model takes raw samples.
inline float Normalized(float sample, int) { return sample; }"""
_NORMALIZED = Template("""
// The model takes each channel less its mean and by its deviation in the training data.
constexpr float kMeans[] = {$means};
constexpr float kDeviations[] = {$deviations};
inline float Normalized(float sample, int channel) { return (sample - kMeans[channel]) / kDeviations[channel]; }""")
_QUANTIZE = """\
// A sample as the model takes it, bit for bit as Python makes it. Do not compile with -ffast-math.
inline int8_t Quantize(float sample) {
  const float step = rintf(sample / kInputScale) + kInputZeroPoint;  // halves go to the even neighbour
  return static_cast<int8_t>(step > 127 ? 127 : step > -128 ? step : -128);
}"""
_PREPARATION = Template("""\
The series
  $length moments of $width channels, in this order: $channels.
  They are raw samples in the units of the training data, $rate. sensor.h and sensor.cc keep the last $length of them
  in a ring, run the model every $hop moments and smooth its scores. They take $ram bytes of RAM beside the arena.
  sensor_test.cc compares Quantize() with Python's, byte by byte, with golden_series.raw as its input. main.cc reads
  lines of numbers from its standard input; compile either with sensor.cc beside the other sources.""")
_IMU = """\
// An IMU: on a Nano 33 BLE Sense it is this library's, on a Rev2 <Arduino_BMI270_BMM150.h>, on a Nano 33 IoT or RP2040
// <Arduino_LSM6DS3.h>. They have the same functions. Turn its axes as they were in the training data.
#include <Arduino_LSM9DS1.h>"""
_ACCELERATION = """\
// The units of the training data: the library's are g and degrees a second.
constexpr float kPerG = 1;  // 9.80665f where they are m/s^2

static bool SensorBegin() { return IMU.begin(); }

// Takes what is new; whether there was anything.
static bool ReadSensor() {
  if (!IMU.accelerationAvailable() || !IMU.readAcceleration(moment[0], moment[1], moment[2])) return false;
  for (int i = 0; i < 3; ++i) moment[i] *= kPerG;
  return true;
}"""
_MOTION = """\
// The units of the training data: the library's are g and degrees a second.
constexpr float kPerG = 1;       // 9.80665f where they are m/s^2
constexpr float kPerDegree = 1;  // 0.01745329f where they are radians a second

static bool SensorBegin() { return IMU.begin(); }

// Takes what is new; whether there was a new acceleration.
static bool ReadSensor() {
  if (IMU.gyroscopeAvailable() && IMU.readGyroscope(moment[3], moment[4], moment[5])) {
    for (int i = 3; i < 6; ++i) moment[i] *= kPerDegree;
  }
  if (!IMU.accelerationAvailable() || !IMU.readAcceleration(moment[0], moment[1], moment[2])) return false;
  for (int i = 0; i < 3; ++i) moment[i] *= kPerG;
  return true;
}"""
_ANALOG = """\
static bool SensorBegin() { return true; }

// Put your sensor here. What stands in reads analog pins, from A0 on; whether there was anything new.
static bool ReadSensor() {
  for (int i = 0; i < kInputChannels; ++i) moment[i] = analogRead(A0 + i);
  return true;
}"""
_SENSORS = {3: (_IMU, _ACCELERATION), 6: (_IMU, _MOTION)}
"""Channels -> what the sketch includes, and how it reads: an accelerometer, one with a gyroscope."""


def write(kit: Kit, folder: Path) -> list[Path]:
    """Writes the sources of `exporters.targets.microcontroller.sources`, and what keeps and reads samples.

    Raises:
        GateError: see there; or each series is normalized by itself, and the ring holds bytes.
    """
    preparer = open_preparer(kit.inputs.preparation)
    normalizes = kit.inputs.tensor.name == NORMALIZED
    if normalizes and preparer.normalization == "window":
        raise GateError(
            "A series that is normalized by itself is not known before its end, and a microcontroller's sources make "
            "bytes of each moment: train without --normalize window."
        )
    length, width = kit.inputs.tensor.shape
    assert length is not None and width is not None
    names = [sources.c_string(name) for name in preparer.channels or numbered(width)]
    channels = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    library, read = _SENSORS.get(width, ("// The library of your sensor belongs here.", _ANALOG))
    known = {"length": length, "width": width, "hop": usual_hop(length)}
    placed = {"rate": float(preparer.rate or 0), "channels": channels.replace("$", "$$"), "library": library}
    own = {
        name: Template((_TEMPLATES / name).read_text("utf-8")).safe_substitute(known, **placed, read=read)
        for name in _OWN
    }
    rate = f"{preparer.rate:g} moments a second" if preparer.rate else "at the rate of the training data"
    words = sources.InputWords(
        _DECLARATION.substitute(known, channels=channels, channels_are=_channels(preparer, normalizes)),
        _QUANTIZE,
        "",
        _PREPARATION.substitute(known, channels=channels, rate=rate, ram=f"{length * width:,}"),
    )
    series = sources.test_items(kit.split, [replace(kit.inputs.tensor, name=SERIES)])
    info = read_flatbuffer(kit.content)
    inputs = input_values(preparer.normalized(series) if normalizes else series, info.tensors[info.inputs[0]])
    file = write_bytes(folder / "golden_series.raw", series[: sources.IN_FLASH].astype("<f4").tobytes())
    return [file, *sources.write(kit, folder, words, own, inputs)]


def _channels(preparer: SeriesPreparer, normalizes: bool) -> str:
    """How a sample becomes what is quantized, in C."""
    if not normalizes:
        return _AS_THEY_ARE
    means, deviations = (
        ", ".join(f"{float(np.float32(value))!r}f" for value in values)
        for values in zip(*preparer.normalization, strict=True)
    )
    return _NORMALIZED.substitute(means=means, deviations=deviations)
