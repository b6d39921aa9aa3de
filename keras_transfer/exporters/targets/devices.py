"""The table of devices, and how fast their processors are by what others have published."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import NamedTuple

from keras_transfer.budget import KIB, MIB, Budget
from keras_transfer.errors import InputError

SPEEDS = Path(__file__).with_name("speeds.csv")


@dataclass(frozen=True)
class Device:
    """What a device offers to one program.

    Attributes:
        what: its processor.
        flash: bytes for code and constants; None where nothing narrow is known.
        ram: bytes for data in one piece, since the arena is one array; of an Edge TPU its on-chip memory; or None.
        mhz: of the core that runs the program.
        source: the maker's page with these figures.
        note: how they are to be read.
        core: the name of its processor in `speeds.csv`.
        target: a name of `TARGETS`, whose file it runs.
        accelerator: for ethos-u, see `ethos_u.ACCELERATORS`.
    """

    what: str
    flash: int | None
    ram: int | None
    mhz: int
    source: str
    note: str = ""
    core: str = "m7"
    target: str = "microcontroller"
    accelerator: str | None = None

    @property
    def budget(self) -> Budget:
        """Its memory, and the core that a latency is meant on."""
        return Budget(flash=self.flash, ram=self.ram, core=self.core, mhz=self.mhz)


_H747 = "https://www.st.com/resource/en/datasheet/stm32h747xi.pdf"
_PIECE = "of 1 MB RAM the AXI SRAM is the largest piece; flash is shared with the Cortex-M4"
_XNNPACK = "LiteRT with XNNPACK; memory is no limit to a classifier"

DEVICES = {
    "arduino-nano-33-ble": Device(
        "nRF52840, Cortex-M4F", 1 * MIB, 256 * KIB, 64, "https://docs.arduino.cc/hardware/nano-33-ble/",
        "Sense and Sense Rev2 too", core="m4",
    ),
    "nicla-vision": Device(
        "STM32H747AII6, Cortex-M7", 2 * MIB, 512 * KIB, 480, "https://docs.arduino.cc/hardware/nicla-vision/", _PIECE,
    ),
    "portenta-h7": Device(
        "STM32H747XI, Cortex-M7", 2 * MIB, 512 * KIB, 480, "https://docs.arduino.cc/hardware/portenta-h7/",
        f"{_PIECE}; 8 MB of SDRAM and 16 MB of QSPI flash, slower, are left out",
    ),
    "stm32h747": Device("STM32H747XI (Arduino Portenta H7), Cortex-M7", 2 * MIB, 512 * KIB, 480, _H747, _PIECE),
    "stm32f746": Device(
        "STM32F746NG, Cortex-M7", 1 * MIB, 320 * KIB, 216, "https://www.st.com/resource/en/datasheet/stm32f746ng.pdf",
        "DTCM, SRAM1 and SRAM2, which lie one behind the other",
    ),
    "stm32n6": Device(
        "STM32N6570-DK, Cortex-M55", 128 * MIB, 4300 * KIB, 800,
        "https://www.st.com/en/microcontrollers-microprocessors/stm32n6-series.html",
        "4.2 MB of SRAM, flash outside of the chip; TFLM runs on the Cortex-M55. ST's own compiler brings a network to "
        "the NPU: latency=...@neural-art-1000MHz is by ST's figures for that", core="m55",
    ),
    "esp32-s3": Device(
        "ESP32-S3-WROOM-1-N8, Xtensa LX7", 8 * MIB, 320 * KIB, 240,
        "https://github.com/espressif/arduino-esp32/blob/master/boards.txt (maximum_data_size) and "
        "https://www.espressif.com/sites/default/files/documentation/esp32-s3_datasheet_en.pdf",
        "of 512 KB SRAM so much is left for data; modules with PSRAM (R2, R8) have megabytes more, slower", core="lx7",
    ),
    "rp2040": Device(
        "Raspberry Pi Pico, Cortex-M0+", 2 * MIB, 264 * KIB, 133,
        "https://datasheets.raspberrypi.com/pico/pico-datasheet.pdf", core="m0+",
    ),
    "rp2350": Device(
        "Raspberry Pi Pico 2, Cortex-M33", 4 * MIB, 520 * KIB, 150,
        "https://datasheets.raspberrypi.com/pico/pico-2-datasheet.pdf", core="m33",
    ),
    "nrf5340": Device(
        "nRF5340, application core, Cortex-M33", 1 * MIB, 512 * KIB, 128,
        "https://www.nordicsemi.com/Products/nRF5340", core="m33",
    ),
    "coral-dev-micro": Device(
        "i.MX RT1176, Cortex-M7", 128 * MIB, 64 * MIB, 800, "https://coral.ai/docs/dev-board-micro/datasheet/",
        "RAM is the external SDRAM; the chip's own 2 MB are faster. For its Edge TPU see coral-usb",
    ),
    "coral-usb": Device(
        "Edge TPU", None, 8 * MIB, 500, "https://coral.ai/docs/edgetpu/compiler/",
        "RAM is its on-chip memory, which parameters and activations share; what exceeds it is sent anew each time",
        core="edgetpu", target="edgetpu",
    ),
    "corstone-300": Device(
        "Cortex-M55 and Ethos-U55, a design by Arm", None, None, 500,
        "https://developer.arm.com/Tools%20and%20Software/Fixed%20Virtual%20Platforms",
        "a model of no product; memory is what its linker script says, time is Vela's estimate",
        core="ethos-u55", target="ethos-u", accelerator="U55-128",
    ),
    "alif-e7": Device(
        "Ensemble E7, Cortex-M55 and Ethos-U55-256", 5632 * KIB, 4 * MIB, 400,
        "https://alifsemi.com/whitepaper/alif-mcu-ram-regions-and-linker-files/",
        "5.5 MB of MRAM; of 13.5 MB RAM SRAM0 is the largest piece; time is Vela's estimate",
        core="ethos-u55", target="ethos-u", accelerator="U55-256",
    ),
    "raspberry-pi-4": Device(
        "BCM2711, 4 Cortex-A72", None, None, 1500, "https://www.raspberrypi.com/products/raspberry-pi-4-model-b/",
        _XNNPACK, core="a72", target="android",
    ),
    "raspberry-pi-5": Device(
        "BCM2712, 4 Cortex-A76", None, None, 2400, "https://www.raspberrypi.com/products/raspberry-pi-5/",
        _XNNPACK, core="a76", target="android",
    ),
    "pixel-6": Device(
        "Google Tensor, 2 Cortex-X1", None, None, 2800, "https://store.google.com/product/pixel_6_specs", _XNNPACK,
        core="x1", target="android",
    ),
    "phone": Device(
        "of the middle: Pixel 3a, Snapdragon 670", None, None, 2000, "https://github.com/google/XNNPACK", _XNNPACK,
        core="sdm670", target="android",
    ),
    "browser": Device(
        "LiteRT.js in WebAssembly", None, None, 1, "https://www.npmjs.com/package/@litertjs/core",
        "how fast it is depends on the machine", core="wasm", target="web",
    ),
}  # fmt: skip


def find_device(name: str) -> Device:
    """The row of a device.

    Raises:
        InputError: there is none of that name; the message gives the nearest ones.

    >>> find_device("rp2040").what
    'Raspberry Pi Pico, Cortex-M0+'
    """
    if name not in DEVICES:
        near = get_close_matches(name.lower(), DEVICES, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(DEVICES)}."
        raise InputError(f"There is no device {name!r} in the table: {hint}")
    return DEVICES[name]


class Speed(NamedTuple):
    """Multiply-adds of a core in one of its clock cycles, and by what share a measurement was off that at most."""

    per_cycle: float
    error: float | None


@cache
def speed_of(core: str) -> Speed | None:
    """How fast a core is by `speeds.csv`: the median of what was measured; None where nothing was.

    The error is None where there is only one measurement, which says nothing of others.

    >>> speed_of("m7").per_cycle > speed_of("m4").per_cycle, speed_of("abacus")
    (True, None)
    """
    with SPEEDS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["core"] == core]
    rates = [int(row["multiply_adds"]) / (float(row["ms"]) * float(row["mhz"]) * 1e3) for row in rows]
    if not rates:
        return None
    median = statistics.median(rates)
    return Speed(median, max(max(median / rate, rate / median) for rate in rates) - 1 if len(rates) > 1 else None)


class Latency(NamedTuple):
    """An estimate in milliseconds, and by what share measurements were off such estimates at most, if that is known."""

    ms: float
    error: float | None


def latency_of(multiply_adds: int, core: str | None, mhz: float | None) -> Latency | None:
    """About how long a core takes, from its multiply-adds alone; None where nothing was published of such a core.

    >>> round(latency_of(7_489_664, "m4", 64).ms)
    564
    """
    speed = speed_of(core) if core is not None else None
    if speed is None or mhz is None:
        return None
    return Latency(multiply_adds / (speed.per_cycle * mhz * 1e3), speed.error)


class Limits(NamedTuple):
    """What must hold, for which target's file, and for which NPU."""

    budget: Budget
    target: str
    accelerator: str | None


def limits_of(fit: Budget | None, device: str | None, targets: Sequence[str] = ()) -> Limits:
    """The limits of a budget and a device, of which those of the budget win.

    Args:
        fit: the budget; None leaves it to the device.
        device: a name of `DEVICES`.
        targets: that a recipe names; without a device the first of them is meant, else microcontrollers.

    Raises:
        InputError: there is no such device, or a latency on a core of which nothing is known.

    >>> limits_of(Budget(ram=1 << 16), "rp2040").budget.flash
    2097152
    """
    row = find_device(device) if device is not None else None
    budget = fit or Budget()
    if row is not None:
        budget = budget.within(row.budget)
    target = row.target if row is not None else next(iter(targets), "microcontroller")
    if budget.latency is not None and target != "ethos-u" and (budget.core is None or speed_of(budget.core) is None):
        with SPEEDS.open(newline="", encoding="utf-8") as file:
            known = ", ".join(dict.fromkeys(line["core"] for line in csv.DictReader(file)))
        raise InputError(
            "A latency needs a core whose speed was published and its clock, such as latency=80ms@m7-480MHz, or a "
            f"--device with one. Known are {known}. Received: {budget.core or 'no core'}."
        )
    return Limits(budget, target, row.accelerator if row is not None else None)
