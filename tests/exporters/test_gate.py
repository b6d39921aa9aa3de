"""The gate's statistics and its words: noise does not fail a file, a broken one does not pass, advice fits the case."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binomtest, multinomial

from keras_transfer.exporters.gate import advise, judge_drop, recommend
from keras_transfer.exporters.paired import drop_above, drop_below, score


@st.composite
def tables(draw, most=60):
    """Lost, gained, all items."""
    n_items = draw(st.integers(1, most))
    lost = draw(st.integers(0, n_items))
    return lost, draw(st.integers(0, n_items - lost)), n_items


margins = st.sampled_from([0.0, 0.01, 0.05, 0.11, 0.5, 1.0])


def test_the_p_value_is_that_of_all_tables_summed():
    for lost, gained, n_items, margin in ((3, 1, 30, 0.01), (4, 1, 30, 0.0), (5, 2, 40, 0.05), (8, 0, 30, 0.1)):
        b, c = np.meshgrid(np.arange(n_items + 1), np.arange(n_items + 1), indexing="ij")
        region = (b + c <= n_items) & (score(b, c, n_items, margin) >= score(lost, gained, n_items, margin) - 1e-9)
        rows = np.stack([b[region], c[region], n_items - b[region] - c[region]], axis=-1)
        shares = np.linspace(0, (1 - margin) / 2, 200)
        worst = max(multinomial.pmf(rows, n_items, [q + margin, q, 1 - 2 * q - margin]).sum() for q in shares)
        assert drop_above(lost, gained, n_items, margin) == pytest.approx(worst, abs=2e-3)


@given(tables(), margins)
def test_p_values_are_shares_and_follow_the_evidence(table, margin):
    lost, gained, n_items = table
    p = drop_above(lost, gained, n_items, margin)
    assert 0 <= p <= 1 and 0 <= drop_below(lost, gained, n_items, margin) <= 1
    assume(lost + gained < n_items)
    assert score(lost + 1, gained, n_items, margin) >= score(lost, gained, n_items, margin)
    assert score(lost, gained + 1, n_items, margin) <= score(lost, gained, n_items, margin)
    # Its share of gains is searched where the gains seen leave it, so that it may differ by what lies outside.
    assert drop_above(lost + 1, gained, n_items, margin) <= p + 2e-3


@given(tables())
def test_without_a_tolerance_it_agrees_with_mcnemars_test(table):
    lost, gained, n_items = table
    assume(lost > gained)
    conditional = binomtest(lost, lost + gained, alternative="greater").pvalue
    ours = drop_above(lost, gained, n_items, 0.0)
    assert conditional > 0.01 or ours <= 0.02
    assert ours > 0.01 or conditional <= 0.1  # the conditional test is the more careful one


@given(tables(), margins, margins)
def test_a_wider_tolerance_is_easier_to_hold(table, one, other):
    low, high = sorted((one, other))
    order = {"pass": 0, "warn": 1, "fail": 2}
    narrow, wide = (judge_drop(*table, tolerance) for tolerance in (low, high))
    assert order[wide.outcome] <= order[narrow.outcome]
    assert narrow.over or narrow.outcome != "fail"
    assert wide.over == (wide.drop > high + 1e-9)


@pytest.mark.parametrize("n_items", [30, 100, 300, 1000])
def test_errors_are_as_rare_as_promised(n_items):
    """The share of fails where just the tolerance is lost, and of passes where a broken file loses far more."""
    random = np.random.default_rng(n_items)
    for gains in (0.0, 0.02, 0.1):
        for loss, wrong in ((0.01, "fail"), (0.1, "pass")):
            drawn = random.multinomial(n_items, [gains + loss, gains, 1 - 2 * gains - loss], 400)
            tables, counts = np.unique(drawn[:, :2], axis=0, return_counts=True)
            outcomes = [judge_drop(int(b), int(c), n_items, 0.01).outcome for b, c in tables]
            share = sum(count for count, outcome in zip(counts, outcomes, strict=True) if outcome == wrong) / 400
            assert share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400), (gains, loss, share)


def test_what_the_first_command_met_on_another_processor():
    verdict = judge_drop(3, 0, 296, 0.01)
    assert verdict.outcome == "warn" and "3 of 296" in verdict.words() and "too few to tell" in verdict.words()
    assert judge_drop(2, 0, 296, 0.01).outcome == "pass"
    assert judge_drop(11, 1, 296, 0.01).outcome == "fail"


def test_few_images_neither_pass_a_broken_file_nor_fail_a_good_one():
    assert judge_drop(0, 0, 30, 0.01).outcome == judge_drop(0, 1, 30, 0.01).outcome == "pass"
    assert judge_drop(1, 1, 30, 0.01).outcome == "warn"  # a loss of 10 points is not ruled out
    assert "rule out a loss of 10 points" in judge_drop(1, 1, 30, 0.01).words()
    assert judge_drop(3, 0, 30, 0.01).outcome == "warn"
    assert judge_drop(4, 0, 30, 0.01).outcome == "fail"
    assert judge_drop(15, 2, 30, 0.01).outcome == "fail"
    # Ten images rule nothing out, unless all probabilities are the same.
    assert judge_drop(0, 0, 10, 0.01).outcome == "warn"
    assert judge_drop(0, 0, 10, 0.01, same=True).outcome == "pass"


@pytest.mark.parametrize(
    ("case", "says", "unfit"),
    [
        ({"kind": "int8"}, ["--repair", "float16"], ["dynamic"]),
        ({"kind": "int8", "passed": ["float32", "dynamic"]}, ["--repair", "float32 or dynamic"], ["float16"]),
        ({"kind": "int8", "repaired": True}, ["No remedy", "--qat"], ["try `--repair`"]),
        ({"kind": "int8", "trained": True}, ["--epochs"], ["--repair", "train with"]),
        ({"kind": "dynamic"}, ["float16"], ["--repair", "--qat", "dynamic"]),
        ({"kind": "dynamic", "passed": ["int8"]}, ["int8"], ["--repair", "float16"]),
        ({"kind": "16x8"}, ["float16"], ["--repair", "--qat"]),
        ({"kind": "float16"}, ["float32"], ["float16", "--repair"]),
        ({"kind": "float32"}, ["report"], ["--repair", "--qat", "try"]),
        ({"kind": "int8", "label_drop": 0.004}, ["--repair", "single labels 0.4 points"], []),
        ({"kind": "int8", "outcome": "warn"}, ["More test items"], ["--repair"]),
    ],
)
def test_advice_fits_the_case(case, says, unfit):
    kind, outcome = case.pop("kind"), case.pop("outcome", "fail")
    advice = advise(kind, outcome, **case)
    assert all(words in advice for words in says), advice
    assert not any(words in advice for words in unfit), advice


def test_training_is_only_advised_where_its_packages_are(monkeypatch):
    assert "--qat" in advise("int8", "fail")
    monkeypatch.setattr("keras_transfer.exporters.gate.find_spec", lambda name: None)
    assert "--qat" not in advise("int8", "fail")
    assert advise("int8", "pass") == ""


def artifact(kind, size, outcome="pass", **targets):
    verdicts = {name: {"ok": ok} for name, ok in targets.items()}
    return {"path": kind, "format": kind, "bytes": size, "gate": {"outcome": outcome}, "targets": verdicts}


@pytest.mark.parametrize(
    ("artifacts", "targets", "best"),
    [
        ([artifact("float32", 9), artifact("int8", 3)], [], "int8"),
        ([artifact("dynamic", 2), artifact("int8", 3)], [], "int8"),  # some bytes more, but faster
        ([artifact("16x8", 2), artifact("dynamic", 2, "fail"), artifact("float16", 5)], [], "float16"),
        ([artifact("float32", 9), artifact("int8", 3, "fail")], [], "float32"),
        ([artifact("float16", 9), artifact("int8", 3, "warn")], [], "float16"),  # who passed comes first
        ([artifact("float16", 9, "fail"), artifact("int8", 3, "warn")], [], "int8"),
        ([artifact("float16", 9, web=True), artifact("int8", 3, web=False)], ["web"], "float16"),
        ([artifact("float16", 9, edge=False), artifact("int8", 3, "warn", edge=True)], ["edge"], "int8"),
        ([artifact("float16", 9, edge=False, web=True), artifact("int8", 3, edge=True)], ["web", "edge"], "float16"),
        ([artifact("float16", 9, edge=False), artifact("int8", 3, "fail", edge=True)], ["edge"], "float16"),
        ([artifact("int8", 3, "fail"), artifact("float32", 9, "fail"), artifact("float16", 8, "fail")], [], "float16"),
        ([artifact("int8", 3, "fail"), artifact("dynamic", 2, "fail")], [], "int8"),
        ([artifact("onnx", 1), artifact("float32", 9)], [], "float32"),
        ([artifact("onnx", 1)], [], "onnx"),
    ],
)
def test_what_is_recommended(artifacts, targets, best):
    assert recommend(artifacts, targets)["path"] == best
    assert recommend([]) is None
