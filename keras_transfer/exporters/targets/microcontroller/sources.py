"""What a microcontroller's owner gets: C++ sources around the file, and vectors to test them with."""

import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from keras_transfer import __version__
from keras_transfer.budget import KIB
from keras_transfer.errors import GateError
from keras_transfer.exporters.targets.base import Kit
from keras_transfer.exporters.targets.fit import CODE_BYTES, MARGIN_BYTES
from keras_transfer.exporters.targets.microcontroller import MicrocontrollerVerdict
from keras_transfer.exporters.targets.microcontroller.operators import methods
from keras_transfer.files import write_bytes, write_json, write_text
from keras_transfer.inputs import Array, Inputs, only
from keras_transfer.litert import FileInfo, read_flatbuffer
from keras_transfer.litert.labels import LABELS_FILE, labels_text
from keras_transfer.litert.runtime import input_values
from keras_transfer.litert.tflm import ALIGNMENT, run_tflm
from keras_transfer.schemas import N_ITEMS, TflmComparison

if TYPE_CHECKING:
    from keras_transfer.data.split import Split

_TEMPLATES = Path(__file__).with_name("templates")
_VECTORS = 50  # test items that TFLM and the reference kernels answer
_BATCH = 64
IN_FLASH = 4  # of them, those that stand in golden.cc
_SOURCES = ("model.h", "model.cc", "classifier.h", "classifier.cc", "log.h", "golden.h", "golden.cc")
_SKETCH = "classifier.ino"
_PROGRAMS = ("main.cc", "golden_test.cc", "README.txt")  # what is not in the sketch
# What the sources of several modalities have in common, of those that run the model over and over.
_PARTS = {
    "smoothed": """\
// Probabilities, with kMemory of those before.
const float* Smoothed(const int8_t* scores) {
  static float probabilities[kClassCount];
  static float memory = 0;  // there is nothing before the first run
  for (int i = 0; i < kClassCount; ++i) {
    probabilities[i] = memory * probabilities[i] + (1 - memory) * Probability(scores[i]);
  }
  memory = kMemory;
  return probabilities;
}""",
    "report": """\
constexpr float kSure = 0.7f;  // a class is named from this probability on

// Prints the likeliest class where it is sure, and another than the one named before; and what is none of them.
static void Report(const float* scores) {
  static int named = -1;
  const int best = BestClass(scores);
  if (ClassifierRejects()) {
    if (named >= 0) Serial.println("none of these");
    named = -1;
    return;
  }
  if (best == named || scores[best] < kSure) return;
  named = best;
  Serial.print(g_labels[best]);
  Serial.print(" ");
  Serial.print(100 * scores[best]);
  Serial.println("%");
}""",
}

_NO_UNLIKENESS = """
// This model takes everything for one of its classes.
inline bool ClassifierRejects() { return false; }
"""
# Where the file says how unlike all classes an item is.
_UNLIKENESS = {
    "unlikeness_header": """
// How unlike all classes the item of the last run is; above kRejectAbove it is none of them. $percent% of the items
// like those that the model was tried on stay below.
constexpr float kRejectAbove = $threshold;
float ClassifierUnlikeness();
inline bool ClassifierRejects() { return ClassifierUnlikeness() > kRejectAbove; }
""",
    "unlikeness_source": """
float ClassifierUnlikeness() { return (g_interpreter->output(1)->data.int8[0] - ($zero_point)) * $scale; }
""",
}


@dataclass(frozen=True)
class InputWords:
    """How the sources speak of the model's input: a modality's part of them.

    Attributes:
        declaration: C++ for `model.h`: a comment on the input, constants of its shape, and `kInputBytes`.
        quantize: C++ for `classifier.h`: an inline function from a raw value to the byte that the model takes.
        sensor: a comment for `main.cc`: what has to be put in place of the test item.
        preparation: for the README: a heading, and how an item becomes the input.
    """

    declaration: str
    quantize: str
    sensor: str
    preparation: str


