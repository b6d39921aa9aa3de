"""What a target's folder for texts is made from: a file of a random classifier."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from keras_transfer.exporters.targets import Kit
from keras_transfer.litert import convert, write_labels
from keras_transfer.modalities.text.builder import build_text_classifier
from keras_transfer.modalities.text.preparer import open_preparer
from keras_transfer.models import model_inputs
from keras_transfer.models.replay import at_size

NAMES = ["bad", "fine & dandy", "neither"]
LENGTH = 24


def make_kit(encoder: Path) -> Kit:
    """A dynamic-range file of a random classifier."""
    preparer = open_preparer({"backbone": str(encoder), "length": LENGTH})
    model = build_text_classifier(str(encoder), NAMES)
    spec = preparer.spec(model_inputs(model))
    content = convert(at_size(model, spec.tensors), ["dynamic"], item=spec.tensors)["dynamic"]
    proof: Any = {"test_accuracy": 0.75, "images": 400}
    split: Any = SimpleNamespace(labels=np.zeros(4, np.int32))
    return Kit("model_dynamic", write_labels(content, NAMES, spec), NAMES, proof, split, spec)
