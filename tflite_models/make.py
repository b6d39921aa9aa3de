"""Makes the files of this folder anew: `python tflite_models/make.py`, about three minutes on two cores, no network."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from keras_transfer.jobs.train import train
from keras_transfer.recipe import make_recipe

HERE = Path(__file__).parent


def main() -> None:
    folder = HERE / "pizza"
    with TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        train(make_recipe(folder / "recipe.yaml"), run)
        for name in (
            "model_float16.tflite",
            "model_float16.json",
            "model_int8.tflite",
            "model_int8.json",
            "labels.txt",
        ):
            shutil.copyfile(run / "export" / name, folder / name)


if __name__ == "__main__":
    main()