def write(
    kit: Kit,
    folder: Path,
    words: InputWords,
    own: Mapping[str, str] | None = None,
    inputs: NDArray[np.int8] | None = None,
) -> list[Path]:
    """Writes the sources, the vectors, the examples and `tflm.json`.

    Args:
        kit: of an int8 file that the target takes; its proof holds the arena.
        folder: the place.
        words: how the sources speak of the input.
        own: further sources of the modality by name, or others in place of those here; templates, too, which may ask
            for `$smoothed` and `$report`.
        inputs: test items as the model takes them; by default `test_items`.

    Returns:
        The files.

    Raises:
        GateError: all is written, but TFLM answers some test item otherwise than LiteRT's reference kernels, by more
            than `rounding_steps`.
    """
    info = read_flatbuffer(kit.content)
    if inputs is None:
        inputs = input_values(test_items(kit.split, kit.inputs.tensors), info.tensors[info.inputs[0]])
    expected = _reference(kit.content, inputs)
    judged = cast(MicrocontrollerVerdict, kit.proof["targets"]["microcontroller"])
    arena = judged["arena_bytes"]
    answers = run_tflm(kit.content, inputs, arena) if arena is not None else None
    outputs = expected if answers is None else answers
    measured = _comparison(expected, answers, arena, rounding_steps(info))
    values = _values(kit, info, inputs[:IN_FLASH], outputs[:IN_FLASH], measured) | asdict(words) | _PARTS

    names = (*_SOURCES, *_PROGRAMS, _SKETCH)
    templates = {name: (_TEMPLATES / name).read_text("utf-8") for name in names} | dict(own or {})
    texts = {name: Template(template).substitute(values) for name, template in templates.items()}
    files = [write_text(folder / name, text) for name, text in texts.items() if name != _SKETCH]
    sketch = folder / "arduino" / "classifier"  # Arduino wants all in one folder, .cpp, and the folder's name
    files += [
        write_text(sketch / name.replace(".cc", ".cpp"), text)
        for name, text in texts.items()
        if name not in _PROGRAMS and not name.endswith("_test.cc")
    ]
    files.append(write_text(folder / LABELS_FILE, labels_text(kit.class_names)))
    for name, array in (("golden_inputs.npy", inputs), ("golden_outputs.npy", outputs)):
        content = io.BytesIO()
        np.save(content, array)
        files.append(write_bytes(folder / name, content.getvalue()))
    files.append(write_json(folder / "tflm.json", measured))
    if measured["largest_difference"] > measured["rounding_steps"]:
        raise GateError(
            f"microcontroller: TFLM answers {measured['different']} of {len(inputs)} test items otherwise than "
            f"LiteRT's reference kernels, by up to {measured['largest_difference']} of 255 steps where rounding "
            f"explains {measured['rounding_steps']}: see tflm.json."
        )
    return files


def rounding_steps(info: FileInfo) -> int:
    """By how many of 255 steps a score may differ between TFLM and LiteRT's reference kernels, both being right.

    TFLM rounds a dense layer's sums twice (to 31 bits, then to 8), LiteRT once: a sum just below a half becomes
    another integer, seldom. One unit more of an output before the activation, of size `scale`, moves a softmax or
    sigmoid by at most `scale / 4`.
    """
    last = next(operator for operator in info.operators if info.outputs[0] in operator.outputs)
    if last.name not in ("SOFTMAX", "LOGISTIC"):
        return 1
    return math.ceil(info.tensors[last.inputs[0]].scale[0] / 4 / info.tensors[last.outputs[0]].scale[0]) + 1


def test_items(split: "Split", inputs: Inputs, most: int | None = None) -> Array:
    """Some items from all over the split, `[n, ...]`, as a model of one input takes them.

    Args:
        split: of any length.
        inputs: see `Split.batches`.
        most: how many; 50 unless given.
    """
    chosen = np.linspace(0, len(split) - 1, min(most or _VECTORS, len(split))).round().astype(int)
    parts, start = [], 0
    for arrays, _ in split.batches(inputs, _BATCH):  # a split in memory has no `take`
        values = only(arrays)
        inside = chosen[(chosen >= start) & (chosen < start + len(values))]
        parts.append(values[inside - start])
        start += len(values)
    return np.concatenate(parts)


