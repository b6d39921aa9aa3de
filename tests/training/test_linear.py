"""The head that is solved: scikit-learn's logistic regression, with weights, mixed targets and independent labels."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

import keras_transfer as kt
from keras_transfer.data.labels import label_losses
from keras_transfer.errors import InputError
from keras_transfer.recipe import Phase
from keras_transfer.training.features import predict_cached
from keras_transfer.training.feed import Samples
from keras_transfer.training.linear import STRENGTHS, fit_linear, linear_head, solve_head

SOLVED = Phase(name="frozen", optimizer="lbfgs")


def task(classes: int = 3, n: int = 90, width: int = 12, seed: int = 0, spread: float = 1.0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    rows = random.normal(size=(classes, width))[labels] + spread * random.normal(size=(n, width))
    return (5 * rows + 3).astype(np.float32), labels


def scaled(rows, weights=None):
    return StandardScaler().fit(rows, sample_weight=weights).transform(rows)


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_it_is_scikit_learns(strength: float) -> None:
    rows, labels = task()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(rows))
    head = fit_linear(rows, np.eye(3)[labels], weights, strength=strength)
    known = scaled(rows, weights)
    plain = LogisticRegression(C=strength, tol=1e-6, max_iter=1000).fit(known, labels, weights)
    assert np.allclose(head.probabilities(rows), plain.predict_proba(known), atol=5e-3)


def test_independent_labels_are_one_against_the_rest() -> None:
    rows, labels = task(spread=3)
    targets = np.stack([labels == 0, labels > 0, rows[:, 0] > 3], axis=1).astype(int)
    head = fit_linear(rows, targets, strength=0.1, sigmoid=True)
    plain = OneVsRestClassifier(LogisticRegression(C=0.1, tol=1e-6)).fit(scaled(rows), targets)
    assert np.allclose(head.probabilities(rows), plain.predict_proba(scaled(rows)), atol=5e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 4), st.integers(0, 1000))
def test_a_row_of_weight_two_is_two_rows_and_a_mixed_target_two_halves(classes: int, seed: int) -> None:
    rows, labels = task(classes, 24, 5, seed)
    targets = np.eye(classes)[labels]
    weights = np.random.default_rng(seed).integers(1, 4, len(rows))
    once = fit_linear(rows, targets, weights, strength=0.1)
    repeated = fit_linear(np.repeat(rows, weights, axis=0), np.repeat(targets, weights, axis=0), strength=0.1)
    assert np.allclose(once.probabilities(rows), repeated.probabilities(rows), atol=5e-3)
    mixed = fit_linear(rows, (targets + np.roll(targets, 1, axis=1)) / 2)
    halves = np.concatenate([targets, np.roll(targets, 1, axis=1)])
    split = fit_linear(np.concatenate([rows, rows]), halves, np.full(2 * len(rows), 0.5))
    assert np.allclose(mixed.probabilities(rows), split.probabilities(rows), atol=5e-3)


def test_constant_features_and_one_class_do_no_harm() -> None:
    rows = np.ones((6, 3), np.float32)
    assert np.allclose(fit_linear(rows, np.eye(2)[[0, 0, 0, 1, 1, 1]]).probabilities(rows), 0.5, atol=1e-3)
    tiny, labels = task()
    assert np.allclose(
        fit_linear(1e-9 * tiny, np.eye(3)[labels]).probabilities(1e-9 * tiny),
        fit_linear(tiny, np.eye(3)[labels]).probabilities(tiny),
        atol=5e-3,
    )
    alone = fit_linear(rows, np.eye(2)[[0] * 6])
    assert np.isfinite(alone.probabilities(rows)).all() and alone.probabilities(rows)[0, 0] > 0.9


def test_a_feature_that_hardly_varies_gets_no_huge_weight() -> None:
    rows, labels = task(2, 60, 6)
    rows = np.concatenate([rows, 1e-4 * (labels[:, None] + np.random.default_rng(0).normal(size=(60, 1)))], axis=1)
    half, whole = (fit_linear(rows, np.eye(2)[labels], strength=10.0, evened=share) for share in (0.5, 1.0))
    assert np.abs(half.kernel[-1]).max() < 0.05 * np.abs(whole.kernel[-1]).max()


def samples(rows, targets, **more) -> Samples:
    return Samples({"values": rows.astype(np.float16)}, ("values",), np.asarray(targets, np.float32), **more)


def test_the_penalty_follows_what_a_fit_has_not_seen() -> None:
    rows, labels = task(2, 60, 30, spread=8)
    targets = np.eye(2, dtype=np.float32)[labels]
    noise = np.random.default_rng(0).permutation(labels)
    weak = solve_head(samples(rows, targets), samples(rows[:4], targets[:4]))
    none = solve_head(samples(rows, np.eye(2)[noise]), samples(rows[:4], np.eye(2)[noise][:4]))
    assert np.linalg.norm(none.head.kernel) < np.linalg.norm(weak.head.kernel)
    assert set(weak.figures) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_likes_in_groups_are_not_told_apart() -> None:
    """Copies in other folds would say that the weakest penalty is best."""
    rows, labels = task(2, 16, 40, spread=6)
    copies, targets = np.repeat(rows, 6, axis=0), np.repeat(np.eye(2, dtype=np.float32)[labels], 6, axis=0)
    val = samples(rows[:1], targets[:1])
    apart = solve_head(samples(copies, targets), val)
    together = solve_head(samples(copies, targets, groups=np.repeat(np.arange(16), 6)), val)
    assert np.linalg.norm(together.head.kernel) < np.linalg.norm(apart.head.kernel)


def test_a_phase_solves_the_head_and_resumes(model, data, tmp_path) -> None:
    history = kt.fit(model, data, phases=[SOLVED], augmentation="light", views=2, checkpoints=tmp_path, seed=3)
    assert [row["epoch"] for row in history.rows] == [1] and history.kept == "frozen"
    before, head = model.get_weights(), model.get_layer("logits")
    head.set_weights([np.zeros_like(weights) for weights in head.get_weights()])
    again = kt.fit(model, data, phases=[SOLVED], augmentation="light", views=2, checkpoints=tmp_path, seed=3)
    assert again.rows == history.rows
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_it_beats_what_steps_reach_in_a_few_epochs(model, data) -> None:
    solved = kt.fit(model, data, phases=[SOLVED], augmentation="none").rows[-1]
    stepped = kt.fit(model, data, strategy="feature-extraction", epochs=3, augmentation="none")
    assert len(stepped.rows) == 3 and solved["val_loss"] <= stepped.rows[-1]["val_loss"] + 0.01


def test_other_heads_are_refused(model, data) -> None:
    hidden = keras.layers.Dense(4, activation="relu")(model.get_layer("logits").input)
    model = keras.Model(model.input, keras.layers.Activation("softmax")(keras.layers.Dense(3)(hidden)))
    assert linear_head(model) is None
    with pytest.raises(InputError, match="solves a head of one Dense layer"):
        kt.fit(model, data, phases=[SOLVED], augmentation="none")


def test_a_refitted_head_learns_from_validation_items_too(model, data, tmp_path) -> None:
    random = model.get_weights()
    before = kt.fit(model, data, phases=[SOLVED], augmentation="none")
    answers, kernel = predict_cached(model, data.val), model.get_layer("logits").get_weights()[0]
    for checkpoints in (None, tmp_path, tmp_path):  # the last one is resumed when all is done
        model.set_weights(random)
        after = kt.fit(model, data, phases=[SOLVED], augmentation="none", refit=True, checkpoints=checkpoints)
        assert np.allclose(after.held_out, answers, atol=1e-3)
        assert [row["val_loss"] for row in after.rows] == [row["val_loss"] for row in before.rows]
        wider = model.get_layer("logits").get_weights()[0]
        assert not np.allclose(wider, kernel, atol=1e-3 * np.abs(kernel).max())
    assert label_losses(data.val.labels, predict_cached(model, data.val)).mean() < before.rows[-1]["val_loss"]


def test_the_head_of_a_phase_that_is_kept_is_solved_in_the_end(model, data) -> None:
    """What fine-tuning trained is not mixed with a head for other features."""
    top = Phase(name="fine-tuning", stages=1, epochs=3, learning_rate=0.003, batch_size=16)
    history = kt.fit(model, data, phases=[SOLVED, top], augmentation="none", refit=True)
    assert (history.held_out is None) == (history.kept == "fine-tuning")
    ruin = Phase(name="fine-tuning", stages=1, epochs=1, learning_rate=1.0, batch_size=16)
    head = Phase(name="frozen", epochs=2, learning_rate=1e-3, batch_size=16)
    rolled = kt.fit(model, data, phases=[head, ruin], augmentation="none", refit=True)
    assert rolled.kept == "frozen" and rolled.held_out is not None
    assert kt.fit(model, data, phases=[SOLVED], augmentation="none").held_out is None  # unless it is asked for


def test_weights_of_validation_items_are_those_of_their_classes() -> None:
    rows, labels = task(2, 60)
    targets, first = np.eye(2, dtype=np.float32)[labels], labels == 0
    weights = np.where(first, 3.0, 0.5).astype(np.float32)
    solved = solve_head(samples(rows, targets, weights=weights), samples(rows, targets))
    doubled = [fit_linear(rows, targets, 2 * weights, strength=each, evened=0.5).kernel for each in STRENGTHS]
    assert any(np.allclose(solved.whole.kernel, kernel, atol=1e-2) for kernel in doubled)
