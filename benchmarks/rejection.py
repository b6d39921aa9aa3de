"""How well scores tell photographs of unknown classes: one CSV row a score.

    python benchmarks/rejection.py food10/ --unrelated photos1000/ --weights NOTOP.weights.h5 --size 224 --csv out.csv

Two classes are left out in turn (five pairs a seed): a linear probe on frozen features learns the others from the
training photographs. `near` is the area under the ROC curve between test photographs of known classes and of the two,
`far` between those and unrelated photographs. `accepted` is how many of the known test photographs pass the threshold
for 95% that the validation photographs gave, `within` how often 95% lies in the interval promised.

With `--int8` the fitted score is also computed by an int8 file, for one pair a seed: its row, and that of the same
pairs in float, say `int8` and `float32` behind the name.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from table import backbone_options, show_rows

from keras_transfer.data import Dataset, Split
from keras_transfer.decisions import RejectionLimit, auroc
from keras_transfer.evaluation.rejection import SCORES, fit_rejection, promised
from keras_transfer.jobs.parts import build_classifier_of, frozen_features
from keras_transfer.jobs.shift import open_new_items
from keras_transfer.litert import convert, open_litert
from keras_transfer.litert.convert import CALIBRATION_ITEMS
from keras_transfer.modalities.image import load_images
from keras_transfer.models import model_inputs
from keras_transfer.models.rejection import Rejection, with_rejection
from keras_transfer.recipe import Recipe, make_recipe

Array = np.ndarray[Any, Any]


def probe(features: Array, labels: Array) -> Any:
    """Returns a function from features to the logits of logistic regression."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=1e-2, max_iter=200, tol=1e-3).fit(scaler.transform(features), labels)
    return lambda rows: model.decision_function(scaler.transform(rows))


def in_file(recipe: Recipe, data: Dataset, rejection: Rejection, splits: list[Split]) -> list[Array]:
    """The score of each split's items, as an int8 file says it."""
    model = with_rejection(build_classifier_of(recipe, data), rejection)
    inputs = data.train.spec(model_inputs(model))
    calibration = data.train.stratified(CALIBRATION_ITEMS, 0).arrays(inputs)
    opened = open_litert(convert(model, ["int8"], calibration=calibration, item=inputs.tensors)["int8"])
    return [
        np.concatenate([opened.predict_with_scores(arrays)[1] for arrays, _ in split.batches(inputs.tensors, 64)])
        for split in splits
    ]


def figures(scores: list[Array], n_val: int) -> tuple[float, ...]:
    """What a row says, of the scores of validation, known, near and far photographs."""
    known_val, known, near, far = scores
    limit, promise = RejectionLimit.of(known_val, 0.95), promised(n_val, 0.95)
    accepted = float((known <= limit.threshold).mean())
    return auroc(known, near), auroc(known, far), accepted, promise["low"] <= accepted <= promise["high"]


def main() -> None:
    parser = backbone_options(__doc__)
    parser.add_argument("--unrelated", required=True)
    parser.add_argument("--int8", action="store_true", help="measure an int8 file, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in SCORES}
    for seed in options.seeds:
        recipe = make_recipe(
            data=str(options.data), backbone=options.backbone, weights=options.weights, image_size=options.size
        )
        data = load_images(options.data, seed=seed)
        splits = [data.train, data.val, data.test, open_new_items(options.unrelated, data).split]
        train, val, test, unrelated = frozen_features(recipe, data, splits)
        pairs = np.random.default_rng(seed).permutation(len(data.class_names)).reshape(-1, 2)
        for pair in pairs:
            out, val_out, test_out = (np.isin(split.labels, pair) for split in splits[:3])
            logits = probe(train[~out], data.train.labels[~out])
            for name, score in SCORES.items():
                scorer = score.fit(train[~out], data.train.labels[~out], logits(train[~out]))
                parts = (val[~val_out], test[~test_out], test[test_out], unrelated)
                found[name].append(figures([scorer(rows, logits(rows)) for rows in parts], len(parts[0])))
            if options.int8 and pair[0] == pairs[0][0]:
                rejection, _ = fit_rejection(train[~out], data.train.labels[~out], val[~val_out])
                quantized = in_file(recipe, data, rejection, splits[1:])
                chosen = (quantized[0][~val_out], quantized[1][~test_out], quantized[1][test_out], quantized[2])
                found.setdefault("fitted, float32", []).append(found["fitted"][-1])
                found.setdefault("fitted, int8", []).append(figures(list(chosen), len(chosen[0])))
            print(f"seed {seed}, {pair}: {found['fitted'][-1]}", flush=True)
    rows = []
    for name, rounds in found.items():
        means = [round(float(mean), 4) for mean in np.mean(rounds, axis=0)]
        rows.append({"score": name, **dict(zip(("near", "far", "accepted", "within"), means, strict=True))})
        rows[-1] |= {"near_sd": round(float(np.std([row[0] for row in rounds])), 4), "rounds": len(rounds)}
    show_rows(rows, options.csv)


if __name__ == "__main__":
    main()
