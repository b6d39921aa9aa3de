"""Full fine-tuning of a text classifier as the guides do it with KerasHub: `BertTextClassifier.fit` on all weights.

    python benchmarks/text_guide.py texts.csv minilm_l6_h384

The table has the columns `text`, `label` and `split`. Three epochs in batches of 32, Adam at 1e-4, texts of 128 tokens;
the accuracy on the test split is printed as JSON.
"""

import argparse
import csv
import json
from pathlib import Path

EPOCHS, BATCH, LENGTH, RATE = 3, 32, 128, 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("encoder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import keras
    import keras_hub
    import numpy as np

    keras.utils.set_random_seed(options.seed)
    with options.table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    sides = {}
    for side in ("train", "val", "test"):
        own = [row for row in rows if row["split"] == side]
        sides[side] = [row["text"] for row in own], np.array([classes.index(row["label"]) for row in own])
    backbone = keras_hub.models.BertBackbone.from_preset(options.encoder)
    tokenizer = keras_hub.models.BertTokenizer.from_preset(options.encoder)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=LENGTH)
    classifier = keras_hub.models.BertTextClassifier(
        backbone=backbone, num_classes=len(classes), preprocessor=preprocessor
    )
    classifier.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(RATE),
        metrics=["accuracy"],
        jit_compile=False,
    )
    classifier.fit(*sides["train"], validation_data=sides["val"], epochs=EPOCHS, batch_size=BATCH, verbose=2)
    answers = classifier.predict(sides["test"][0], batch_size=BATCH, verbose=0).argmax(axis=1)
    print(json.dumps({"accuracy": round(float((answers == sides["test"][1]).mean()), 4)}))


if __name__ == "__main__":
    main()
