"""The closing tables of a run."""

from pathlib import Path
from typing import Any

from keras_transfer.cli.output import print_table


def print_result(result: dict[str, Any], run: Path, profile: bool = False) -> None:
    """Prints what a run did: its phases, its files with their proofs, where all lies and what to do next."""
    print_table(
        ("phase", "epochs", "seconds", "val accuracy"),
        [(p["name"], p["epochs"], f"{p['seconds']:.1f}", f"{p['val_accuracy']:.1%}") for p in result["phases"]],
        title=f"{result['backbone']} on {len(result['classes'])} classes, {result['seconds']:.0f} s",
    )
    print_artifacts(result)
    if profile:
        total = sum(result["parts"].values()) or 1.0
        print_table(
            ("part", "seconds", "share"),
            [(name, f"{seconds:.1f}", f"{seconds / total:.0%}") for name, seconds in result["parts"].items()],
            title="Where the time went",
        )
    for warning in result["warnings"]:
        print(f"Note: {warning}")
    smallest = min(result["artifacts"], key=lambda artifact: artifact["bytes"], default=None)
    print(f"\nAll of it is in {run}/")
    if smallest is not None:
        print(f"Next: keras-transfer predict {run / smallest['path']} PHOTO.jpg")


def print_artifacts(result: dict[str, Any]) -> None:
    """Prints the model's and each file's figures on the test split."""
    rows: list[tuple[object, ...]] = [("model.keras", None, f"{result['test']['accuracy']:.1%}", None, None, None)]
    rows += [
        (Path(a["path"]).name, f"{a['bytes'] / 1e6:.2f} MB", f"{a['test_accuracy']:.1%}", f"{a['agreement']:.1%}",
         f"{100 * a['accuracy_drop']:+.1f}", f"{a['latency_ms']:.1f}")
        for a in result["artifacts"]
    ]  # fmt: skip
    columns = ("file", "size", "test accuracy", "agreement", "points lost", "ms")
    print_table(columns, rows, title=f"On all {result['test']['images']} test images")
