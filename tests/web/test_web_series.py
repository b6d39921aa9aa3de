"""The page for measurements in headless Chromium, whose motion sensor is a script."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from series_kits import CHANNELS, LENGTH, NAMES, RATE, make_kit, make_series
from serving import browse, written

from keras_transfer.exporters import web_page
from keras_transfer.exporters.targets import Kit, judge, kit_writer
from keras_transfer.litert import open_litert
from keras_transfer.modalities.series.targets import web

HOP = LENGTH // 4


@pytest.fixture(scope="module")
def series_kit() -> Kit:
    return make_kit("int8", "web")


@pytest.fixture(scope="module")
def series_site(series_kit: Kit, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from written(web.write, series_kit, tmp_path_factory.mktemp("site"))


def answer(kit: Kit, samples: list[float]) -> np.ndarray:
    return open_litert(kit.content, threads=1).predict(np.array(samples, np.float32).reshape(1, LENGTH, 6))[0]


def write_csv(path: Path, series: np.ndarray) -> Path:
    """Channels in another order, beside a time."""
    rows = [f"{i / RATE},{','.join(map(repr, row.tolist()))}" for i, row in enumerate(series[:, ::-1])]
    path.write_text("\n".join([",".join(["time", *CHANNELS[::-1]]), *rows]))
    return path


def test_what_is_written(series_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "_add_runtime", lambda source, folder: "")
    assert kit_writer("web", "series") is web.write
    files = {path.name for path in web.write(series_kit, tmp_path)}
    made = {"index.html", "model.json", f"{series_kit.name}.tflite"}
    assert files == {*made, *web.PAGE.scripts, *web_page.SHARED, *web_page.NPM}
    assert judge(series_kit.content, "web")["ok"]
    about = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert (about["length"], about["hop"], about["rate"], about["channels"]) == (LENGTH, HOP, RATE, [*CHANNELS])


def test_it_reads_files_and_the_sensor(
    node: str, chromium: str, series_site: str, series_kit: Kit, tmp_path: Path
) -> None:
    series, labels = make_series(3, seed=4, length=2 * LENGTH + 5)
    files = [write_csv(tmp_path / f"{i}.csv", own) for i, own in enumerate(series)]
    files.append(write_csv(tmp_path / "short.csv", series[1][:20]))
    motion, _ = make_series(3, seed=5, length=2 * LENGTH)
    live = {"motion": motion[1].tolist(), "rate": RATE, "moments": 2 * LENGTH}
    results = browse(node, chromium, series_site, [], recordings=list(map(str, files)), **live)["results"]
    sensed = [row for row in results if "smoothed" in row]
    assert len(sensed) >= 3 and sensed[0]["moments"] >= LENGTH and "1.3 s at a time, every 0.3 s" in sensed[0]["facts"]
    known = {tuple(row) for row in motion[1].tolist()}
    for row in sensed:
        assert {tuple(moment) for moment in np.reshape(row["samples"], (-1, 6)).tolist()} <= known
        np.testing.assert_allclose(row["scores"], answer(series_kit, row["samples"]), atol=1e-3)
    assert NAMES[int(np.argmax(sensed[-1]["smoothed"]))] == "shake"
    for own, file in zip([*series, series[1][:20]], files, strict=True):
        *windows, whole = [row for row in results if row.get("file") == file.name]
        assert len(windows) == whole["windows"] == (1 if len(own) < LENGTH else 5)
        filled = np.pad(own, ((0, max(0, LENGTH - len(own))), (0, 0)), "mean")
        for number, row in enumerate(windows):
            expected = filled[number * HOP : number * HOP + LENGTH]
            np.testing.assert_array_max_ulp(np.float32(row["samples"]), expected.reshape(-1), 4 * (len(own) < LENGTH))
            np.testing.assert_allclose(row["scores"], answer(series_kit, row["samples"]), atol=1e-3)
        np.testing.assert_allclose(whole["scores"], np.mean([row["scores"] for row in windows], 0), atol=1e-6)
    said = {row["file"]: row["said"] for row in results if "windows" in row}
    assert [said[f"{i}.csv"].split(",")[0] for i in range(3)] == [NAMES[label] for label in labels]


def test_the_page_for_measurements(chromium: str, audit: Callable[..., list[str]], series_site: str) -> None:
    assert audit(series_site) == []
