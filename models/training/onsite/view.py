"""How a camera stands, guessed from the sizes of the persons and cars that were seen in its pictures."""

from __future__ import annotations

import numpy as np

from world.camera import Camera

from .site import Site

# Height, width and length in metres of what is seen most and differs least.
_PERSON, _CAR = (1.68, 0.55, 0.45), (1.5, 1.8, 4.4)
_GUESSES, _ROUNDS, _KEPT = 1500, 4, 24
_BOXES_MAX = 60
_ERROR_MAX = 0.6  # of one box, as a logarithm: wrong boxes and children must not bend the view
_TOLERANCE = 0.03
# Errors between these: the boxes tell ever less, and usual views take the place of the guesses that fit.
_FITS, _FITS_NOT = 0.15, 0.4
_REACH_M = 150.0
_HEIGHT_M, _PITCH_RAD, _VIEW_RAD = (2.2, 20.0), (-0.05, 1.35), (0.3, 1.9)


class Views:
    """Views that agree with what was seen about equally well: with few boxes they differ widely, as they should."""

    def __init__(self, site: Site, rng: np.random.Generator) -> None:
        self._aspect = site.size[1] / site.size[0]
        self._boxes = [
            (_whole(boxes)[:_BOXES_MAX], sides) for boxes, sides in ((site.person_seen, _PERSON), (site.car_seen, _CAR))
        ]
        self.boxes = sum(len(boxes) for boxes, _ in self._boxes)
        # Ground reaches at least as high in the picture as the zones on it.
        self._ground_top = min([float(polygon[:, 1].min()) for polygon in site.ground], default=1.0)
        usual = guesses = _first_guesses(rng)
        for shrink in range(_ROUNDS):
            errors = self._errors(guesses)
            best = guesses[np.argsort(errors)[:_KEPT]]
            if shrink == _ROUNDS - 1:
                break
            spread = np.array([0.25, 0.12, 0.15]) / 2**shrink
            near = best[rng.integers(0, len(best), _GUESSES // 2)] + rng.normal(0, 1, (_GUESSES // 2, 3)) * spread
            guesses = np.concatenate([best, near])
        self.error = float(errors.min())
        good = errors <= self.error + _TOLERANCE
        self._views = guesses[good] if self.boxes else guesses[np.isfinite(errors)]
        order = np.argsort(errors[good]) if self.boxes else rng.permutation(len(self._views))
        self._views = self._views[order][: _KEPT * 4]
        self._usual = usual[np.isfinite(self._errors(usual))]
        self.doubt = float(np.clip((self.error - _FITS) / (_FITS_NOT - _FITS), 0, 1)) if self.boxes else 1.0

    def one(self, rng: np.random.Generator) -> Camera:
        """One of them, or in doubt any usual one, at x = y = 0, looking along y."""
        views = self._usual if len(self._usual) and rng.random() < self.doubt else self._views
        return _camera(views[rng.integers(len(views))])

    def described(self) -> dict:
        """For the model card: the middle of the views."""
        height, pitch, view = np.median(self._views, 0)
        return {
            "boxes": self.boxes,
            "error": round(self.error, 3),
            "doubt": round(self.doubt, 2),
            "height_m": round(float(np.exp(height)), 1),
            "down_deg": round(float(np.rad2deg(pitch)), 1),
            "view_deg": round(float(np.rad2deg(view)), 1),
        }

    def _errors(self, guesses: np.ndarray) -> np.ndarray:
        """Mean error of each guess as a logarithm of size, with a little preference for usual views."""
        total = np.zeros(len(guesses))
        for boxes, sides in self._boxes:
            if len(boxes):
                total += self._misfit(guesses, boxes, sides).sum(1)
        error = total / max(self.boxes, 1)
        error = error + 0.01 * (guesses[:, 0] - np.log(5.0)) ** 2 + 0.02 * (guesses[:, 2] - 1.1) ** 2
        low, high = np.log(_HEIGHT_M[0]), np.log(_HEIGHT_M[1])
        outside = (guesses[:, 0] < low) | (guesses[:, 0] > high)
        for column, (low, high) in ((1, _PITCH_RAD), (2, _VIEW_RAD)):
            outside |= (guesses[:, column] < low) | (guesses[:, column] > high)
        # The horizon in ratios of the height; the ground of the zones must lie below it.
        horizon = 0.5 - np.tan(guesses[:, 1]) / (2 * np.tan(guesses[:, 2] / 2)) * self._aspect
        outside |= horizon > self._ground_top - 0.01
        return np.where(outside, np.inf, error)

    def _misfit(self, guesses: np.ndarray, boxes: np.ndarray, sides: tuple[float, float, float]) -> np.ndarray:
        height, pitch, view = (guesses[:, i, None] for i in range(3))
        height = np.exp(height)
        focal = 1 / (2 * np.tan(view / 2))  # in picture widths
        across = (boxes[None, :, [0, 2]].mean(2) - 0.5) / focal
        down = (boxes[None, :, 3] - 0.5) / self._aspect / focal
        sine, cosine = np.sin(pitch), np.cos(pitch)
        # The ray through the foot of the box meets the ground at this distance along the view.
        drop = sine + down * cosine
        scale = height / np.maximum(drop, 1e-3)
        ahead, aside = scale * (cosine - down * sine), scale * across
        seen = np.stack([boxes[:, 2] - boxes[:, 0], (boxes[:, 3] - boxes[:, 1]) / self._aspect], -1)
        best = np.full(ahead.shape, _ERROR_MAX)
        tall, wide, long = sides
        for width, depth in ((wide, long), (long, wide)):
            x = np.stack([aside - width / 2, aside + width / 2])
            y = np.stack([ahead, ahead + depth])
            left, right, top, bottom = _outline(x, y, tall, height, sine, cosine, focal)
            got = np.stack([right - left, bottom - top], -1)
            off = np.abs(np.log(np.maximum(got, 1e-4) / seen[None])) @ np.array([0.35, 0.65])
            best = np.minimum(best, off)
        return np.where((drop > 1e-3) & (ahead < _REACH_M), best, _ERROR_MAX)


def _outline(x: np.ndarray, y: np.ndarray, tall: float, height: np.ndarray, sine: float, cosine: float, focal: float):
    """The box round a cuboid on the ground in picture widths: left, right, top, bottom."""
    columns, rows = [], []
    for i in range(2):
        for j in range(2):
            for z in (0.0, tall):
                below = height - z
                depth = np.maximum(y[j] * cosine + below * sine, 0.1)
                columns.append(focal * x[i] / depth)
                rows.append(focal * (below * cosine - y[j] * sine) / depth)
    columns, rows = np.stack(columns), np.stack(rows)
    return columns.min(0), columns.max(0), rows.min(0), rows.max(0)


def _first_guesses(rng: np.random.Generator) -> np.ndarray:
    """Rows of log height, pitch (down), horizontal field of view."""
    return np.stack(
        [
            rng.uniform(np.log(_HEIGHT_M[0]), np.log(_HEIGHT_M[1]), _GUESSES),
            rng.uniform(*_PITCH_RAD, _GUESSES),
            rng.uniform(*_VIEW_RAD, _GUESSES),
        ],
        1,
    )


def _whole(boxes: np.ndarray) -> np.ndarray:
    """Boxes that the picture's edge does not cut."""
    inside = (boxes[:, :2] > 0.01).all(1) & (boxes[:, 2:] < 0.99).all(1)
    return boxes[inside]


def _camera(guess: np.ndarray) -> Camera:
    height, pitch, view = float(np.exp(guess[0])), float(guess[1]), float(guess[2])
    return Camera(np.array([0.0, 0.0, height]), np.array([0.0, np.cos(pitch), -np.sin(pitch)]), view)
