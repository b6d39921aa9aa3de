"""Makes the files of this folder anew: `python tflite_models/make.py`, some minutes on two cores, no network."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from keras_transfer.jobs.train import train
from keras_transfer.recipe import make_recipe

KEPT = ("model_float16.*", "model_int8.*", "labels.txt")


def main() -> None:
    for recipe in sorted(Path(__file__).parent.glob("*/recipe.yaml")):
        with TemporaryDirectory() as temporary:
            run = Path(temporary) / "run"
            train(make_recipe(recipe), run)
            for file in (file for pattern in KEPT for file in (run / "export").glob(pattern)):
                shutil.copyfile(file, recipe.parent / file.name)


if __name__ == "__main__":
    main()
