"""Which backbones' weights lie on this machine, by the names of their files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.backbones import BACKBONES
from keras_transfer.modalities.image.weights import keras_folder
from keras_transfer.recipe import DOWNLOADED

_EXTENSIONS = (".h5", ".keras")
_ALPHA = re.compile(r"(?<![\d.])(\d)[._](\d{1,2})(?!\d|\.\d)")
_SIDE = re.compile(r"(?<![\d.])(\d{2,3})(?!\d|\.\d)")


@dataclass(frozen=True)
class WeightsFile:
    """A file of pretrained weights, and whose they are.

    Attributes:
        backbone: a name of `BACKBONES`.
        alpha: the width multiplier; None where the backbone has one width.
        side: of the pictures that they were made on; None for the backbone's own.
        weights: what `build_classifier` takes.
    """

    backbone: str
    alpha: float | None
    side: int | None
    weights: str


def file_of(path: Path) -> WeightsFile | None:
    """Whose weights a file holds, by its name; None where the name says nothing.

    >>> file_of(Path("mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"))
    WeightsFile(backbone='mobilenet_v2', alpha=0.35, side=96, weights='mobilenet_v2_..._no_top.h5')
    >>> file_of(Path("mobilenet_7_5_160_tf_no_top.h5")).alpha, file_of(Path("ResNet50V2.keras")).backbone
    (0.75, 'resnet50_v2')
    """
    plain = "".join(filter(str.isalnum, path.name.lower()))
    names = {name.replace("_", ""): name for name in BACKBONES}
    known = max((name for name in names if name in plain), key=len, default=None)
    if known is None or path.suffix not in _EXTENSIONS:
        return None
    row = BACKBONES[names[known]]
    alphas = [float(f"{whole}.{part}") for whole, part in _ALPHA.findall(path.name)]
    alphas += [alpha / 10 for alpha in alphas]  # Keras writes 7_5 for 0.75
    alpha = next((alpha for alpha in alphas if alpha in row.alphas), 1.0) if row.alphas else None
    side = next((side for side in map(int, _SIDE.findall(path.name)) if side in row.weight_sizes), None)
    return WeightsFile(row.name, alpha, side, str(path))


def weights_in(place: Path) -> list[WeightsFile]:
    """The weights at a place that a user names: a file, or all files of a folder; of each network the first.

    Raises:
        InputError: there are none, or none whose name says what they are of.
    """
    if not place.exists():
        raise InputError(f"There is no weights file {place}: give the path of one, or of a folder of them.")
    found = _different(sorted(place.iterdir()) if place.is_dir() else [place])
    if not found:
        raise InputError(
            f"The name of {place} does not say which backbone's weights it holds, as mobilenet_v2_1.0_224.h5 does: "
            "rename the file, or name the backbone with --backbone."
        )
    return found


def downloaded() -> list[WeightsFile]:
    """The weights without a classifier that Keras has downloaded to this machine."""
    return [replace(each, weights=DOWNLOADED) for each in _different(sorted(keras_folder().glob("*no*top*.h5")))]


def _different(paths: Iterable[Path]) -> list[WeightsFile]:
    """The files of different networks, of several of one network the first."""
    files = filter(None, map(file_of, paths))
    return list({(each.backbone, each.alpha, each.side): each for each in reversed(list(files))}.values())[::-1]
