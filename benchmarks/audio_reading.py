"""Speed and memory of listing and examining recordings, and how many excerpts that overlap are found.

    python benchmarks/audio_reading.py ../shared/data/esc10 ../shared/data/spoken_digits/labels.csv --hours 1 10 --csv docs/results/audio_reading.csv --overlaps docs/results/audio_overlaps.csv

Each source is loaded in a process of its own, without TensorFlow; hours are of one made recording of noise, WAV at
16,000 Hz, in windows of 5 s. Overlaps are made of every fourth clip of the first source: two excerpts that share some
seconds, cut at any sample, one of them half as loud, as WAV or MP3.
"""  # noqa: E501

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from measured import run_measured
from table import write_rows

import keras_transfer as kt
from keras_transfer.modalities.audio.items import decode, load_sound, resample
from keras_transfer.modalities.audio.overlaps import at_rate, landmarks, overlapping
from keras_transfer.modalities.audio.sources import list_source
from keras_transfer.run import processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, nargs="*")
    parser.add_argument("--hours", type=int, nargs="*", default=[])
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--overlaps", type=Path)
    parser.add_argument("--load", type=Path, help="a source to load in this process")
    parser.add_argument("--window", type=float)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(load(options.load, options.window)))
        return
    rows = [
        {"source": source.parent.name if source.suffix else source.name, **measured(source)}
        for source in options.sources
    ]
    for hours in options.hours:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"source": f"{hours} h of noise", **measured(make_recording(Path(folder), hours), "5")})
    if rows:
        write_rows(options.csv, rows)
    if options.overlaps:
        write_rows(
            options.overlaps,
            [found(options.sources[0], shared, form) for shared in (3, 2, 1) for form in ("WAV", "MP3")],
        )


def measured(source: Path, window: str | None = None) -> dict[str, object]:
    """Figures of loading a source in a process of its own."""
    done = run_measured([__file__, "--load", str(source), *(["--window", window] if window else [])])
    row = {"processor": processor(), "cores": len(os.sched_getaffinity(0)), "peak_mb": done.peak_mb}
    row |= json.loads(done.output.splitlines()[-1])
    print(row, flush=True)
    return row


def load(source: Path, window: float | None) -> dict[str, object]:
    """Recordings, seconds of sound, and how many of these are read in a second: listed, examined, compared, split."""
    begun, cpu = time.perf_counter(), time.process_time()
    data = kt.load(source, window=window)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    sound = sum(float(record.facts[0]) for record in data.records if record.facts)
    return {
        "items": len(data.records),
        "sound_s": round(sound),
        "times_real_time": round(sound / seconds),
        "times_a_core": round(sound / cpu),
    }


def make_recording(folder: Path, hours: int) -> Path:
    """A folder of two classes: one recording of so many hours, and some short ones."""
    random = np.random.default_rng(0)
    for name in ("long", "short"):
        (folder / name).mkdir()
    with soundfile.SoundFile(folder / "long" / "long.wav", "w", 16000, 1) as file:
        for _ in range(360 * hours):
            file.write(random.uniform(-0.3, 0.3, 160_000).astype(np.float32))
    for number in range(30):
        soundfile.write(folder / "short" / f"{number}.wav", random.uniform(-0.1, 0.1, 80_000), 16000)
    return folder


def found(source: Path, shared: float, form: str) -> dict[str, object]:
    """Of pairs of excerpts that share so many seconds, the share that is found, and pairs of different clips."""
    random, sounds, files = np.random.default_rng(0), [], []
    for entry in list_source(source).listing.entries[::4]:
        clip = resample(*decode(load_sound(entry.file)), 16000)
        start = int((5 - shared) * 8000 + random.integers(0, 500))
        length = int(start + shared * 16000)
        content = io.BytesIO()
        soundfile.write(content, 0.5 * clip[start : start + length], 16000, format=form)
        for name, excerpt in (("first", clip[:length]), ("second", decode(content.getvalue())[0])):
            sounds.append(at_rate(excerpt, 16000))
            files.append(entry.file + name)
    groups = overlapping([landmarks(each) for each in sounds], files, sounds.__getitem__)
    together = sum({2 * i, 2 * i + 1} <= set(members) for i in range(len(sounds) // 2) for members in groups)
    wrong = sum(len({i // 2 for i in members}) > 1 for members in groups)
    row = {
        "shared_s": shared,
        "second": form,
        "pairs": len(sounds) // 2,
        "found": round(2 * together / len(sounds), 3),
        "wrong": wrong,
    }
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
