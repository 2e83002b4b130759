"""What a lens does to a pinhole picture: barrel distortion, drops of rain on the dome."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np


def barrel(picture: np.ndarray, strength: float, nearest: bool = False) -> np.ndarray:
    """Bend straight lines outwards; 0 is a pinhole, 0.5 a cheap wide lens. The corners stay where they are.

    `nearest` is for id buffers: a pixel keeps one owner.
    """
    if strength <= 0:
        return picture
    x, y = _maps(picture.shape[0], picture.shape[1], round(strength, 3))
    return cv2.remap(picture, x, y, cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def bent(points: np.ndarray, strength: float, aspect: float) -> np.ndarray:
    """Where ratios (n, 2) of the pinhole picture lie after `barrel`."""
    if strength <= 0:
        return points
    centred = (np.asarray(points, float) - 0.5) * [aspect, 1.0]
    corner = np.hypot(aspect, 1.0) / 2
    radius = np.linalg.norm(centred, axis=1, keepdims=True) / corner
    seen = radius.copy()
    for _ in range(20):  # the distorted radius whose source is this one: a monotone cubic
        off = seen * (1 + strength * seen**2) / (1 + strength) - radius
        seen = seen - off * (1 + strength) / (1 + 3 * strength * seen**2)
    return centred * (seen / np.maximum(radius, 1e-9)) / [aspect, 1.0] + 0.5


def drops(picture: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Drops on the dome: round places that show the picture blurred and brighter."""
    if count <= 0:
        return picture
    height, width = picture.shape[:2]
    soft = cv2.GaussianBlur(picture, (0, 0), 6)
    mask = np.zeros((height, width), np.float32)
    for _ in range(count):
        at = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        axes = (int(rng.uniform(3, 13)), int(rng.uniform(3, 16)))
        cv2.ellipse(mask, at, axes, 0, 0, 360, float(rng.uniform(0.5, 0.95)), -1, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None]
    return picture * (1 - mask) + np.clip(soft * 1.08, 0, None) * mask


@lru_cache(maxsize=8)
def _maps(height: int, width: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across, down = x - (width - 1) / 2, y - (height - 1) / 2
    corner = np.hypot(width, height) / 2
    scale = (1 + strength * (across**2 + down**2) / corner**2) / (1 + strength)
    source = across * scale + (width - 1) / 2, down * scale + (height - 1) / 2
    return source[0].astype(np.float32), source[1].astype(np.float32)
