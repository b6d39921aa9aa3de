"""How a picture of any size becomes the pixels that a model takes: plain data, and the one function that obeys it.

This file needs nothing but Pillow and NumPy, and nothing else of this package: kits for devices carry a copy of it.
Its twins are `web_demo/preprocess.js` and `android_demo/core/.../Picture.kt`, equal in every bit.
"""

from __future__ import annotations  # devices have Pythons that are older than this package

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Mode = Literal["crop", "squash", "letterbox"]
Interpolation = Literal["bilinear", "mediapipe"]


class Box(NamedTuple):
    """Edges in pixels from the top left corner of a picture."""

    left: float
    top: float
    right: float
    bottom: float


class Place(NamedTuple):
    """Where a resized picture stands in the model's input, in whole pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Geometry:
    """How pictures are fitted to a model's input. A picture that has the input's size already stays as it is.

    Attributes:
        mode: `"crop"`: the centred window of the input's shape. `"squash"`: the whole picture, stretched to the input's
            shape. `"letterbox"`: the whole picture in its own proportions, centred, with bars.
        crop: share of the largest centred window, over 0 to 1. ImageNet networks are evaluated at 0.875 (He et al.
            2015, https://arxiv.org/abs/1512.03385: 224 of 256 pixels). 1 where the mode shows the whole picture.
        interpolation: `"bilinear"`: Pillow's antialiased bilinear filter. `"mediapipe"`: between the nearest pixels on
            the grid of MediaPipe Tasks, so that its `ImageClassifier` sees what `predict` sees. Of a picture four times
            as large as the input or more, blocks of pixels are averaged first.
        padding: gray value of the bars of `"letterbox"`, 0..255. The default, 127, is the middle of the range, which
            networks that expect -1..1 see as nothing.

    Raises:
        ValueError: a value is unknown or out of its range.

    >>> Geometry("crop", crop=1.0).to_dict()
    {'mode': 'crop', 'crop': 1.0, 'interpolation': 'bilinear', 'padding': 127}
    """

    mode: Mode = "crop"
    crop: float = 0.875
    interpolation: Interpolation = "bilinear"
    padding: int = 127

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # of a recipe's field

    def __post_init__(self) -> None:
        if self.mode not in ("crop", "squash", "letterbox"):
            raise ValueError(f"`mode` must be crop, squash or letterbox. Received: mode={self.mode!r}")
        if not isinstance(self.interpolation, str) or self.interpolation not in _RESIZE:
            known = " or ".join(_RESIZE)
            raise ValueError(f"`interpolation` must be {known}. Received: interpolation={self.interpolation!r}")
        if not _number(self.crop) or not 0 < self.crop <= 1:
            raise ValueError(f"`crop` must be over 0 and at most 1. Received: crop={self.crop!r}")
        if self.mode != "crop" and self.crop != 1:
            raise ValueError(f"`crop` must be 1 where mode is {self.mode}. Received: crop={self.crop!r}")
        if isinstance(self.padding, bool) or not isinstance(self.padding, int) or not 0 <= self.padding <= 255:
            raise ValueError(f"`padding` must be a whole number from 0 to 255. Received: padding={self.padding!r}")

    @classmethod
    def of(cls, value: object) -> Geometry:
        """A geometry by its mode's name, or from a mapping of some fields; the rest as the mode has them by default.

        >>> Geometry.of({"mode": "letterbox", "padding": 0})
        Geometry(mode='letterbox', crop=1.0, interpolation='mediapipe', padding=0)
        """
        if isinstance(value, Geometry):
            return value
        if not isinstance(value, str | Mapping):
            raise TypeError(f"a geometry is a mode or a mapping of fields. Received: {value!r}")
        wanted: dict[str, Any] = {"mode": value} if isinstance(value, str) else dict(value)  # checked by what follows
        names = [field.name for field in fields(cls)]
        unknown = [str(name) for name in wanted if name not in names]
        if unknown:
            raise ValueError(f"a geometry has {', '.join(names)}. Received: {', '.join(unknown)}")
        mode = wanted.get("mode", "crop")
        default = MODES.get(mode) if isinstance(mode, str) else None
        return cls(**{**(asdict(default) if default else {}), **wanted})

    def to_dict(self) -> dict[str, str | float]:
        """The fields, ready for JSON; `of` takes them back."""
        return asdict(self)

    def describe(self) -> str:
        """What is done to a picture, in words.

        >>> MODES["squash"].describe()
        'the whole picture, stretched to the shape of the input; bilinear as in MediaPipe Tasks'
        """
        what = {
            "crop": f"the centred window of the input's shape, {self.crop:.1%} of the largest",
            "squash": "the whole picture, stretched to the shape of the input",
            "letterbox": f"the whole picture in its proportions, centred, with bars of gray {self.padding}",
        }[self.mode]
        how = {"bilinear": "antialiased bilinear as in Pillow", "mediapipe": "bilinear as in MediaPipe Tasks"}
        return f"{what}; {how[self.interpolation]}"

    def window(self, width: int, height: int, out_width: int, out_height: int) -> Box:
        """What of an upright picture is used for an input of `out_width` x `out_height`.

        >>> Geometry().window(640, 480, 224, 224)
        Box(left=110.0, top=30.0, right=530.0, bottom=450.0)
        """
        if self.mode != "crop":
            return Box(0.0, 0.0, float(width), float(height))
        across = self.crop * min(width, height * out_width / out_height)
        down = across * out_height / out_width
        left, top = (width - across) / 2, (height - down) / 2
        return Box(left, top, left + across, top + down)

    def place(self, width: int, height: int, out_width: int, out_height: int) -> Place:
        """Where in the input it stands; all that is around it has the gray value `padding`.

        >>> MODES["letterbox"].place(640, 480, 224, 224)
        Place(left=0, top=28, width=224, height=168)
        """
        if self.mode != "letterbox":
            return Place(0, 0, out_width, out_height)
        scale = min(out_width / width, out_height / height)
        across = min(out_width, max(1, int(width * scale + 0.5)))
        down = min(out_height, max(1, int(height * scale + 0.5)))
        return Place((out_width - across) // 2, (out_height - down) // 2, across, down)

    def blocks(self, width: int, height: int, out_width: int, out_height: int) -> tuple[int, int]:
        """Width and height of the blocks of pixels that `"mediapipe"` averages: at least twice the input is left.

        >>> MODES["squash"].blocks(1400, 700, 224, 224)
        (3, 1)
        """
        box = self.window(width, height, out_width, out_height)
        place = self.place(width, height, out_width, out_height)
        across, down = (box.right - box.left) / place.width, (box.bottom - box.top) / place.height
        return max(1, int(across / 2)), max(1, int(down / 2))

    def least_side(self, out_width: int, out_height: int) -> int:
        """Both sides of a large JPEG keep at least so many pixels when it is reduced while it is decoded.

        What is used then still has twice as many pixels a side as the input.
        """
        return int(2 * max(out_width, out_height) / self.crop) + 1

    def fit(self, picture: Image.Image, out_width: int, out_height: int) -> Image.Image:
        """The upright RGB picture as a model takes it, `out_width` x `out_height`.

        >>> from PIL import Image
        >>> white = Image.new("RGB", (8, 4), "white")
        >>> [MODES["letterbox"].fit(white, 4, 4).getpixel((0, y))[0] for y in range(4)]
        [127, 255, 255, 127]
        """
        from PIL import Image

        if picture.size == (out_width, out_height):
            return picture
        if self.interpolation == "mediapipe":
            picture = picture.reduce(self.blocks(picture.width, picture.height, out_width, out_height))
        box = self.window(picture.width, picture.height, out_width, out_height)
        place = self.place(picture.width, picture.height, out_width, out_height)
        resized = _RESIZE[self.interpolation](picture, place.width, place.height, box)
        if resized.size == (out_width, out_height):
            return resized
        whole = Image.new("RGB", (out_width, out_height), (self.padding,) * 3)
        whole.paste(resized, (place.left, place.top))
        return whole


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _bilinear(picture: Image.Image, width: int, height: int, box: Box) -> Image.Image:
    """Pillow's own resize of a window, first across, then down, rounding to bytes between.

    Pillow 13 has another order for tall pictures, and with it other roundings. Asked for one direction at a time, every
    Pillow gives the same pixels.
    """
    from PIL import Image

    bilinear = Image.Resampling.BILINEAR
    across = picture.resize((width, picture.height), bilinear, (box.left, 0, box.right, picture.height))
    return across.resize((width, height), bilinear, (0, box.top, width, box.bottom))


_BITS = 5  # a position between two pixels is one of 32, as in OpenCV's fixed point, which MediaPipe uses


def _mediapipe(picture: Image.Image, width: int, height: int, box: Box) -> Image.Image:
    """The resize of MediaPipe Tasks on a CPU, equal to it in every bit.

    Not the pixels' centres but the corners are laid on each other: output pixel x is read at x times the scale,
    linearly between the four nearest pixels.
    """
    import numpy as np
    from PIL import Image

    pixels = np.asarray(picture)
    top, bottom, down = _between(picture.height, box.top, box.bottom, height)
    left, right, across = _between(picture.width, box.left, box.right, width)
    shares = down[:, None, None].astype(np.uint16)
    rows = pixels[top] * ((1 << _BITS) - shares) + pixels[bottom] * shares
    shares = across[None, :, None].astype(np.int32)
    sums = rows.take(left, 1) * ((1 << _BITS) - shares) + rows.take(right, 1) * shares
    return Image.fromarray(((sums + (1 << (2 * _BITS - 1))) >> (2 * _BITS)).astype(np.uint8))


@lru_cache(maxsize=64)  # photographs of one camera are of one size
def _between(size: int, first: float, last: float, out_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each output pixel the two input pixels that it lies between, and how near to the second, of 32."""
    import numpy as np

    position = np.rint((first + np.arange(out_size) * ((last - first) / out_size)) * (1 << _BITS)).astype(int)
    before = position >> _BITS
    return np.minimum(before, size - 1), np.minimum(before + 1, size - 1), position & ((1 << _BITS) - 1)


_RESIZE = {"bilinear": _bilinear, "mediapipe": _mediapipe}

LEGACY = Geometry()
"""How pictures were fitted before the geometry was a choice; the default where no other is asked for."""

MODES: dict[str, Geometry] = {
    "crop": LEGACY,
    "squash": Geometry("squash", 1.0, "mediapipe"),
    "letterbox": Geometry("letterbox", 1.0, "mediapipe"),
}
"""What each mode is by default."""