def _reference(content: bytes, inputs: NDArray[np.int8]) -> NDArray[np.int8]:
    """The answers of LiteRT's reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    interpreter.allocate_tensors()
    [input_], output = interpreter.get_input_details(), interpreter.get_output_details()[0]
    outputs = []
    for item in inputs:
        interpreter.set_tensor(input_["index"], item[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output["index"])[0])
    return np.stack(outputs)


def _comparison(
    expected: NDArray[np.int8], answers: NDArray[np.int8] | None, arena: int | None, rounding: int
) -> TflmComparison:
    from importlib.metadata import PackageNotFoundError, version

    try:
        runtime = version("tflite-micro") if answers is not None else None
    except PackageNotFoundError:
        runtime = None
    off = np.abs(expected.astype(int) - (expected if answers is None else answers).astype(int))
    return {
        "tflite_micro": runtime,
        "arena_bytes": arena,
        N_ITEMS: len(expected) if answers is not None else 0,
        "different": int((off.max(axis=1) > 0).sum()),
        "largest_difference": int(off.max()),
        "compared_with": "LiteRT's reference kernels (OpResolverType.BUILTIN_REF)",
        "rounding_steps": rounding,
    }


def _unlikeness(kit: Kit, info: FileInfo) -> dict[str, str]:
    """What the sources say of the score of unknown items; little where the file has none."""
    if kit.limit is None:
        return {**dict.fromkeys(_UNLIKENESS, ""), "unlikeness_header": _NO_UNLIKENESS}
    score = info.tensors[info.outputs[1]]
    values = {
        "threshold": _float(kit.limit.threshold),
        "percent": f"{100 * kit.limit.acceptance:g}",
        "scale": _float(score.scale[0]),
        "zero_point": score.zero_point[0],
    }
    return {name: Template(text).substitute(values) for name, text in _UNLIKENESS.items()}


def _values(
    kit: Kit, info: FileInfo, inputs: NDArray[np.int8], outputs: NDArray[np.int8], measured: TflmComparison
) -> dict[str, object]:
    """What the templates ask for, but for `InputWords`."""
    entry, scores = info.tensors[info.inputs[0]], info.tensors[info.outputs[0]]
    calls = [f"resolver.{method}() == kTfLiteOk" for method in methods(o.name for o in info.operators)]
    arena = measured["arena_bytes"]
    if arena is not None:
        why = f"the least with which TFLM (tflite-micro {measured['tflite_micro']}) runs the model, measured."
        tried = (
            f"{measured[N_ITEMS]} test items went through the model in TFLM itself (the same tflite-micro, on this "
            f"PC)\n  and through LiteRT's reference kernels: {measured['different']} answers differed, by up to\n"
            f"  {measured['largest_difference']} of 255 steps (rounding explains {measured['rounding_steps']})."
        )
    else:
        arena = guess(info)
        why = "NOT MEASURED, a guess: tflite-micro, which measures it, is not installed where this was exported."
        tried = "The model was not run in TFLM."
    return {
        "name": kit.name,
        "version": __version__,
        "sha256": hashlib.sha256(kit.content).hexdigest(),
        "hash": hashlib.sha256(kit.content).hexdigest()[:16],
        "length": len(kit.content),
        "flash": len(kit.content),
        "bytes": c_numbers(kit.content, "0x%02x"),
        "input_shape": ", ".join(map(str, entry.shape[1:])),
        "input_scale": _float(entry.scale[0]),
        "input_zero_point": entry.zero_point[0],
        "output_scale": _float(scores.scale[0]),
        "output_zero_point": scores.zero_point[0],
        **_unlikeness(kit, info),
        "classes": len(kit.class_names),
        "labels": ",\n".join(f"    {c_string(name)}" for name in kit.class_names) + ",",
        "arena": arena,
        "arena_why": why,
        "operator_count": len(calls),
        "operators": " &&\n         ".join(calls),
        "golden_count": len(inputs),
        "golden_bytes": inputs.size + outputs.size,
        "golden_inputs": _rows(inputs),
        "golden_outputs": _rows(outputs),
        "vectors": min(_VECTORS, len(kit.split)),
        "proved": kit.proof[N_ITEMS],
        "accuracy": f"{kit.proof['test_accuracy']:.1%}",
        "code": CODE_BYTES // KIB,
        "margin": MARGIN_BYTES // KIB,
        "tried": tried,
    }


def guess(info: FileInfo) -> int:
    """An arena that should do: what is alive at the worst moment and a quarter more, and 512 bytes an operator.

    Args:
        info: of a file with static shapes.

    Returns:
        Bytes, a multiple of 16.
    """
    born = dict.fromkeys(info.inputs, -1)
    died = {i: len(info.operators) for i in info.outputs}
    for operator in info.operators:
        for i in operator.outputs:
            born.setdefault(i, operator.index)
        for i in operator.inputs:
            died[i] = max(died.get(i, -1), operator.index)
    sizes = {i: int(np.prod(info.tensors[i].shape)) * _width(info.tensors[i].dtype) for i in born}
    alive = (
        sum(size for i, size in sizes.items() if born[i] <= step <= died.get(i, born[i]))
        for step in range(len(info.operators))
    )
    wanted = max(alive, default=0) * 5 // 4 + 512 * len(info.operators)
    return -(-wanted // ALIGNMENT) * ALIGNMENT


def _width(dtype: str) -> int:
    return {"int16": 2, "int32": 4, "float32": 4, "int64": 8}.get(dtype, 1)


def c_string(text: str) -> str:
    r"""A C string literal of UTF-8 bytes.

    >>> print(c_string('crème "brûlée" ??'))
    "cr\303\250me \"br\303\273l\303\251e\" \?\?"
    """
    letters = []
    for byte in text.encode():
        letter = chr(byte)
        plain = 32 <= byte < 127
        letters.append(f"\\{letter}" if letter in '"\\?' else letter if plain else f"\\{byte:03o}")
    return f'"{"".join(letters)}"'


def _float(value: float) -> str:
    """A float32 as C++ source that comes back the same."""
    text = f"{float(np.float32(value)):.9g}"
    return text if "." in text or "e" in text else f"{text}.0"


def c_numbers(values: Iterable[float], form: str = "%d", a_line: int = 20) -> str:
    """The elements of a C array, some on each line.

    >>> print(c_numbers([1, 2, 3], a_line=2))
        1, 2,
        3,
    """
    texts = [form % value for value in values]
    return "\n".join(f"    {', '.join(texts[i : i + a_line])}," for i in range(0, len(texts), a_line))


def _rows(array: NDArray[np.int8]) -> str:
    return "\n".join(f"    {{\n{c_numbers(row.reshape(-1).tolist())}\n    }}," for row in array)
