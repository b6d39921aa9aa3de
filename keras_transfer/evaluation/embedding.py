"""Items as places in a plane, by their features."""

from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray


def embed(rows: NDArray[np.float32], seed: int = 0) -> tuple[NDArray[np.float64], str]:
    """Features as places in a plane: items with similar features lie near each other.

    By UMAP (McInnes et al. 2018, https://arxiv.org/abs/1802.03426) where `umap-learn` is installed, else by the first
    two principal components.

    Args:
        rows: float `[n, features]`, n of 3 or more.
        seed: of the layout.

    Returns:
        `float64 [n, 2]` in 0..1, and the name of the method.

    >>> places, _ = embed(np.eye(5))
    >>> places.shape, float(places.min()), float(places.max())
    ((5, 2), 0.0, 1.0)
    """
    if find_spec("umap") is not None and len(rows) >= 15:
        places = import_module("umap").UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(rows)
        name = "UMAP"
    else:
        from sklearn.decomposition import PCA

        scaled = rows - rows.mean(axis=0)
        fitted = PCA(2, random_state=seed).fit(scaled)
        places = fitted.transform(scaled)
        name = f"principal components, which hold {fitted.explained_variance_ratio_.sum():.0%} of the variance"
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray((places - low) / np.maximum(high - low, 1e-12), np.float64), name


def spread_out(places: NDArray[np.float64], count: int) -> list[int]:
    """Indices of places far from one another: each is the farthest from those before it.

    >>> spread_out(np.array([[0.0, 0], [0.1, 0], [1, 1], [0, 1]]), 3)
    [0, 2, 3]
    """
    chosen = [0]
    nearest = np.linalg.norm(places - places[0], axis=1)
    while len(chosen) < min(count, len(places)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(places - places[chosen[-1]], axis=1))
    return chosen
