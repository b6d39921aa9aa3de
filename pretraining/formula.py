"""Pictures drawn by formulas, each with a class: pretraining data without photographs.

Four families, as many classes of each as asked: fractals (iterated function systems: Kataoka et al., "Pre-training
without natural images", 2020), contours (radial sums of harmonics: Kataoka et al., "Replacing labeled real-image
datasets with auto-generated contours", 2022), textures (sums of oriented waves and smoothed noise) and shaded solids
(superellipses under a lamp). A class is the formula's parameters; an instance varies pose, colours, light, background.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

SIDE = 160

Draw = Callable[[np.random.Generator, np.random.Generator], tuple[np.ndarray, np.ndarray]]
_grid_y, _grid_x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j].astype(np.float32)


def _smooth_noise(rng: np.random.Generator, cells: int, channels: int = 1) -> np.ndarray:
    """Bicubic noise `float32 [SIDE, SIDE, channels]` about 0..1, `cells` bumps across."""
    planes = [
        Image.fromarray(rng.random((cells, cells), np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        for _ in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def _fractal(kind: np.random.Generator, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    maps = int(kind.integers(2, 7))
    matrices = kind.uniform(-1, 1, (maps, 2, 2))
    offsets = kind.uniform(-1, 1, (maps, 2))
    norms = np.linalg.svd(matrices, compute_uv=False)
    matrices *= (kind.uniform(0.45, 0.85, maps) / norms[:, 0])[:, None, None]  # each map contracts
    weights = np.abs(np.linalg.det(matrices)) + 0.02
    matrices = matrices * rng.uniform(0.95, 1.05, (maps, 1, 1))
    points = np.zeros((4000, 2))
    hits = np.zeros((SIDE, SIDE), np.float32)
    trail = []
    for step in range(16):
        chosen = rng.choice(maps, len(points), p=weights / weights.sum())
        points = np.einsum("nij,nj->ni", matrices[chosen], points) + offsets[chosen]
        if step >= 8:
            trail.append(points)
    cloud = np.concatenate(trail)
    angle = rng.uniform(0, 2 * np.pi)
    cloud = cloud @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    low, high = np.percentile(cloud, (1, 99), axis=0)
    cells = np.rint((cloud - low) / np.maximum(high - low, 1e-6) * (SIDE * 0.8) + SIDE * 0.1).astype(int)
    inside = ((cells >= 0) & (cells < SIDE)).all(1)
    np.add.at(hits, (cells[inside, 1], cells[inside, 0]), 1)
    mask = np.clip(hits / 3, 0, 1)
    return mask, 0.4 + 0.6 * np.clip(hits / 12, 0, 1)


def _contour(kind: np.random.Generator, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    harmonics = int(kind.integers(3, 8))
    orders = kind.integers(2, 14, harmonics)
    heights = kind.uniform(0.03, 0.25, harmonics)
    phases = kind.uniform(0, 2 * np.pi, harmonics)
    rings = int(kind.integers(1, 6))
    filled = kind.random() < 0.5
    theta = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    radius = 1 + (heights * np.sin(orders * theta[:, None] + phases)).sum(1)
    angle, stretch = rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 1.0)
    centre, size = SIDE / 2 + rng.uniform(-15, 15, 2), SIDE * rng.uniform(0.25, 0.4)
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    for ring in range(rings, 0, -1):
        r = size * radius * ring / rings / radius.max() * 1.1
        x, y = r * np.cos(theta), stretch * r * np.sin(theta)
        points = np.stack(
            [centre[0] + x * np.cos(angle) - y * np.sin(angle), centre[1] + x * np.sin(angle) + y * np.cos(angle)], 1
        )
        tone = 255 - 120 * (ring % 2) if filled else 0
        draw.polygon([tuple(p) for p in points], fill=tone or None, outline=255, width=2)
    mask = np.asarray(image, np.float32) / 255
    return np.minimum(mask * 3, 1) if filled else mask, np.clip(mask, 0.3, 1)


def _texture(kind: np.random.Generator, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    waves = int(kind.integers(1, 5))
    angles, lengths = kind.uniform(0, np.pi, waves), kind.uniform(4, 40, waves)
    bend, cells = kind.uniform(0, 1.5), int(kind.integers(3, 12))
    hard = kind.random() < 0.5
    turn, zoom = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.25)
    warp = _smooth_noise(rng, cells, 2) - 0.5
    x, y = _grid_x + 0.3 * bend * warp[..., 0], _grid_y + 0.3 * bend * warp[..., 1]
    total = sum(
        np.sin(2 * np.pi * zoom * length / 8 * (x * np.cos(a + turn) + y * np.sin(a + turn)) + rng.uniform(0, 6))
        for a, length in zip(angles, lengths, strict=True)
    )
    value = total / waves
    value = np.tanh(6 * value) if hard else value
    return (value + 1) / 2, np.ones((SIDE, SIDE), np.float32)


def _solid(kind: np.random.Generator, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A superellipse's dome, lit from one side, with bumps and stripes of its class."""
    power, aspect = kind.uniform(1.2, 6), kind.uniform(0.4, 1)
    stripes, knobs, hollow = kind.uniform(0, 14), int(kind.integers(0, 9)), kind.random() < 0.3
    angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.85)
    x = ((_grid_x - rng.uniform(-0.2, 0.2)) * np.cos(angle) + _grid_y * np.sin(angle)) / size
    y = (-(_grid_x) * np.sin(angle) + (_grid_y - rng.uniform(-0.2, 0.2)) * np.cos(angle)) / size / aspect
    reach = (np.abs(x) ** power + np.abs(y) ** power) ** (1 / power)
    reach = reach * (1 + 0.12 * np.sin(knobs * np.arctan2(y, x)))
    mask = np.clip((1 - reach) * 25, 0, 1)
    if hollow:
        mask = mask * np.clip((reach - 0.45) * 25, 0, 1)
    height = np.sqrt(np.clip(1 - reach**2, 0, 1)) + 0.05 * np.sin(stripes * x)
    slope_y, slope_x = np.gradient(height * SIDE / 3)
    lamp = rng.uniform(0, 2 * np.pi)
    light = (1 - slope_x * np.cos(lamp) - slope_y * np.sin(lamp)) / np.sqrt(2 + slope_x**2 + slope_y**2)
    return mask, np.clip(0.25 + 0.75 * light, 0.1, 1.3)


