"""Small shapes drawn with partial cover and motion blur: the whole art of things of a few pixels."""

from __future__ import annotations

import cv2
import numpy as np

from .view import MARGIN

_FINE = 3  # sub-pixels per pixel, each way
_SIDE_MAX = 260


def stamp(
    canvas: np.ndarray,
    outline: np.ndarray,
    value: float,
    sweep: tuple[float, float] = (0.0, 0.0),
    cover: float = 1.0,
    soft: float = 0.0,
) -> float:
    """Blends a convex polygon (k, 2), in picture pixels, that came by `sweep`; gives its largest contrast in greys."""
    blur = max(0.45, soft)
    reach = 2 + 3 * blur
    low = np.minimum(outline.min(0), outline.min(0) - sweep) + MARGIN - reach
    high = np.maximum(outline.max(0), outline.max(0) - sweep) + MARGIN + reach
    height, width = canvas.shape
    x0, y0, x1, y1 = int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height or max(x1 - x0, y1 - y0) > _SIDE_MAX:
        return 0.0
    steps = int(np.clip(np.hypot(*sweep) / 0.7, 1, 20)) if sweep != (0.0, 0.0) else 1
    total = np.zeros(((y1 - y0) * _FINE, (x1 - x0) * _FINE), np.uint8 if steps == 1 else np.float32)
    origin = np.array([x0 - MARGIN, y0 - MARGIN])
    # A pixel's middle is at a half; OpenCV's is at a whole number.
    local = (outline - origin) * _FINE - 0.5
    for step in range(steps):
        back = np.array(sweep) * ((step + 0.5) / steps) * _FINE
        once = total if steps == 1 else np.zeros(total.shape, np.uint8)
        cv2.fillConvexPoly(once, ((local - back) * 16).round().astype(np.int32), 255, cv2.LINE_8, 4)
        if steps > 1:
            total += once
    mask = cv2.resize(total, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.float32)
    mask = cv2.GaussianBlur(mask, (0, 0), blur) * (cover / (255.0 * steps))
    a, b, c, d = max(0, x0), max(0, y0), min(width, x1), min(height, y1)
    under = canvas[b:d, a:c]
    change = mask[b - y0 : d - y0, a - x0 : c - x0] * (value - under)
    under += change
    return float(np.abs(change).max()) if change.size else 0.0


_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 13)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 13)[:-1])], 1)


def ellipse(x: float, y: float, a: float, b: float, angle: float = 0.0) -> np.ndarray:
    """Outline of an ellipse with semi-axes a, b."""
    return turned(_CIRCLE * (max(a, 0.35), max(b, 0.35)), angle) + (x, y)


def turned(outline: np.ndarray, angle: float) -> np.ndarray:
    """The outline turned about the origin."""
    cos, sin = np.cos(angle), np.sin(angle)
    return outline @ np.array([[cos, sin], [-sin, cos]])


def box(x: float, y: float, w: float, h: float, angle: float = 0.0) -> np.ndarray:
    """Outline of a rectangle about its middle."""
    return turned(np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2, angle) + (x, y)
