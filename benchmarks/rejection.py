"""How well scores tell photographs of unknown classes: one CSV row a score.

    python benchmarks/rejection.py food10/ --unrelated photos1000/ --weights NOTOP.weights.h5 --size 224 --csv out.csv

Two classes are left out in turn (five pairs a seed): a linear probe on frozen features learns the others from the
training photographs. `near` is the area under the ROC curve between test photographs of known classes and of the two,
`far` between those and unrelated photographs. `accepted` is how many of the known test photographs pass the threshold
for 95% that the validation photographs gave, `within` how often 95% lies in the interval promised.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from table import backbone_options, show_rows

from keras_transfer.decisions import RejectionLimit, auroc
from keras_transfer.evaluation.rejection import SCORES, promised
from keras_transfer.jobs.parts import frozen_features
from keras_transfer.jobs.shift import open_new_items
from keras_transfer.modalities.image import load_images
from keras_transfer.recipe import make_recipe

Array = np.ndarray[Any, Any]


def probe(features: Array, labels: Array) -> Any:
    """Returns a function from features to the logits of logistic regression."""
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=1e-2, max_iter=200, tol=1e-3).fit(scaler.transform(features), labels)
    return lambda rows: model.decision_function(scaler.transform(rows))


def main() -> None:
    parser = backbone_options(__doc__)
    parser.add_argument("--unrelated", required=True)
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
        for pair in np.random.default_rng(seed).permutation(len(data.class_names)).reshape(-1, 2):
            out, val_out, test_out = (np.isin(split.labels, pair) for split in splits[:3])
            logits = probe(train[~out], data.train.labels[~out])
            for name, score in SCORES.items():
                scorer = score.fit(train[~out], data.train.labels[~out], logits(train[~out]))
                known_val, known, near, far = (
                    scorer(rows, logits(rows)) for rows in (val[~val_out], test[~test_out], test[test_out], unrelated)
                )
                limit, promise = RejectionLimit.of(known_val, 0.95), promised(len(known_val), 0.95)
                accepted = float((known <= limit.threshold).mean())
                within = promise["low"] <= accepted <= promise["high"]
                found[name].append((auroc(known, near), auroc(known, far), accepted, within))
            print(f"seed {seed}, {pair}: {found['fitted'][-1]}", flush=True)
    rows = []
    for name, figures in found.items():
        means = [round(float(mean), 4) for mean in np.mean(figures, axis=0)]
        rows.append({"score": name, **dict(zip(("near", "far", "accepted", "within"), means, strict=True))})
        rows[-1] |= {"near_sd": round(float(np.std([row[0] for row in figures])), 4), "rounds": len(figures)}
    show_rows(rows, options.csv)


if __name__ == "__main__":
    main()