FAMILIES: tuple[Draw, ...] = (_fractal, _contour, _texture, _solid)


def draw_formula_picture(label: int, number: int, seed: int) -> np.ndarray:
    """Picture `number` of class `label`: `uint8 [160, 160, 3]`; family `label % 4`."""
    kind, rng = np.random.default_rng((seed, label)), np.random.default_rng((seed, label, number, 1))
    front_tint, back_tint = kind.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    mask, shade = FAMILIES[label % len(FAMILIES)](kind, rng)
    cells = int(rng.integers(2, 24))
    front = np.clip(front_tint + rng.normal(0, 0.12, 3) + 0.25 * (_smooth_noise(rng, 6, 3) - 0.5), 0, 1)
    back = np.clip(back_tint + rng.uniform(0, 0.8) * (_smooth_noise(rng, cells, 3) - 0.5), 0, 1)
    picture = back + mask[..., None] * (front * shade[..., None] - back)
    picture += rng.normal(0, rng.uniform(0, 0.04), picture.shape)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def draw_formula_pictures(count: int, seed: int, classes: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures `uint8 [count, 160, 160, 3]` and their classes `int32 [count]`, in turn."""
    labels = np.arange(count, dtype=np.int32) % classes
    return np.stack([draw_formula_picture(int(label), i // classes, seed) for i, label in enumerate(labels)]), labels
