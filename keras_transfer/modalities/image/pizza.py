"""Drawn pizzas: the guides' favourite walk without a photograph, made by a seeded generator.

Each picture is composed as a cook would: table, plate, dough, sauce, cheese, toppings; then seen through a camera:
pose, tilt, light, something in the way, blur, noise. Colour alone does not separate the kinds: light and stray
toppings vary.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from keras_transfer.errors import InputError
from keras_transfer.modalities.image.decode import Pixels
from keras_transfer.progress import track

_CANVAS = 320  # drawn larger than it is shown, which smooths edges
_RADIUS = 125.0
_ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_ORDERS = np.arange(2, 7)

_Colour = tuple[float, float, float]
_Topping = Callable[[ImageDraw.ImageDraw, float, float, float, np.random.Generator], None]


def draw_pizzas(
    per_class: int = 100, difficulty: float = 0.3, seed: int = 0, side: int = 144
) -> tuple[Pixels, list[str]]:
    """Draws pizzas of four kinds: `"funghi"`, `"margherita"`, `"pepperoni"`, `"verdure"`.

    Args:
        per_class: pictures of each kind.
        difficulty: 0 (a whole pizza from above, in the middle, in even light) to 1 (tilted, cut off, half hidden,
            blurred, noisy, oddly lit, with toppings of other kinds strewn in).
        seed: the same seed, difficulty and side draw the same pictures.
        side: height and width in pixels, at least 16.

    Returns:
        `uint8 [4 * per_class, side, side, 3]` in 0..255, the kinds in turn, and each one's name.

    Raises:
        InputError: an argument is out of its range.

    >>> images, kinds = draw_pizzas(per_class=1, side=32)
    >>> images.shape, kinds
    ((4, 32, 32, 3), ['funghi', 'margherita', 'pepperoni', 'verdure'])
    """
    if not 0 <= difficulty <= 1:
        raise InputError(f"`difficulty` must be between 0 and 1. Received: difficulty={difficulty}.")
    if per_class < 1 or side < 16:
        raise InputError(
            f"`per_class` must be 1 or more and `side` 16 or more. Received: per_class={per_class}, side={side}."
        )
    kinds = list(KINDS) * per_class
    pictures = [
        _draw(kind, np.random.default_rng((seed, number)), difficulty, side)
        for number, kind in enumerate(track(kinds, "Drawing pizzas", len(kinds)))
    ]
    return np.stack(pictures), kinds


def _draw(kind: str, rng: np.random.Generator, difficulty: float, side: int) -> Pixels:
    table = _table(rng)
    pizza = _pizza(kind, rng, difficulty)
    scene = _place(table, pizza, rng, difficulty)
    if rng.random() < 0.7 * difficulty:
        _cover(scene, rng)
    return _photograph(scene, rng, difficulty, side)


# The table


def _noise(rng: np.random.Generator, across: int, down: int | None = None) -> NDArray[np.float32]:
    """Smooth noise `float32 [_CANVAS, _CANVAS]`, 0..1."""
    small = Image.fromarray(rng.random((down or across, across), np.float32))
    return np.clip(np.asarray(small.resize((_CANVAS, _CANVAS), Image.Resampling.BICUBIC), np.float32), 0, 1)


def _table(rng: np.random.Generator) -> Image.Image:
    """Wood, a chequered cloth, stone or a plain cloth."""
    base = np.array(
        [(150, 105, 65), (95, 62, 40), (205, 180, 150), (120, 125, 130), (235, 230, 220), (60, 65, 75)][rng.integers(6)]
    )
    base = base + rng.normal(0, 14, 3)
    pattern = rng.integers(4)
    if pattern == 0:  # planks with grain along them
        grain = 0.7 * _noise(rng, 4, 60) + 0.3 * _noise(rng, 10, 160)
        planks = (np.arange(_CANVAS) // int(rng.integers(40, 90))) % 2
        tones = 0.75 + 0.4 * grain + 0.06 * planks[:, None]
    elif pattern == 1:  # chequered
        size = int(rng.integers(14, 40))
        stripe = (np.arange(_CANVAS) // size) % 2
        tones = 0.7 + 0.2 * (stripe[:, None] + stripe[None, :]) + 0.08 * _noise(rng, 60)
    elif pattern == 2:  # stone
        tones = 0.7 + 0.25 * _noise(rng, 6) + 0.25 * _noise(rng, 40)
    else:
        tones = 0.9 + 0.15 * _noise(rng, 3)
    return Image.fromarray(np.clip(base * tones[..., None], 0, 255).astype(np.uint8))


# The pizza


def _blob(x: float, y: float, radius: float, rng: np.random.Generator, rough: float = 0.08) -> list[float]:
    """An uneven disc: x and y of its outline in turn."""
    heights = rng.normal(0, 2 * rough, 5) / _ORDERS
    reach = 1 + heights @ np.sin(_ORDERS[:, None] * _ANGLES + rng.uniform(0, 6.3, (5, 1)))
    outline: list[float] = ((radius * reach)[:, None] * _CIRCLE + (x, y)).ravel().tolist()
    return outline


def _shade(colour: _Colour, rng: np.random.Generator, spread: float = 10) -> tuple[int, int, int]:
    tone, *channels = (rng.normal(0, spread, 4) * (1, 1 / 3, 1 / 3, 1 / 3)).tolist()
    red, green, blue = (int(min(max(c + tone + own, 0), 255)) for c, own in zip(colour, channels, strict=True))
    return red, green, blue


def _turned(
    points: list[tuple[float, float]], x: float, y: float, rng: np.random.Generator
) -> list[tuple[float, float]]:
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    return [(x + px * cos - py * sin, y + px * sin + py * cos) for px, py in points]


def _pepperoni(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    radius = 17 * size * rng.uniform(0.85, 1.15)
    draw.polygon(_blob(x + 2, y + 2, radius, rng, 0.04), fill=(110, 40, 25))
    draw.polygon(_blob(x, y, radius, rng, 0.04), fill=_shade((178, 52, 38), rng))
    draw.polygon(_blob(x, y, radius * 0.8, rng, 0.05), fill=_shade((196, 74, 52), rng))
    for _ in range(9):
        a, r = rng.uniform(0, 6.3), radius * 0.75 * np.sqrt(rng.random())
        spot = _blob(x + r * np.cos(a), y + r * np.sin(a), radius * rng.uniform(0.06, 0.14), rng)
        draw.polygon(spot, fill=_shade((222, 140, 110) if rng.random() < 0.6 else (130, 30, 24), rng))


def _basil(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    t = np.linspace(0, 1, 16)
    length, width = 24 * size * rng.uniform(0.8, 1.25), 9 * size * rng.uniform(0.8, 1.2)
    edge = width * np.sin(np.pi * t) ** 0.8
    outline = [*zip((t - 0.5) * length, edge, strict=True), *zip((0.5 - t) * length, -edge, strict=True)]
    turned = _turned([*outline, (-length / 2, 0.0), (length / 2, 0.0)], x, y, rng)
    draw.polygon([(px + 2, py + 2) for px, py in turned[:-2]], fill=(70, 60, 30))
    draw.polygon(turned[:-2], fill=_shade((58, 118, 48), rng, 14))
    draw.line(turned[-2:], fill=_shade((112, 160, 84), rng), width=2)


def _mozzarella(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    radius = 19 * size * rng.uniform(0.7, 1.3)
    draw.polygon(_blob(x, y, radius * 1.1, rng, 0.16), fill=_shade((240, 214, 160), rng))
    draw.polygon(_blob(x, y, radius * 0.9, rng, 0.14), fill=_shade((250, 242, 224), rng, 5))
    if rng.random() < 0.4:
        draw.polygon(_blob(x + 3, y - 2, radius * 0.25, rng, 0.2), fill=_shade((205, 150, 85), rng))


def _mushroom(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    s = size * rng.uniform(0.8, 1.2)
    angle = np.linspace(np.pi, 2 * np.pi, 14)
    cap = [(17 * s * np.cos(a), 15 * s * np.sin(a)) for a in angle]
    under = [
        (11 * s, 4 * s),
        (4.5 * s, 3 * s),
        (4.5 * s, 14 * s),
        (-4.5 * s, 14 * s),
        (-4.5 * s, 3 * s),
        (-11 * s, 4 * s),
    ]
    gill = [(-9 * s, -2 * s), (0.0, -6 * s), (9 * s, -2 * s)]
    turned = _turned([*cap, *under, *gill], x, y, rng)
    slice_, gills = turned[: -len(gill)], turned[-len(gill) :]
    draw.polygon([(px + 2, py + 2) for px, py in slice_], fill=(120, 85, 50))
    draw.polygon(slice_, fill=_shade((226, 204, 170), rng), outline=_shade((140, 104, 70), rng), width=2)
    draw.line(gills, fill=_shade((152, 118, 84), rng), width=3)


def _pepper(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    radius, colour = 17 * size * rng.uniform(0.8, 1.2), (92, 146, 52) if rng.random() < 0.6 else (214, 172, 40)
    start, span = rng.uniform(0, 360), rng.uniform(150, 340)
    for width, fill in ((7, tuple(int(0.6 * c) for c in colour)), (4, _shade(colour, rng))):
        box = (x - radius, y - radius * 0.9, x + radius, y + radius * 0.9)
        draw.arc(box, start, start + span, fill=fill, width=max(2, int(width * size)))


def _olive(draw: ImageDraw.ImageDraw, x: float, y: float, size: float, rng: np.random.Generator) -> None:
    radius = 8.5 * size * rng.uniform(0.85, 1.2)
    draw.polygon(_blob(x, y, radius, rng, 0.05), fill=_shade((44, 38, 44), rng, 6))
    draw.polygon(_blob(x, y, radius * 0.42, rng, 0.08), fill=_shade((190, 130, 70), rng))


# Kind -> its toppings with how many of each lie on a whole pizza.
KINDS: dict[str, tuple[tuple[_Topping, int], ...]] = {
    "funghi": ((_mushroom, 15), (_basil, 1)),
    "margherita": ((_mozzarella, 9), (_basil, 6)),
    "pepperoni": ((_pepperoni, 15),),
    "verdure": ((_pepper, 9), (_olive, 11)),
}
_STRAY = (_basil, _mozzarella, _olive, _pepper, _mushroom, _pepperoni)


def _pizza(kind: str, rng: np.random.Generator, difficulty: float) -> Image.Image:
    """The pizza from above, RGBA, on nothing."""
    middle = _CANVAS / 2
    dough = _shade((214, 164, 98), rng, 12)
    image = Image.new("RGBA", (_CANVAS, _CANVAS))
    draw = ImageDraw.Draw(image)
    if rng.random() < 0.6:  # a plate or a pan below it
        plate = _shade(((238, 236, 230), (58, 56, 56), (176, 130, 84))[rng.integers(3)], rng)
        for reach, factor in ((1.24, 0.8), (1.21, 1.0), (1.1, 0.94)):
            r = _RADIUS * reach
            fill = tuple(int(c * factor) for c in plate)
            draw.ellipse((middle - r, middle - r, middle + r, middle + r), fill=fill)
    shape = int(rng.integers(2**31))

    def disc(radius: float, colour: tuple[int, int, int], rough: float) -> None:
        draw.polygon(_blob(middle, middle, radius, np.random.default_rng(shape), rough), fill=colour)

    disc(_RADIUS * 1.0, tuple(int(c * 0.72) for c in dough), 0.05)  # type: ignore[arg-type]
    disc(_RADIUS * 0.97, dough, 0.05)
    for _ in range(int(rng.integers(4, 16))):  # blisters of the crust
        a, r = rng.uniform(0, 6.3), _RADIUS * rng.uniform(0.86, 0.95)
        spot = _blob(middle + r * np.cos(a), middle + r * np.sin(a), rng.uniform(2, 8), rng, 0.2)
        draw.polygon(spot, fill=_shade((126, 78, 40), rng, 14))
    disc(_RADIUS * 0.85, _shade((186, 62, 36), rng, 12), 0.06)
    cheese = rng.uniform(0.15, 0.9) if kind != "margherita" else rng.uniform(0.0, 0.35)
    for _ in range(int(70 * cheese)):
        a, r = rng.uniform(0, 6.3), _RADIUS * 0.78 * np.sqrt(rng.random())
        spot = _blob(middle + r * np.cos(a), middle + r * np.sin(a), rng.uniform(8, 24), rng, 0.15)
        draw.polygon(spot, fill=_shade((238, 200, 112), rng, 12))
    toppings = [(topping, max(2, round(count * rng.uniform(0.6, 1.3)))) for topping, count in KINDS[kind]]
    for _ in range(rng.binomial(3, 0.6 * difficulty)):
        toppings.append((_STRAY[rng.integers(len(_STRAY))], 1))
    size = rng.uniform(0.85, 1.2)
    for topping, count in toppings:
        placed: list[tuple[float, float]] = []
        for _ in range(count):
            for _ in range(8):  # apart from others of its kind, as a cook lays them
                a, r = rng.uniform(0, 6.3), _RADIUS * 0.74 * np.sqrt(rng.random())
                x, y = middle + r * np.cos(a), middle + r * np.sin(a)
                if all((x - px) ** 2 + (y - py) ** 2 > (26 * size) ** 2 for px, py in placed):
                    break
            placed.append((x, y))
            topping(draw, x, y, size, rng)
    if rng.random() < 0.5:
        _cut(image, rng, eaten=rng.random() < 0.3 + 0.4 * difficulty)
    return image


def _cut(image: Image.Image, rng: np.random.Generator, eaten: bool) -> None:
    draw, middle, slices = ImageDraw.Draw(image), _CANVAS / 2, int(rng.choice([6, 8]))
    start = rng.uniform(0, 360)
    for i in range(slices // 2):
        angle = np.radians(start + 360 * i / slices)
        dx, dy = _RADIUS * np.cos(angle), _RADIUS * np.sin(angle)
        draw.line((middle - dx, middle - dy, middle + dx, middle + dy), fill=(126, 66, 34), width=2)
    if eaten:
        box = (middle - _RADIUS * 1.05, middle - _RADIUS * 1.05, middle + _RADIUS * 1.05, middle + _RADIUS * 1.05)
        draw.pieslice(box, start, start + 360 / slices * rng.integers(1, 3), fill=_shade((196, 178, 150), rng, 20))


# The camera


def _place(table: Image.Image, pizza: Image.Image, rng: np.random.Generator, difficulty: float) -> Image.Image:
    """Lays the pizza on the table with its shadow, turned, tilted, nearer or farther, off the middle."""
    pizza = pizza.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    middle, tilt = _CANVAS / 2, rng.uniform(0, 0.55 * difficulty)
    zoom = rng.uniform(1 - 0.35 * difficulty, 1 + 0.5 * difficulty)
    shift = rng.normal(0, 34 * difficulty, 2)
    # Output pixel (x, y) to where it lies on the pizza's plane, the farther rows denser.
    slant = tilt / _CANVAS
    forth = np.array([[1, 0, -middle - shift[0]], [0, 1, -middle - shift[1]], [0, 0, 1]])
    plane = np.array([[1 / zoom, 0, 0], [0, (1 + tilt) / zoom, 0], [0, slant, 1]])
    back = np.array([[1, 0, middle], [0, 1, middle], [0, 0, 1]])
    matrix = back @ plane @ forth
    seen = pizza.transform(
        (_CANVAS, _CANVAS), Image.Transform.PERSPECTIVE, (matrix / matrix[2, 2]).ravel()[:8].tolist(),
        Image.Resampling.BILINEAR,
    )  # fmt: skip
    alpha = seen.getchannel("A")
    table.paste((0, 0, 0), (6, 8), alpha.filter(ImageFilter.BoxBlur(6)).point(lambda a: a // 2))
    table.paste(seen, (0, 0), alpha)
    return table


def _cover(scene: Image.Image, rng: np.random.Generator) -> None:
    """Something in the way, from the edge inwards: a napkin, a knife, a glass's rim."""
    draw, kind = ImageDraw.Draw(scene), rng.integers(3)
    angle = rng.uniform(0, 2 * np.pi)
    x, y = _CANVAS / 2 + 150 * np.cos(angle), _CANVAS / 2 + 150 * np.sin(angle)
    if kind == 0:
        corners = [(-80.0, -60.0), (70.0, -50.0), (80.0, 60.0), (-70.0, 70.0)]
        draw.polygon(_turned(corners, x, y, rng), fill=_shade((225, 222, 215), rng, 20))
    elif kind == 1:
        blade = [(-110.0, -7.0), (60.0, -9.0), (95.0, 0.0), (60.0, 7.0), (-110.0, 7.0)]
        draw.polygon(
            _turned(blade, x * 0.6 + _CANVAS * 0.2, y * 0.6 + _CANVAS * 0.2, rng), fill=_shade((176, 180, 186), rng)
        )
    else:
        radius = rng.uniform(40, 75)
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=_shade((120, 96, 90), rng, 30), outline=(225, 228, 230), width=5)


def _photograph(scene: Image.Image, rng: np.random.Generator, difficulty: float, side: int) -> Pixels:
    """Light from one side, the lamp's colour, blur, and the sensor's noise."""
    small = scene.resize((side, side), Image.Resampling.BOX)
    if rng.random() < 0.6 * difficulty:
        small = small.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6) * side / 144))
    pixels = np.asarray(small, np.float32) / 255
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.2 + 0.35 * difficulty)
    light = 1 + strength * (np.cos(angle) * ramp[None, :] + np.sin(angle) * ramp[:, None]) / 1.4
    lamp = 1 + rng.normal(0, 0.04 + 0.1 * difficulty) * np.array([1.0, 0.15, -0.85])
    exposure = np.exp(rng.normal(0, 0.08 + 0.2 * difficulty))
    pixels = (pixels * light[..., None] * lamp * exposure).clip(0, 1) ** np.exp(rng.normal(0, 0.05 + 0.15 * difficulty))
    pixels = pixels + rng.normal(0, rng.uniform(0, 0.01 + 0.05 * difficulty), pixels.shape)
    return np.asarray(np.rint(pixels.clip(0, 1) * 255), np.uint8)
