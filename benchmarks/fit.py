"""What a budget is worth: predictions from untrained networks against files, and --fit against choices made by hand.

    python benchmarks/fit.py predicted --photos SHARED/data/flowers5 --csv docs/results/fit_predicted.csv
    python benchmarks/fit.py grid SHARED --csv docs/results/fit.csv        # some minutes for each of eleven runs

`predicted`: arena and bytes that `footprint` says of a network with random weights, against those of the file of a
network with other weights, its BatchNorm by real photographs, calibrated on them. Without `--photos` on noise.

`grid`: flowers5 under flash=512KB,ram=256KB: ten choices that a practitioner would try with the two weight files that
are given and the bundled one, against `--fit`. Each run reads the test split once; `fits` is by the exported file.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from table import read_rows, write_rows

import keras_transfer as kt
from keras_transfer.budget import parse_budget
from keras_transfer.data.split import Split
from keras_transfer.errors import GateError
from keras_transfer.exporters.footprint import footprint
from keras_transfer.exporters.preview import preview
from keras_transfer.exporters.targets.fit import CODE_BYTES, MARGIN_BYTES, judge_fit, needs_of
from keras_transfer.jobs.train import train
from keras_transfer.litert import read_flatbuffer
from keras_transfer.litert.tflm import least_arena
from keras_transfer.models.depth import at_depth
from keras_transfer.recipe import make_recipe
from keras_transfer.run import read_result
from keras_transfer.training.probe import settle_batchnorm

BUDGET = "flash=512KB,ram=256KB"
TARGET = "microcontroller"
NETWORKS: list[tuple[str, float | None, int, int | None]] = [
    ("mobilenet", 0.25, 96, None),
    ("mobilenet", 0.25, 144, None),
    ("mobilenet", 0.25, 144, 10),
    ("mobilenet", 0.5, 96, None),
    ("mobilenet", 1.0, 128, None),
    ("mobilenet", 1.0, 64, 8),
    ("mobilenet_v2", 0.35, 96, None),
    ("mobilenet_v2", 0.35, 96, 17),
    ("mobilenet_v2", 0.35, 112, 13),
    ("mobilenet_v2", 0.5, 128, None),
    ("mobilenet_v2", 0.75, 160, None),
    ("mobilenet_v2", 1.0, 224, None),
    ("mobilenet_v2", 1.0, 64, 10),
    ("mobilenet_v2", 1.4, 96, 14),
    ("mobilenet_v3_small", 1.0, 96, None),
    ("mobilenet_v3_small_minimalistic", None, 96, None),
    ("mobilenet_v3_small_minimalistic", None, 128, 9),
    ("efficientnet_b0", None, 96, None),
    ("efficientnet_b0", None, 64, 8),
    ("resnet50", None, 64, 6),
]
SMALL, LARGE = "mobilenet_0.25_128_imagenet_notop.weights.h5", "mobilenet_v2_1.0_224_imagenet_notop.weights.h5"
CHOICES: list[dict[str, Any]] = [
    *({"backbone": "mobilenet", "alpha": 0.25, "weights": SMALL, "image_size": side} for side in (96, 128, 144)),
    *(
        {"backbone": "mobilenet", "alpha": 0.25, "weights": SMALL, "image_size": side, "strategy": "full"}
        for side in (96, 128, 144)
    ),
    *(
        {"backbone": "mobilenet", "alpha": 0.25, "weights": SMALL, "image_size": side, "strategy": "feature-extraction"}
        for side in (128, 144)
    ),
    {"backbone": "mobilenet_v2", "weights": "bundled", "image_size": 96},
    {"backbone": "mobilenet_v2", "alpha": 1.0, "weights": LARGE, "image_size": 64},
]


def predicted(photos: Path | None) -> list[dict[str, Any]]:
    """A row for each network: what was predicted, what was measured, and the difference."""
    data = kt.load_images(photos).train if photos is not None else None
    rows = []
    for backbone, alpha, side, depth in NETWORKS:
        keras.backend.clear_session()
        needs, why = footprint(_network(backbone, alpha, side, depth, 0), TARGET)
        content = preview(_other(_network(backbone, alpha, side, depth, 1), data), [TARGET], data).contents[TARGET]
        assert not why and needs.flash is not None and needs.ram is not None
        said, bytes_said = needs.ram - MARGIN_BYTES, needs.flash - CODE_BYTES
        rows.append({
            "network": f"{backbone}{f' {alpha}' if alpha else ''}", "image_size": side, "blocks": depth or "all",
            "arena_predicted": said, "arena_measured": least_arena(content), "bytes_predicted": bytes_said,
            "bytes_measured": len(content), "bytes_off": f"{bytes_said / len(content) - 1:+.2%}",
        })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _network(backbone: str, alpha: float | None, side: int, depth: int | None, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = kt.build_classifier(backbone, 5, image_size=side, alpha=alpha, weights=None)
    return model if depth is None else at_depth(model, depth)


def _other(model: keras.Model, data: "Split | None") -> keras.Model:
    """The network with biases and BatchNorm that are no longer those of a new one."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(weight + np.abs(random.normal(0, 0.05, weight.shape)))
    if data is not None:
        settle_batchnorm(model, data)
    return model


