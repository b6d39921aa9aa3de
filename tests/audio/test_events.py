"""Events in long recordings: what is found, what is missed, and false accepts an hour."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import noise, write
from typer.testing import CliRunner

from keras_transfer import InputError
from keras_transfer.cli.app import app
from keras_transfer.data.listing import Layout
from keras_transfer.evaluation.classifier import Classifier
from keras_transfer.evaluation.events import Event, detect, match, rate_interval
from keras_transfer.inputs import TensorSpec, open_preparer
from keras_transfer.jobs import stream as stream_module
from keras_transfer.jobs.stream import evaluate_stream
from keras_transfer.modalities.audio.preparer import AudioPreparer

SPEC = AudioPreparer(samples=8000).spec([TensorSpec("waveform", (8000,))])
SPANS = st.lists(st.tuples(st.floats(0, 90), st.floats(0.1, 9), st.sampled_from("ab")), max_size=6)


def classifier(names=("loud", "soft", "silence")) -> Classifier:
    """Hears whether half a second is loud, soft or neither."""

    def run(clips):
        level = np.sqrt(np.square(clips).mean(axis=1))
        rows = np.stack([level > 0.2, (level > 0.01) & (level <= 0.2), level <= 0.01], axis=1)
        return (0.85 * rows + 0.05).astype(np.float32)

    return Classifier(None, SPEC, list(names), True, False, run)


@pytest.fixture
def recordings(tmp_path):
    """Two recordings of a minute: in one three loud and two soft seconds, of which one has no mark; silence in one."""
    folder = tmp_path / "long"
    sound = np.zeros(60 * 16000, np.float32)
    for second, peak in ((5, 0.9), (20, 0.9), (40, 0.9), (30, 0.05), (50, 0.05)):
        sound[second * 16000 : (second + 1) * 16000] = noise(1, seed=second, peak=peak)
    write(folder / "anna_1.wav", sound)
    write(folder / "ben_1.wav", np.zeros(60 * 16000, np.float32))
    marks = [
        (5, 6, "loud"),
        (20, 21, "loud"),
        (40, 41, "loud"),
        (10, 12, "silence"),
        (30, 31, "soft"),
        (55, 56, "soft"),
    ]
    (folder / "anna_1.txt").write_text("".join(f"{a}\t{b}\t{label}\n" for a, b, label in marks))
    (folder / "ben_1.txt").write_text("")
    return folder


def as_events(spans) -> list[Event]:
    return [Event(label, start, start + length) for start, length, label in spans]


@given(SPANS, st.floats(0, 2))
def test_what_is_heard_as_it_happens_is_found_and_right(spans, tolerance) -> None:
    events = as_events(spans)
    assert all(match(events, events, tolerance).found) and all(match(events, events, tolerance).right)
    late = [event._replace(start=event.start + 200, end=event.end + 200) for event in events]
    none = match(events, late, tolerance)
    assert not none.found.any() and not none.right.any()


@given(SPANS, SPANS, st.floats(0, 2))
def test_more_tolerance_never_finds_less(spans, others, tolerance) -> None:
    less, more = (match(as_events(spans), as_events(others), each) for each in (tolerance, tolerance + 1))
    assert (more.found >= less.found).all() and (more.right >= less.right).all()
    one = match(as_events(spans), as_events(others)[:1], tolerance)
    assert (less.found >= one.found).all()  # nor do more detections


def test_one_that_always_says_yes_finds_nothing() -> None:
    events = [Event("a", 10 * n, 10 * n + 1) for n in range(5)]
    matched = match(events, [Event("a", 0, 60)], 0.5)
    assert not matched.found.any() and not matched.right.any()


@given(st.lists(st.sampled_from([0, 1, 2]), min_size=1, max_size=30), st.floats(0.1, 0.8))
def test_neighbouring_moments_are_one_event(classes, threshold) -> None:
    rows = (0.8 * np.eye(3, dtype=np.float32)[classes] + 0.1).astype(np.float32)
    borders = [0.5 * n for n in range(len(classes) + 1)]
    found = detect(borders, rows, ["a", "b", "silence"], threshold)
    heard = np.full(len(classes), 2)
    for event in found:
        heard[round(2 * event.start) : round(2 * event.end)] = "ab".index(event.label)
    assert heard.tolist() == list(classes)
    assert all(one.label != two.label or one.end < two.start for one, two in pairwise(found))


def test_a_moment_may_hold_several_or_none() -> None:
    rows = np.array([[0.9, 0.8, 5.0], [0.9, 0.2, 9.0]], np.float32)
    assert detect([0, 1, 2], rows, ["a", "b"], 0.5, several=True, limit=6) == [Event("a", 0, 1), Event("b", 0, 1)]
    assert detect([0, 1, 2], rows, ["a", "b"], 0.5, limit=6) == [Event("a", 0, 1)]
    assert detect([0, 1, 2], rows, ["a", "b"], 0.95) == []


@given(st.integers(0, 500), st.floats(0.1, 100))
def test_rates_lie_in_their_intervals(count, hours) -> None:
    low, high = rate_interval(count, hours)
    assert 0 <= low <= count / hours <= high and rate_interval(count + 1, hours)[0] > low


def test_misses_and_false_accepts_are_counted(recordings) -> None:
    found = evaluate_stream(classifier(), str(recordings), layout=Layout(hop=0.1, group_by="([a-z]+)_"))
    assert found["recordings"] == 2 and found["hours"] == pytest.approx(2 / 60) and found["nothing"] == ["silence"]
    assert (found["all"]["events"], found["all"]["misses"], found["all"]["false_accepts"]) == (5, 1, 1)
    assert found["all"]["an_hour"]["value"] == pytest.approx(30)
    loud, soft = (found["per_class"][name] for name in ("loud", "soft"))
    assert (loud["events"], loud["misses"], loud["false_accepts"]) == (3, 0, 0)
    assert (soft["events"], soft["misses"], soft["false_accepts"]) == (2, 1, 1)
    assert list(found["per_group"]) == ["anna"] and found["per_group"]["anna"]["events"] == 5
    assert [row["misses"] for row in found["curve"]] == sorted(row["misses"] for row in found["curve"])
    strict = evaluate_stream(classifier(), str(recordings), threshold=0.99)
    assert strict["all"]["misses"] == 5 and strict["all"]["false_accepts"] == 0 and strict["hop"] == 0.125
    every = evaluate_stream(classifier(), str(recordings), nothing=[])
    assert every["per_class"]["silence"]["false_accepts"] > 0


def test_what_cannot_be_scored_is_said(recordings, tmp_path) -> None:
    with pytest.raises(InputError, match=r"no events of the model's classes \(x, y, z\).*loud, silence, soft"):
        evaluate_stream(classifier("xyz"), str(recordings))
    with pytest.raises(InputError, match="must be classes of the model"):
        evaluate_stream(classifier(), str(recordings), nothing=["dog"])
    for wrong in ({"threshold": 2.0}, {"tolerance": -1.0}, {"layout": Layout(hop=0.0)}):
        with pytest.raises(InputError, match="must lie in"):
            evaluate_stream(classifier(), str(recordings), **wrong)
    (recordings / "ben_1.wav").write_bytes(b"RIFF broken")
    with pytest.raises(InputError, match=r"ben_1\.wav"):
        evaluate_stream(classifier(), str(recordings))


def test_the_command_prints_tables_and_json(recordings, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(stream_module, "open_classifier", lambda model, **options: classifier())
    file = tmp_path / "model.tflite"
    file.write_bytes(b"\x1c\0\0\0TFL3" + bytes(64))
    words = ["evaluate", str(file), str(recordings), "--stream", "--hop", "0.1", "--group-by", "([a-z]+)_"]
    shown = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "anna" in shown.output and "false accepts" in shown.output and "loud" in shown.output
    found = json.loads(CliRunner().invoke(app, [*words, "--json", "--threshold", "0.6"]).output)
    assert found["all"]["events"] == 5 and found["threshold"] == 0.6
    refused = CliRunner().invoke(app, ["evaluate", str(file), str(recordings), "--tolerance", "1"])
    whole = CliRunner().invoke(app, [*words, "--split", "test"])
    assert isinstance(whole.exception, InputError) and "leave out --split" in str(whole.exception)
    assert isinstance(refused.exception, InputError) and "goes with --stream" in str(refused.exception)


def test_other_items_have_no_length_in_time(tmp_path) -> None:
    spec = open_preparer("image", {}).spec([TensorSpec("pixels", (8, 8, 3), "uint8")])
    with pytest.raises(InputError, match="--stream"):
        evaluate_stream(Classifier(None, spec, ["a", "b"], True, False, lambda x: x), str(tmp_path))
