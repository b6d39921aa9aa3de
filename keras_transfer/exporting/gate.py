"""When an export has failed although every file was written."""

from typing import Any

from keras_transfer.errors import GateError

QAT = "quantization-aware training (`keras-transfer compress RUN --qat`)"
ADVICE = f"Try `--repair`, the float16 or dynamic format, or {QAT}."
MORE_ADVICE = f"No remedy of `--repair` was enough. Try the float16 or dynamic format, or {QAT}."


class ExportGateError(GateError):
    """A file lost more accuracy than the tolerance, or a target takes none of the files.

    Attributes:
        artifacts: all files that were written, the failed ones among them.
    """

    def __init__(self, message: str, artifacts: list[Any]) -> None:
        super().__init__(message)
        self.artifacts = artifacts


def failures(proofs: list[dict[str, Any]]) -> list[str]:
    """Returns one sentence for each file past its tolerance and each target that takes no file."""
    found = []
    for proof in proofs:
        gate = proof["gate"]
        if gate["ok"]:
            continue
        text = (
            f"{proof['file']}: {proof['test_accuracy']:.4f} on {proof['images']} test images is "
            f"{100 * proof['accuracy_drop']:.1f} points below the Keras model (tolerance {100 * gate['tolerance']:g})."
        )
        if gate["layers"]:
            worst = ", ".join(f"{layer['layer']} ({layer['error']:.2f})" for layer in gate["layers"])
            text += f" Layers whose int8 outputs differ most: {worst}."
        found.append(f"{text} {gate['advice']}")
    for target in dict.fromkeys(target for proof in proofs for target in proof["targets"]):
        verdicts = [(proof["file"], proof["targets"][target]) for proof in proofs if target in proof["targets"]]
        if not any(verdict["ok"] for _, verdict in verdicts):
            reasons = "; ".join(f"{file} {verdict['why']}" for file, verdict in verdicts)
            found.append(f"Target {target} takes none of the files: {reasons}.")
    return found