def compared(shared: Path, seeds: Sequence[int], known: list[dict[str, Any]], csv: Path) -> None:
    """Runs what is not among the rows yet, and writes each row as it comes."""
    rows = list(known)
    done = {(row["choice"], str(row["seed"])) for row in rows}
    for seed in seeds:
        for values in [{"fit": BUDGET, "weights": ""}, *CHOICES]:
            choice = "--fit" if "fit" in values else _words(values)
            if (choice, str(seed)) not in done:
                rows.append({"choice": choice, "seed": seed, **_run(shared, values, seed)})
                print(rows[-1], flush=True)
                write_rows(csv, rows)


def _words(values: dict[str, Any]) -> str:
    alpha = values.get("alpha", 0.35)
    return f"{values['backbone']} {alpha} at {values['image_size']}, {values.get('strategy', 'auto')}"


def _run(shared: Path, values: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trains one choice, and holds its file against the budget."""
    weights = values["weights"]
    if weights != "bundled":
        values = {**values, "weights": str(shared / "weights" / weights)}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        recipe = make_recipe(
            data=str(shared / "data" / "flowers5"), seed=seed, targets=[TARGET], baselines="none",
            formats=["float32", "int8"], **values,
        )  # fmt: skip
        try:
            train(recipe, run)
        except GateError as error:
            print(error)
        result = read_result(run)
        assert result is not None
        [file] = [each for each in result["artifacts"] if each["path"].startswith(f"export/{TARGET}/")]
        content = (run / file["path"]).read_bytes()
        verdict = {"target": TARGET, "arena_bytes": least_arena(content)}
        needs = needs_of(content, read_flatbuffer(content), verdict)
        audition = result.get("audition")
        return {
            "fits": "no" if judge_fit(parse_budget(BUDGET), needs)[1] else "yes",
            "test": round(100 * file["test_accuracy"], 1), "keras": round(100 * result["test"]["accuracy"], 1),
            "flash_kib": -(-(needs.flash or 0) // 1024), "ram_kib": -(-(needs.ram or 0) // 1024),
            "network": audition["chosen"] if audition is not None else "", "seconds": round(result["seconds"]),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    one = commands.add_parser("predicted")
    one.add_argument("--photos", type=Path)
    two = commands.add_parser("grid")
    two.add_argument("shared", type=Path)
    two.add_argument("--seeds", type=int, nargs="+", default=[0])
    for command in (one, two):
        command.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    if options.what == "predicted":
        write_rows(options.csv, predicted(options.photos))
    else:
        compared(options.shared, options.seeds, read_rows(options.csv), options.csv)


if __name__ == "__main__":
    main()
