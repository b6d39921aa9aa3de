"""Puts YAMNet's weights into the package as its authors' LiteRT file holds them: `pack_yamnet.py yamnet.tflite`.

Kernels keep their int8 numbers and scales; the layer of the 521 classes is left out.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_transfer.files import replacing
from keras_transfer.litert import read_flatbuffer
from keras_transfer.modalities.audio.yamnet import FILE


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


if __name__ == "__main__":
    main()
