"""Transfer learning as Keras's guide does it (https://keras.io/guides/transfer_learning), down to an int8 file.

    python benchmarks/keras_guide.py photos/train photos/test --weights backbone.weights.h5

`image_dataset_from_directory`, a frozen backbone with pooling, dropout and a dense layer, `fit`; the top unfrozen and
`fit` at a low rate; TensorFlow's converter. Prints one JSON object: seconds of each part, accuracies on the test folder
and the peak of memory. `benchmarks/speed.py` runs it beside `keras-transfer train`.
"""

import argparse
import json
import os
import resource
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
started = time.perf_counter()

import keras  # noqa: E402  (its import is part of what is timed)
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

# Backbone -> its class in Keras, the module of its preprocessing, the share of its layers that stays frozen.
BACKBONES = {
    "mobilenet_v2": (keras.applications.MobileNetV2, keras.applications.mobilenet_v2, 100 / 154),
    "resnet50": (keras.applications.ResNet50, keras.applications.resnet, 143 / 175),
    "efficientnet_b0": (keras.applications.EfficientNetB0, keras.applications.efficientnet, 162 / 238),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--weights", help="of the backbone without its top; random without")
    parser.add_argument("--backbone", choices=BACKBONES, default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--frozen", type=int, default=10, help="epochs with the backbone frozen")
    parser.add_argument("--tune", type=int, default=10, help="epochs of fine-tuning; 0 for none")
    parser.add_argument("--seed", type=int, default=0)
    print(json.dumps(run(parser.parse_args())))


def run(options: argparse.Namespace) -> dict[str, float]:
    """The whole flow; its figures."""
    keras.utils.set_random_seed(options.seed)
    side = (options.size, options.size)
    told = {"image_size": side, "batch_size": 32, "label_mode": "int"}
    parts = {"validation_split": 0.15, "seed": options.seed + 1}
    train = keras.utils.image_dataset_from_directory(options.train, subset="training", **parts, **told)
    val = keras.utils.image_dataset_from_directory(options.train, subset="validation", **parts, **told)
    test = keras.utils.image_dataset_from_directory(options.test, shuffle=False, **told)
    kind, preprocessing, share = BACKBONES[options.backbone]
    backbone = kind(input_shape=(*side, 3), include_top=False, weights=options.weights)
    backbone.trainable = False
    dense = keras.layers.Dense(len(train.class_names))

    def classifier(inputs: keras.KerasTensor) -> keras.KerasTensor:
        x = backbone(preprocessing.preprocess_input(inputs), training=False)
        return dense(keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x)))

    inputs = keras.Input((*side, 3))
    model = keras.Model(inputs, classifier(inputs))
    ready = [split.prefetch(tf.data.AUTOTUNE) for split in (train, val, test)]
    found: dict[str, float] = {"build_s": time.perf_counter() - started}

    def fit(name: str, rate: float, epochs: int) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
        begun = time.perf_counter()
        model.fit(ready[0], validation_data=ready[1], epochs=epochs, verbose=2)
        found[f"{name}_s"] = time.perf_counter() - begun
        found["accuracy"] = found[f"{name}_accuracy"] = model.evaluate(ready[2], verbose=0)[1]

    fit("frozen", 1e-3, options.frozen)
    if options.tune:
        backbone.trainable = True
        for layer in backbone.layers[: round(share * len(backbone.layers))]:
            layer.trainable = False
        fit("tune", 1e-5, options.tune)
    begun = time.perf_counter()
    one = keras.Input(batch_shape=(1, *side, 3))
    content = to_int8(keras.Model(one, keras.layers.Softmax()(classifier(one))), train)
    found |= {"convert_s": time.perf_counter() - begun, "bytes": len(content)}
    found["int8_accuracy"] = score(content, test)
    found |= {"seconds": time.perf_counter() - started}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 4) for name, value in (found | {"peak_mb": peak}).items()}


def to_int8(model: keras.Model, train: tf.data.Dataset) -> bytes:
    """Post-training quantization with 100 training images, integers in and out."""
    images = np.concatenate([batch.numpy() for batch, _ in train.take(4)])[:100]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[None]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def score(content: bytes, test: tf.data.Dataset) -> float:
    """Accuracy of the file on the test folder."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=2)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = taken["quantization"]
    right = []
    for images, labels in test:
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            pixels = np.clip(np.round(image / scale + zero), 0, 255).astype(np.uint8)
            interpreter.set_tensor(taken["index"], pixels[None])
            interpreter.invoke()
            right.append(interpreter.get_tensor(given["index"])[0].argmax() == label)
    return float(np.mean(right))


if __name__ == "__main__":
    main()
