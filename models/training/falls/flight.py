"""Things that fall in three dimensions: gravity, drag, an initial throw, tumbling; and drops that drip all day."""

from __future__ import annotations

import numpy as np

from .stamp import box, ellipse, stamp
from .view import HEIGHT, MARGIN, WIDTH, View

_STEP_S = 0.005
_GRAVITY = 9.81


def path(start: np.ndarray, speed: np.ndarray, terminal: float, seconds: float = 7.0) -> np.ndarray:
    """Places (n, 3) every 5 ms until the ground: gravity and quadratic drag."""
    place, speed, places = np.array(start, float), np.array(speed, float), []
    for _ in range(int(seconds / _STEP_S)):
        places.append(place.copy())
        drag = -_GRAVITY * np.linalg.norm(speed) * speed / terminal**2
        speed = speed + (np.array([0, -_GRAVITY, 0]) + drag) * _STEP_S
        place = place + speed * _STEP_S
        if place[1] < 0.1:
            break
    return np.array(places)


class Thrown:
    """One thing thrown at `at_s`. `track`: (picture, x, y, size, contrast) of each time it was seen."""

    def __init__(
        self,
        rng: np.random.Generator,
        view: View,
        wall: np.ndarray,
        at_s: float,
        places: list[tuple[float, float]],
        end_s: float,
    ) -> None:
        self.at_s, self.track, self.fits = at_s, [], False
        from_above = rng.random() < 0.06
        for _ in range(60):
            along, above = places[rng.integers(len(places))]
            start = np.array([along + rng.uniform(-0.6, 0.6), above + rng.uniform(-0.3, 0.8), rng.uniform(0.2, 1.4)])
            (x, y), scale = view.project(start)[0][0], view.project(start)[1][0]
            if not (10 < x < WIDTH - 10 and (y < 0 if from_above else 8 < y < HEIGHT * 0.72)):
                continue
            # Foam and cardboard, shoes, bottles, stones.
            self.terminal = float(np.exp(rng.uniform(np.log(9), np.log(55))))
            speed = np.array([rng.normal(0, 1.3), rng.uniform(-1.5, 2.2), abs(rng.normal(0, 2.2))])
            self.path = path(start, speed, self.terminal)
            pixels, scales = view.project(self.path)
            seen = (pixels > 0).all(1) & (pixels[:, 0] < WIDTH) & (pixels[:, 1] < HEIGHT - 2)
            seen[int(max(0.0, end_s - at_s) / _STEP_S) :] = False
            lines = pixels[seen, 1]
            metres = self.path[seen, 1]
            if seen.sum() * _STEP_S > 0.7 and np.ptp(lines) > 50 and np.ptp(metres) > 4.5:
                self.fits = True
                break
        if not self.fits:
            return
        self.pixels, self.scales, self.release_scale = pixels, scales, scale
        self.release_height_m = float(start[1])
        self.release_seen = bool(seen[0])
        self.leaves_s = at_s + float(np.nonzero(seen)[0][-1]) * _STEP_S
        self.size = float(np.exp(rng.uniform(np.log(2), np.log(14))))  # pixels, long axis, at the release
        self.slim = rng.uniform(0.35, 1)
        self.square = rng.random() < 0.5
        self.turn, self.angle = rng.uniform(-12, 12), rng.uniform(0, 6)
        self.glint = rng.uniform(0, 0.35)
        # Grey against what lies behind the first part of its way.
        way = pixels[seen][:: max(1, seen.sum() // 12)][:9].astype(int) + MARGIN
        behind = float(np.median(wall[way[:, 1], way[:, 0]]))
        contrast = float(np.exp(rng.uniform(np.log(12), np.log(140))))
        up = behind + contrast < 246 and (rng.random() < 0.5 or behind - contrast < 4)
        self.value = float(np.clip(behind + (contrast if up else -contrast), 2, 250))

    def draw(
        self, canvas: np.ndarray, picture: int, second: float, shutter_s: float, shake: tuple[float, float]
    ) -> None:
        """Draws it as it was during the shutter that closes at `second`."""
        since = second - self.at_s
        index = int(since / _STEP_S)
        if not self.fits or since < 0 or index >= len(self.pixels):
            return
        x, y = self.pixels[index]
        if not (-15 < x < WIDTH + 15 and -15 < y < HEIGHT + 15):
            return
        sweep = (self.pixels[index] - self.pixels[max(0, index - 1)]) / _STEP_S * shutter_s if index else np.zeros(2)
        a = self.size / 2 * self.scales[index] / self.release_scale
        tumble = 0.5 + 0.5 * np.cos(2 * (self.angle + self.turn * since))
        b = a * (self.slim + (1 - self.slim) * 0.6 * tumble)
        angle = self.angle + 0.7 * self.turn * since
        outline = box(x, y, 2 * a, 2 * b, angle) if self.square else ellipse(x, y, a, b, angle)
        value = float(np.clip(self.value * (1 + self.glint * (tumble - 0.5)), 2, 252))
        contrast = stamp(canvas, outline, value, (float(sweep[0]), float(sweep[1])))
        x, y = (self.pixels[index] - sweep / 2) + shake
        if contrast and 0 <= x < WIDTH and 0 <= y < HEIGHT:
            self.track.append((picture, float(x), float(y), 2 * a, contrast))


class Drip:
    """An air conditioner that drips: drop after drop down one column, each a small true projectile."""

    def __init__(
        self, rng: np.random.Generator, view: View, wall: np.ndarray, places: list[tuple[float, float]], seconds: float
    ) -> None:
        along, above = places[rng.integers(len(places))]
        self.pixels, self.scales = view.project(path(np.array([along, above, 0.6]), np.zeros(3), rng.uniform(7, 9.5)))
        self.period, self.radius = rng.uniform(1.5, 12), rng.uniform(0.35, 0.8)
        self.times = np.cumsum(self.period * rng.uniform(0.7, 1.3, int(seconds / self.period) + 3)) - 8
        way = (self.pixels[: len(self.pixels) // 2 : 20].astype(int) + MARGIN).clip(
            0, (WIDTH + 2 * MARGIN - 1, HEIGHT + 2 * MARGIN - 1)
        )
        behind = float(np.median(wall[way[:, 1], way[:, 0]])) if len(way) else 100.0
        self.value = float(np.clip(behind + rng.choice([-1, 1]) * rng.uniform(20, 80), 2, 250))

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        for at in self.times:
            index = int((second - at) / _STEP_S)
            if second >= at and index < len(self.pixels):
                sweep = (self.pixels[index] - self.pixels[max(0, index - 1)]) / _STEP_S * shutter_s
                stamp(canvas, ellipse(*self.pixels[index], self.radius, self.radius), self.value, tuple(sweep))
