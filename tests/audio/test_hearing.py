"""What is heard over time: timelines of files, live sound, and figures by file."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from sounds import encoded, noise, write

from keras_transfer import InputError
from keras_transfer.cli.heard import print_live, print_timeline
from keras_transfer.data.unlabelled import list_unlabelled
from keras_transfer.decisions import RejectionLimit
from keras_transfer.evaluation import predict_files
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.timeline import live, timeline
from keras_transfer.inputs import TensorSpec
from keras_transfer.modalities import open_modality
from keras_transfer.modalities.audio.preparer import AudioPreparer

PREPARER = AudioPreparer(samples=8000)
SPEC = PREPARER.spec([TensorSpec("waveform", (8000,))])
AUDIO = open_modality("audio")


def classifier(multi_label=False):
    """Hears whether it is loud, soft or neither."""

    def run(clips):
        level = np.sqrt(np.square(clips).mean(axis=1))
        rows = np.stack([level > 0.1, (level > 0.001) & (level <= 0.1), level <= 0.001], axis=1)
        return (0.7 * rows + 0.1).astype(np.float32)

    return Classifier(None, SPEC, ["loud", "soft", "silent"], True, multi_label, run)


@pytest.fixture
def recording(tmp_path):
    """Three seconds of silence, three loud ones, four soft ones."""
    parts = [np.zeros(48000, np.float32), noise(3, peak=0.9), noise(4, seed=1, peak=0.05)]
    return write(tmp_path / "long.wav", np.concatenate(parts))


def test_a_timeline_says_what_is_heard_from_when_to_when(recording):
    segments = list(timeline(classifier(), str(recording), 0.25))
    assert [segment.labels for segment in segments] == [("silent",), ("loud",), ("soft",)]
    ends = [0, *(segment.end for segment in segments)]
    assert np.allclose(ends, [0, 3, 6, 10], atol=0.4) and ends[1:-1] == [s.start for s in segments[1:]]
    assert all(0.5 < segment.confidence <= 0.8 for segment in segments)
    several = list(timeline(classifier(multi_label=True), str(recording), 0.5))
    assert several[0].labels == ("silent",)
    (problem,) = timeline(classifier(), str(recording.parent / "none.wav"), 0.5)
    assert problem.problem == "no such file"


def test_what_is_none_of_the_classes_is_heard_as_none(recording):
    own = classifier()

    def scored(clips):
        return own.run(clips), np.sqrt(np.square(clips).mean(axis=1)).astype(np.float32)

    limited = replace(own, scored=scored, limit=RejectionLimit.of([0.0, 0.05, 0.1], 0.9))
    segments = list(timeline(limited, str(recording), 0.25))
    assert [segment.labels for segment in segments] == [("silent",), (), ("soft",)]
    windows = [(0.0, 0.5, encoded(noise(0.5, peak=0.9))), (0.5, 1.0, encoded(noise(0.5, seed=1, peak=0.9)))]
    assert [segment.labels for segment in live(limited, windows)] == [(), ()]


def test_a_file_is_the_mean_of_its_windows(recording, tmp_path):
    short = write(tmp_path / "short.wav", noise(0.5, peak=0.9))
    (tmp_path / "bad.wav").write_bytes(b"bad")
    long, own, bad = predict_files(classifier(), [recording, short, tmp_path / "bad.wav"], 3)
    assert own.label == "loud" and own.confidence == pytest.approx(0.8) and bad.problem.startswith("not a recording")
    shares = dict(long.top)
    assert shares["soft"] == pytest.approx(0.1 + 0.7 * 8 / 20) and shares["loud"] == pytest.approx(0.1 + 0.7 * 6 / 20)


def test_long_recordings_without_labels_are_windows(recording):
    reader = AUDIO.reader(PREPARER.settings)
    split, problems = list_unlabelled(recording.parent, reader, lambda name: AUDIO.parts(name, SPEC))
    assert len(split) == 20 and not problems and str(split.paths[3]).endswith("long.wav#t=1.5,2")


@pytest.mark.parametrize("block", [320, 5000, 200_000])
def test_raw_sound_is_heard_as_it_comes(recording, block):
    class Pipe(io.RawIOBase):
        def __init__(self, content):
            self.content = content

        def readable(self):
            return True

        def readinto(self, buffer):
            part = self.content[: min(block, len(buffer))]
            buffer[: len(part)] = part
            self.content = self.content[len(part) :]
            return len(part)

    raw = encoded(np.concatenate([noise(1, peak=0.9), np.zeros(16000, np.float32)]), suffix=".wav")[44:]
    windows = AUDIO.stream(io.BufferedReader(Pipe(raw)), SPEC, 0.25)
    heard = list(live(classifier(), windows))
    assert [round(each.start, 2) for each in heard] == [round(0.25 * i, 2) for i in range(7)]
    assert heard[0].labels == ("loud",) and heard[-1].labels == ("silent",) and heard[-1].end == 2.0


def test_raw_sound_of_less_than_a_window_is_heard():
    for content, ends in ((b"\1\2" * 800, [0.05]), (b"\1\2" * 8000, [0.5]), (b"\1\2" * 8800, [0.5]), (b"\1", [])):
        windows = AUDIO.stream(io.BufferedReader(io.BytesIO(content)), SPEC, 0.5)
        assert windows is not None and [end for _, end, _ in windows] == ends


def test_files_and_lists_of_paths_are_no_stream():
    for content in (encoded(noise()), b"a/b.wav\nc.wav\n", b"a.wav\0b.wav\0", "\u00e4/b.wav\n".encode(), b""):
        assert AUDIO.stream(io.BufferedReader(io.BytesIO(content)), SPEC, None) is None
    assert AUDIO.stream(io.BufferedReader(io.BytesIO(b"\0\0\1\0" * 99)), SPEC, None) is not None
    with pytest.raises(InputError, match=r"`hop` \(--hop\) needs recordings, not photographs"):
        open_modality("image").parts("a.jpg", SPEC, 0.5)


def test_what_is_heard_is_printed(recording, capsys):
    own = classifier()
    print_timeline(timeline(own, str(recording), 0.5), "table")
    assert "from" in capsys.readouterr().out
    for form in ("json", "jsonl", "csv"):
        print_timeline(timeline(own, str(recording), 0.5), form)
        out = capsys.readouterr().out
        rows = (
            json.loads(out) if form == "json" else [json.loads(x) for x in out.splitlines()] if form != "csv" else None
        )
        assert [row["labels"] for row in rows] == [["silent"], ["loud"], ["soft"]] if rows else out.count("\n") == 4
    with pytest.raises(InputError, match="None of the files can be heard"):
        print_timeline(timeline(own, "none.wav", 0.5), "jsonl")
    capsys.readouterr()
    windows = [(0.5 * i, 0.5 * i + 0.5, encoded(noise(0.5, peak=peak))) for i, peak in enumerate((0.9, 0.9, 0.9, 0.01))]
    print_live(live(own, windows), "table")
    assert capsys.readouterr().out.split() == ["0.5", "s", "loud", "0.80"]
    print_live(live(own, windows), "csv")
    assert capsys.readouterr().out.count("\n") == 5
    print_live(live(own, windows), "json")
    assert [row["end"] for row in json.loads(capsys.readouterr().out)] == [0.5, 1.0, 1.5, 2.0]
