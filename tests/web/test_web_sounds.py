"""The page for sounds in headless Chromium, which takes a file for its microphone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from serving import browse, written
from sound_kits import FRONT_END, NAMES, RATE, SAMPLES, make_clips, make_kit, write_wav

from keras_transfer.exporters import web_page
from keras_transfer.exporters.targets import Kit, judge
from keras_transfer.litert import open_litert
from keras_transfer.modalities.audio.front_end import log_mel
from keras_transfer.modalities.audio.targets import web


@pytest.fixture(scope="module", params=["int8", "float32"])
def sound_kit(request: pytest.FixtureRequest) -> Kit:
    return make_kit(request.param, "web")


@pytest.fixture(scope="module")
def sound_site(sound_kit: Kit, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from written(web.write, sound_kit, tmp_path_factory.mktemp("site"))


def answer(kit: Kit, samples: list[float]) -> np.ndarray:
    clip = np.array(samples, np.float32)
    features = log_mel(clip, FRONT_END) if "int8" in kit.name else clip
    return open_litert(kit.content, threads=1).predict(features[None])[0]


def test_what_is_written(sound_kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_page, "_add_runtime", lambda source, folder: "")
    files = {path.name for path in web.write(sound_kit, tmp_path)}
    made = {"index.html", "model.json", f"{sound_kit.name}.tflite"}
    assert files == {*made, *web.PAGE.scripts, *web_page.SHARED, *web_page.NPM}
    assert judge(sound_kit.content, "web")["ok"]
    about = json.loads((tmp_path / "model.json").read_text("utf-8"))
    assert (about["sample_rate"], about["samples"], about["class_names"]) == (RATE, SAMPLES, NAMES)
    assert about["front_end"] == (FRONT_END.to_dict() if about["input"]["dtype"] == "uint8" else None)


def test_it_listens_and_reads(node: str, chromium: str, sound_site: str, sound_kit: Kit, tmp_path: Path) -> None:
    clips, labels = make_clips(3, seed=4, samples=2 * RATE)
    spoken = write_wav(tmp_path / "microphone.wav", clips.reshape(-1))
    files = [write_wav(tmp_path / f"{i}.wav", clip, 1 + i) for i, clip in enumerate(clips)]
    files.append(write_wav(tmp_path / "short.wav", clips[0][: SAMPLES // 2]))
    request = {"microphone": str(spoken), "seconds": 5.5, "recordings": list(map(str, files))}
    results = browse(node, chromium, sound_site, [], **request)["results"]
    live = [row for row in results if "smoothed" in row]
    assert len(live) > 10 and live[0]["seconds"] >= SAMPLES / RATE and "at a time" in live[0]["facts"]
    assert {NAMES[int(np.argmax(row["smoothed"]))] for row in live} == set(NAMES)
    for row in live[::4]:
        np.testing.assert_allclose(row["scores"], answer(sound_kit, row["samples"]), atol=1e-3)
    for number, file in enumerate(files):
        rows = [row for row in results if row.get("file") == file.name]
        *windows, whole = rows
        assert len(windows) == whole["windows"] == (1 if file.name == "short.wav" else 7)
        for row in windows:
            start = round(row["seconds"] * RATE)
            if file.name != "short.wav":
                expected = clips[number][start : start + SAMPLES]
                np.testing.assert_allclose(row["samples"], expected, atol=1e-4)
            np.testing.assert_allclose(row["scores"], answer(sound_kit, row["samples"]), atol=1e-3)
        np.testing.assert_allclose(whole["scores"], np.mean([row["scores"] for row in windows], 0), atol=1e-6)
        if file.name != "short.wav":
            assert rows[0]["said"].startswith(NAMES[labels[number]])


def test_the_page_for_sounds(chromium: str, audit: Callable[..., list[str]], sound_site: str) -> None:
    assert audit(sound_site) == []
