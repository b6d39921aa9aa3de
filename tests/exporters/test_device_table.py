"""The table of devices and the published speeds."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.budget import Budget
from keras_transfer.errors import InputError
from keras_transfer.exporters.targets import TARGETS
from keras_transfer.exporters.targets.devices import DEVICES, SPEEDS, find_device, latency_of, speed_of
from keras_transfer.exporters.targets.ethos_u import ACCELERATORS
from keras_transfer.exporters.targets.fit import Needs, excess_of, file_multiply_adds, judge_fit
from keras_transfer.litert import read_flatbuffer

with SPEEDS.open(newline="", encoding="utf-8") as opened:
    SPEED_ROWS = list(csv.DictReader(opened))


@pytest.mark.parametrize("name", DEVICES)
def test_a_device(name):
    device = find_device(name)
    assert device.target in TARGETS and device.source.startswith("https://")
    assert (device.target == "ethos-u") == (device.accelerator in ACCELERATORS)
    assert (device.target == "microcontroller") <= (device.flash is not None and device.ram is not None)
    json.dumps(asdict(device.budget))
    assert f"\n| {name} | {device.what} | " in (Path(__file__).parents[2] / "docs" / "targets.md").read_text()


def test_unknown_device():
    with pytest.raises(InputError, match=r"toaster.*rp2040"):
        find_device("toaster")
    with pytest.raises(InputError, match="did you mean arduino-nano-33-ble"):
        find_device("arduino-nano")


@pytest.mark.parametrize("row", SPEED_ROWS, ids=lambda row: f"{row['core']} {row['network']}")
def test_a_measurement_is_within_the_error_that_is_stated(row):
    speed = speed_of(row["core"])
    estimate = latency_of(int(row["multiply_adds"]), row["core"], float(row["mhz"])).ms
    ratio = estimate / float(row["ms"])
    assert "https://" in row["source"]
    assert max(ratio, 1 / ratio) <= 1 + (speed.error or 0) + 1e-9


def test_the_clock_scales():
    assert latency_of(10**7, "m7", 240).ms == pytest.approx(2 * latency_of(10**7, "m7", 480).ms)
    assert latency_of(10**7, "abacus", 1) is latency_of(10**7, None, None) is None


def test_every_limit_is_judged():
    needs = Needs(flash=2048, ram=1024, multiply_adds=7_489_664, zip=512)
    fit, why = judge_fit(Budget(1024, 1024, 100, 256, "m4", 64), needs)
    assert [fit[name]["fits"] for name in ("flash", "ram", "latency", "zip")] == [False, True, False, False]
    assert "2 KiB of flash where there are 1 KiB" in why and "about 564 ms where 100 ms" in why and "zipped" in why
    assert excess_of(fit).what == "latency" and fit["latency_error"] > 0.1
    assert judge_fit(Budget(ram=1), Needs(1, None, 0, 0)) == (
        {"code_bytes": 131072, "margin_bytes": 32768, "ram": {"room": 1, "needs": None, "fits": None}},
        "",
    )


def test_a_file_s_multiply_adds_are_the_model_s():
    model = kt.build_classifier("mobilenet_v2", 3, image_size=32, alpha=0.35, weights=None)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    info = read_flatbuffer(kt.convert(model, ["int8"], calibration=pixels)["int8"])
    assert file_multiply_adds(info) == kt.models.multiply_adds(model)
    keras.backend.clear_session()
