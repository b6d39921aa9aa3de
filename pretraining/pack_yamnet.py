"""Puts YAMNet's weights into the package as its authors' LiteRT file holds them: `pack_yamnet.py yamnet.tflite`.

Beside them it puts the largest outputs of every channel on made clips, by which `yamnet.evened` makes channels alike.
Kernels keep their int8 numbers and scales; the layer of the 521 classes is left out.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_transfer.files import replacing
from keras_transfer.litert import read_flatbuffer
from keras_transfer.modalities.audio.backbones import AUDIO_BACKBONES
from keras_transfer.modalities.audio.front_end import log_mel
from keras_transfer.modalities.audio.golden import as_waveform, made_clips
from keras_transfer.modalities.audio.yamnet import FILE, RANGES, yamnet_layers


def main() -> None:
    info = read_flatbuffer(Path(sys.argv[1]).read_bytes())
    interpreter = Interpreter(sys.argv[1])
    source = {o.outputs[0]: o.inputs[0] for o in info.operators if o.name == "DEQUANTIZE"}
    arrays: dict[str, np.ndarray] = {}
    convolutions = [o for o in info.operators if o.name in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    for number, operator in enumerate(convolutions):
        kernel, bias = source.get(operator.inputs[1], operator.inputs[1]), operator.inputs[2]
        name = f"{number:02d}_0_kernel"
        # [out, height, width, in], or [1, height, width, channels] of a depthwise one; Keras has the first axis last.
        arrays[name] = interpreter.get_tensor(kernel).transpose(1, 2, 3, 0)
        if info.tensors[kernel].scale:
            arrays[f"{name}_scale"] = np.float32(info.tensors[kernel].scale[0])
        arrays[f"{number:02d}_1_bias"] = interpreter.get_tensor(bias)
    with replacing(FILE) as temporary:
        np.savez_compressed(temporary, **arrays)
    print(f"{FILE}: {FILE.stat().st_size} bytes")
    weights = [arrays[name] * arrays.get(f"{name}_scale", 1.0) for name in sorted(arrays) if "scale" not in name]
    np.save(RANGES, largest_outputs(weights))


def largest_outputs(weights: list[np.ndarray]) -> np.ndarray:
    """The largest output of each channel of each convolution but the last, float16, one behind the other."""
    front_end = AUDIO_BACKBONES["yamnet"].front_end
    clips = [clip for seed in range(8) for clip in made_clips(front_end, seed)]
    spectrograms = np.stack([np.resize(log_mel(as_waveform(clip), front_end), (96, 64)) for clip in clips])
    inputs = keras.Input((96, 64))
    network = keras.Model(inputs, yamnet_layers(inputs))
    network.set_weights(weights)
    outputs = [layer.output for layer in network.layers if isinstance(layer, keras.layers.ReLU)][:-1]
    found = keras.Model(inputs, outputs).predict(spectrograms, verbose=0)
    return np.concatenate([output.max((0, 1, 2)) for output in found]).astype(np.float16)


if __name__ == "__main__":
    main()
