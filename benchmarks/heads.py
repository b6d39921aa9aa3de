"""A head that is solved against one trained by steps: accuracy on items of the training folds that neither has seen.

    python benchmarks/heads.py SHARED --augmentation auto none --csv docs/results/heads.csv

The table of the documentation has `none` for ESC-10 alone: of the others, no views are computed anyway.

`esc10` judges each of folds 2 to 4 by the other two, `spoken_digits` one pair of speakers by another,
`food10` and `flowers5` a quarter of their photographs (of food10's training ones) by the rest, one quarter a seed. No
item of a test split is touched. The means over parts and seeds are written beside the table.
"""

import argparse
import csv
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from audio_jobs import SETS, Clip
from table import write_rows

from keras_transfer.data.labels import log_loss
from keras_transfer.jobs.parts import build_classifier_of, load_data, plan_of, prepared_for
from keras_transfer.modalities import settled
from keras_transfer.recipe import Recipe, make_recipe
from keras_transfer.training.features import predict_cached
from keras_transfer.training.fit import fit_plan

Row = Mapping[str, object]
MOBILENET = "mobilenet_v2_1.0_224_imagenet_notop.weights.h5"
FIELDS = {
    "esc10": {"backbone": "yamnet"},
    "spoken_digits": {"backbone": "speech_embedding", "weights": "speech_embedding"},
    "food10": {"backbone": "mobilenet_v2", "weights": MOBILENET},
    "flowers5": {"backbone": "mobilenet_v2", "weights": MOBILENET},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sets", nargs="+", choices=FIELDS, default=[*FIELDS])
    parser.add_argument("--strategies", nargs="+", default=["feature-extraction"])
    parser.add_argument("--augmentation", nargs="+", default=["auto"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--few", type=int, nargs="+", default=[None], help="train on so many items of each class")
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    rows: list[Row] = []
    for name in options.sets:
        fields = dict(FIELDS[name])
        if "weights" in fields:
            fields["weights"] = str(options.shared / "weights" / fields["weights"])
        for seed in options.seeds:
            for part, clips in parts(name, options.shared / "data", seed):
                for strategy, augmentation, few in product(options.strategies, options.augmentation, options.few):
                    with tempfile.TemporaryDirectory() as folder:
                        table = _table(clips, part, few, Path(folder, "items.csv"))
                        asked = {"seed": seed, "strategy": strategy, "augmentation": augmentation, **fields}
                        recipe = make_recipe(data=table, group_by="group", **asked)
                        rows += [{"set": name, "part": part, **row} for row in judged(settled(recipe))]
                    print(*rows[-2:], sep="\n", flush=True)
                    write_rows(options.csv, rows)
                    write_rows(options.csv.with_stem(options.csv.stem + "_means"), means(rows))


def parts(name: str, data: Path, seed: int) -> Iterator[tuple[str, list[Clip]]]:
    """What is judged, and all items; what is held out together is the last field of each."""
    if name in SETS:
        clips = SETS[name](data)
        first, *others = sorted({held for *_, held in clips})
        yield from ((part, [clip for clip in clips if clip[3] != first]) for part in others)
        return
    folder = data / name / "train" if name == "food10" else data / name
    paths = sorted(path for path in folder.glob("*/*") if path.is_file())
    order = np.random.default_rng(seed).permutation(len(paths))
    yield "0", [(path, path.parent.name, path.name, str(n % 4)) for n, path in zip(order, paths, strict=True)]


def _table(clips: list[Clip], part: str, few: int | None, table: Path) -> str:
    seen: Counter[str] = Counter()
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "split"])
        for path, label, group, held in clips:
            seen[label] += held != part
            if few is not None and held != part and seen[label] > few:
                continue
            writer.writerow([path.resolve(), label, group, "test" if held == part else "train"])
    return str(table)


def judged(recipe: Recipe) -> Iterator[Row]:
    """Both heads of one split, and what is trained after them."""
    data = prepared_for(recipe, load_data(recipe))
    for optimizer in ("adamw", "lbfgs"):
        model = build_classifier_of(recipe, data)
        plan = plan_of(recipe, model, data)
        phases = tuple(p.model_copy(update={"optimizer": optimizer}) if p.frozen else p for p in plan.phases)
        fit_plan(model, data, replace(plan, phases=phases), seed=recipe.seed)
        answers = predict_cached(model, data.test)
        yield {
            "strategy": recipe.training.strategy,
            "optimizer": optimizer,
            "augmentation": recipe.training.augmentation,
            "seed": recipe.seed,
            "train": len(data.train),
            "views": plan.views,
            "accuracy": round(float((answers.argmax(axis=1) == data.test.labels).mean()), 4),
            "log_loss": round(log_loss(data.test.labels, answers), 4),
        }


def means(rows: list[Row]) -> list[Row]:
    """One row for each set, strategy and head."""
    names = ("set", "strategy", "optimizer", "augmentation")
    found: list[Row] = []
    for key in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in names) == key]
        figures = {
            name: round(statistics.fmean(float(str(row[name])) for row in own), 4)
            for name in ("train", "views", "accuracy", "log_loss")
        }
        found.append({**dict(zip(names, key, strict=True)), "fits": len(own), **figures})
    return found


if __name__ == "__main__":
    main()
