"""Segments: what was planted is named, what is chance is not."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from keras_transfer.evaluation.segments import LEAST, _fewer, segments, sentence


def test_a_planted_weakness_is_named_in_numbers_and_in_words() -> None:
    random = np.random.default_rng(0)
    light, camera = random.random(400), random.choice(["a", "b", "c"], 400)
    right = random.random(400) < np.where(light < 0.25, 0.5, 0.9)
    rows = segments({"brightness": light.tolist(), "camera": camera.tolist()}, right)
    worse = [row for row in rows if row["worse"]]
    assert [row["column"] for row in worse] == ["brightness"] and worse[0]["name"].startswith("up to")
    assert worse[0]["accuracy"] == right[light <= np.quantile(light, 0.25)].mean()
    assert "brightness, up to" in sentence(worse[0], len(rows)) and f"over {len(rows)} segments" in sentence(
        worse[0], len(rows)
    )
    other = segments({"camera": camera.tolist()}, right & ~((camera == "b") & (random.random(400) < 0.4)))
    assert [row["name"] for row in other if row["worse"]] == ["b"]


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
def test_the_test_of_a_segment_is_scipy_s(images: int, others: int, data: st.DataObject) -> None:
    hits, other_hits = data.draw(st.integers(0, images)), data.draw(st.integers(0, others))
    theirs = fisher_exact([[hits, images - hits], [other_hits, others - other_hits]], "less").pvalue
    assert _fewer(hits, images, other_hits, others) == pytest.approx(float(theirs), rel=1e-6, abs=1e-12)


def test_chance_is_seldom_named() -> None:
    random, named = np.random.default_rng(1), 0
    for _ in range(100):
        columns = {str(i): random.random(160).tolist() for i in range(6)}
        named += any(row["worse"] for row in segments(columns, random.random(160) < 0.75))
    assert named <= 10


def test_the_mix_of_classes_explains_a_segment_of_hard_classes() -> None:
    classes = np.repeat([0, 1], 100)
    right = np.concatenate([np.arange(100) < 90, np.arange(100) < 50])
    place = ["inside" if i < 80 else "outside" for i in range(200)]
    rows = {row["name"]: row for row in segments({"place": place}, right, classes)}
    assert rows["inside"]["expected"] == pytest.approx(0.9) and rows["outside"]["expected"] < 0.6


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from(["", "x", "7"])), min_size=1, max_size=120),
    st.integers(0, 2**32 - 1),
)
def test_whatever_a_column_holds(values: list, seed: int) -> None:
    right = np.random.default_rng(seed).random(len(values)) < 0.7
    rows = segments({"column": values}, right, np.zeros(len(values), int))
    json.dumps(rows, allow_nan=False)
    known = sum(value is not None and value != "" for value in values)
    assert sum(row["images"] for row in rows) <= known
    for row in rows:
        assert row["images"] >= LEAST and row["low"] <= row["accuracy"] <= row["high"]


def test_numbers_are_cut_into_quarters() -> None:
    rows = segments({"size": [str(i) for i in range(200)]}, [True] * 100 + [False] * 100)
    assert [row["images"] for row in rows] == [50] * 4 and [row["accuracy"] for row in rows] == [1, 1, 0, 0]
    assert segments({"same": [3.0] * 100}, [True] * 100) == []
