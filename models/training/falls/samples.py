"""What the small network learns from: pieces of five pictures and where something falls in the newest one."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from .clip import Clip
from .view import HEIGHT, WIDTH

SPAN = 5  # pictures of a look
STRIDE = 4  # pixels per cell of the network's answer
SPEED_UNIT = 8.0  # pixels per picture per unit of the network's answer
_SIDE = 192  # pixels of a stored piece ...
_CROP = 160  # ... and of what is learned at a time
_PIECES = 36  # per clip
_THINGS_MAX = 4
# A thing this faint or this slow (pixels per picture) is neither a thing nor nothing.
_CONTRAST_MIN, _SPEED_MIN = 6.0, 0.8


def pieces(clip: Clip, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (n, 5, 192, 192) and truths (n, 4, 6): x, y, contrast, vx, vy in pixels (a picture), 1 if there is one."""
    rng = np.random.default_rng([clip.order.seed, 5])
    tracks = [{int(row[0]): row for row in thing.track} for thing in clip.thrown]
    moments = [(n, k) for k, track in enumerate(tracks) for n in track if SPAN <= n < len(pictures)]
    views, truths = [], []
    while len(views) < _PIECES:
        if moments and rng.random() < 0.65:
            now, which = moments[rng.integers(len(moments))]
            at = tracks[which][now][1:3] + rng.uniform(-70, 70, 2)
        else:
            now = int(rng.integers(SPAN, len(pictures)))
            at = rng.uniform((0, 0), (WIDTH, HEIGHT))
            if rng.random() < 0.75:  # where something moves
                change = cv2.blur(cv2.absdiff(pictures[now], pictures[now - 2]), (3, 3))
                y, x = np.nonzero(change > max(8, 0.4 * change.max()))
                if len(x):
                    pick = rng.integers(len(x))
                    at = np.array([x[pick], y[pick]]) + rng.uniform(-60, 60, 2)
        x0 = int(np.clip(at[0] - _SIDE / 2, 0, WIDTH - _SIDE)) // STRIDE * STRIDE
        y0 = int(np.clip(at[1] - _SIDE / 2, 0, HEIGHT - _SIDE)) // STRIDE * STRIDE
        views.append(pictures[now - SPAN + 1 : now + 1, y0 : y0 + _SIDE, x0 : x0 + _SIDE])
        truth = np.zeros((_THINGS_MAX, 6), np.float32)
        for slot, track in enumerate([t for t in tracks if now in t][:_THINGS_MAX]):
            _, x, y, _, contrast = track[now]
            before = track.get(now - 1, track[now])
            after = track[now] if now - 1 in track else track.get(now + 1, track[now])
            span = max(1, after[0] - before[0])
            truth[slot] = x - x0, y - y0, contrast, (after[1] - before[1]) / span, (after[2] - before[2]) / span, 1
        truths.append(truth)
    return np.stack(views), np.stack(truths)


def prepared(pictures: np.ndarray) -> np.ndarray:
    """The network's input (6, h, w) from five pictures, oldest first: each less their median, and the median."""
    median = np.median(pictures, axis=0).astype(np.float32)
    return np.concatenate([(pictures - median) / 24, (median[None] - 128) / 64]).astype(np.float32)


class Samples:
    """All stored pieces, at random, varied; the files are mapped, so that the set may be larger than the memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._views, self._truths = folder, [], []
        self.refresh()

    def refresh(self) -> int:
        """Takes in what was rendered meanwhile; gives the number of clips."""
        for path in sorted(self.folder.glob("case-*.truth.npy"))[len(self._truths) :]:
            self._truths.append(np.load(path))
            self._views.append(np.load(path.with_name(path.name.replace(".truth", "")), mmap_mode="r"))
        return len(self._views)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Input (6, 160, 160), heat, weight (40, 40), regression targets (4, 40, 40) and where they count."""
        clip = rng.integers(len(self._views))
        piece = rng.integers(len(self._truths[clip]))
        truth = self._truths[clip][piece].copy()
        x0, y0 = rng.integers(0, (_SIDE - _CROP) // STRIDE + 1, 2) * STRIDE
        views = np.array(self._views[clip][piece][:, y0 : y0 + _CROP, x0 : x0 + _CROP], np.float32)
        truth[:, :2] -= (x0, y0)
        if rng.random() < 0.5:
            views = views[:, :, ::-1]
            truth[:, 0], truth[:, 3] = _CROP - 1 - truth[:, 0], -truth[:, 3]
        if rng.random() < 0.5:
            views = 255 - views
        if rng.random() < 0.5:
            factor = rng.uniform(0.5, 1.4)
            views = views * factor + rng.uniform(-20, 20)
            truth[:, 2] *= factor
        if rng.random() < 0.2:
            views = views + rng.standard_normal(views.shape, np.float32) * rng.uniform(1, 5)
        if rng.random() < 0.1:
            views = views + rng.uniform(-12, 12, (SPAN, 1, 1))  # exposure hunts
        return prepared(np.clip(views, 0, 255).round().astype(np.float32)), *_targets(truth)


def _targets(truth: np.ndarray) -> tuple[np.ndarray, ...]:
    cells = _CROP // STRIDE
    heat, weight = np.zeros((cells, cells), np.float32), np.ones((cells, cells), np.float32)
    regression, counts = np.zeros((4, cells, cells), np.float32), np.zeros((cells, cells), np.float32)
    y, x = np.mgrid[:cells, :cells]
    for px, py, contrast, vx, vy, there in truth:
        cx, cy = (px + 0.5) / STRIDE - 0.5, (py + 0.5) / STRIDE - 0.5
        ix, iy = round(float(cx)), round(float(cy))
        if not there or not (-1 <= ix <= cells and -1 <= iy <= cells):
            continue
        if contrast < _CONTRAST_MIN or math.hypot(vx, vy) < _SPEED_MIN:
            weight[max(0, iy - 1) : iy + 2, max(0, ix - 1) : ix + 2] = 0
            continue
        heat = np.maximum(heat, np.exp(-((x - ix) ** 2 + (y - iy) ** 2) / (2 * 0.75**2))).astype(np.float32)
        if 0 <= ix < cells and 0 <= iy < cells:
            counts[iy, ix] = 1
            regression[:, iy, ix] = cx - ix, cy - iy, vx / SPEED_UNIT, vy / SPEED_UNIT
    return heat, weight, regression, counts
