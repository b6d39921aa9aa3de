"""Puts trained weights into the package: `python pretraining/pack.py STUDENT.weights.h5`."""

import sys

import keras

from keras_transfer.modalities.image import bundled


def main() -> None:
    model = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=bundled.ALPHA, include_top=False, weights=None, pooling="avg"
    )
    model.load_weights(sys.argv[1])
    bundled.pack(model.get_weights(), bundled.FILE)
    print(f"{bundled.FILE}: {bundled.FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
