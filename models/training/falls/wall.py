"""A painted façade in true perspective, the sky and neighbours behind it; by day, or at night under infrared."""

from __future__ import annotations

import cv2
import numpy as np

from .view import HEIGHT, MARGIN, WIDTH, View

_PER_M = 9  # texture pixels per metre
_SIZE = (WIDTH + 2 * MARGIN, HEIGHT + 2 * MARGIN)


def cloudy(rng: np.random.Generator, height: int, width: int, grain: float) -> np.ndarray:
    """Smooth noise of mean 0 and deviation of about 1, blobs `grain` pixels wide."""
    small = rng.standard_normal((max(2, int(height / grain) + 2), max(2, int(width / grain) + 2))).astype(np.float32)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


class Wall:
    """`canvas`: grey levels of the still scene with margins. `windows`: (along, above, width, height) in metres."""

    def __init__(self, rng: np.random.Generator, view: View, night: bool) -> None:
        self.floor_m = float(rng.uniform(2.8, 3.5))
        self.windows: list[tuple[float, float, float, float]] = []
        texture, glow = self._painted(rng, view, night)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (texture.shape[1], texture.shape[0])
        left, right = view.edges()
        straight, view.bend = view.bend, 0.0
        places = view.corners(view.wall_height, 0, left, right) + MARGIN
        to_canvas = cv2.getPerspectiveTransform(corners.astype(np.float32), places.astype(np.float32))
        ground = float(view.project([(0, 0, 0)])[0][0, 1]) + MARGIN
        view.bend = straight
        warp = {"M": to_canvas, "dsize": _SIZE, "flags": cv2.INTER_LINEAR}
        # Far floors are smaller than the texture's: soften it as a lens would.
        smooth = cv2.GaussianBlur(texture, (0, 0), max(0.3, 0.4 * _PER_M * view.distance / view.focal))
        seen, lights = cv2.warpPerspective(smooth, **warp), cv2.warpPerspective(glow, **warp)
        solid = cv2.warpPerspective(np.ones_like(texture), **warp) > 0.5
        behind = self._behind(rng, ground, night)
        if night:
            # The camera's own infrared reaches the lower floors and the middle.
            y, x = np.mgrid[: _SIZE[1], : _SIZE[0]].astype(np.float32)
            spot = np.exp(
                -((x - _SIZE[0] / 2) ** 2) / (0.4 * _SIZE[0]) ** 2 - ((y - 0.7 * _SIZE[1]) / (0.6 * _SIZE[1])) ** 2
            )
            seen = seen * (rng.uniform(0.08, 0.2) + rng.uniform(0.05, 0.45) * spot) + lights
        canvas = np.where(solid, seen, behind).astype(np.float32)
        across, down = view.unbent_grid()
        canvas = cv2.remap(canvas, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.canvas = cv2.GaussianBlur(np.clip(canvas, 1, 251), (0, 0), rng.uniform(0.4, 0.9))
        self._left = left

    def _painted(self, rng: np.random.Generator, view: View, night: bool) -> tuple[np.ndarray, np.ndarray]:
        """The texture and what shines in it."""
        width, height = int(view.wall_width * _PER_M), int(view.wall_height * _PER_M)
        base = rng.uniform(55, 215)
        texture = np.full((height, width), base, np.float32)
        for grain, low, high in ((60, 1, 8), (9, 0.5, 6), (2.5, 0.3, 5)):
            texture += cloudy(rng, height, width, grain) * rng.uniform(low, high)
        if rng.random() < 0.35:  # tiles or brick courses
            step = int(rng.integers(3, 7))
            texture[::step] -= rng.uniform(3, 14)
            texture[:, :: step * 2] -= rng.uniform(2, 9)
        glow = np.zeros_like(texture)
        style = rng.choice(["holes", "ribbon", "balconies", "glass"], p=[0.4, 0.15, 0.3, 0.15])
        floor, bay = self.floor_m * _PER_M, rng.uniform(2.4, 6) * _PER_M
        broad = bay * (rng.uniform(0.85, 1) if style in ("ribbon", "glass") else rng.uniform(0.3, 0.7))
        tall = floor * (rng.uniform(0.8, 0.95) if style == "glass" else rng.uniform(0.35, 0.65))
        glass, frame = rng.uniform(15, 150), rng.uniform(-40, 50)
        bays = max(1, int(width / bay))
        with_balcony = rng.random(bays) < (0.8 if style == "balconies" else 0.15)
        sill = rng.uniform(0.1, 0.3) * floor
        for level in range(int(height / floor)):
            top = height - (level + 1) * floor
            if rng.random() < 0.8:
                texture[int(max(top, 0)) : int(max(top, 0)) + int(rng.integers(1, 4))] += rng.uniform(-28, 14)
            for column in range(bays):
                x0, x1 = int(column * bay + (bay - broad) / 2), int(column * bay + (bay + broad) / 2)
                y0, y1 = int(max(0, top + floor - sill - tall)), int(top + floor - sill)
                if y1 - y0 < 3 or x1 - x0 < 3:
                    continue
                self._window(rng, texture, glow, (x0, y0, x1, y1), glass, frame, night)
                left = view.edges()[0]
                self.windows.append(
                    (left + x0 / _PER_M, (height - y1) / _PER_M, (x1 - x0) / _PER_M, (y1 - y0) / _PER_M)
                )
                if with_balcony[column]:
                    self._balcony(rng, texture, (x0 - 5, int(top + 0.6 * floor), x1 + 5, int(top + floor * 0.95)), base)
                elif rng.random() < 0.3:  # an air conditioner
                    x, y = x1 + int(rng.uniform(0, 3)), y1 - int(rng.uniform(0, 6))
                    texture[y : y + 6, x : x + 8] = rng.uniform(110, 235)
                    texture[y + 1 : y + 5, x + 1 : x + 5] -= 60
        for _ in range(int(rng.integers(0, 6))):  # pipes and stripes
            x = int(rng.integers(width))
            texture[:, x : x + int(rng.integers(1, 12))] += rng.uniform(-45, 45)
        if not night and rng.random() < 0.5:  # a neighbour's shadow
            edge = rng.uniform(-0.2, 1.2, 2) * width
            side = [[0, 0], [edge[0], 0], [edge[1], height], [0, height]]
            mask = np.zeros_like(texture)
            cv2.fillPoly(mask, [np.array(side, np.int32)], 1.0)
            mask = 1 - mask if rng.random() < 0.5 else mask
            texture *= 1 - rng.uniform(0.25, 0.65) * cv2.GaussianBlur(mask, (0, 0), 2)
        return np.clip(texture, 3, 250), glow

    @staticmethod
    def _window(rng, texture, glow, window, glass, frame, night) -> None:
        x0, y0, x1, y1 = window
        texture[y0 - 1 : y1 + 1, max(0, x0 - 1) : x1 + 1] += frame
        texture[y0:y1, x0:x1] = glass + rng.normal(0, 16) + np.linspace(rng.uniform(-15, 30), 0, y1 - y0)[:, None]
        if rng.random() < 0.5:  # a curtain
            texture[y0:y1, x0 : x0 + int((x1 - x0) * rng.uniform(0.1, 1))] += rng.uniform(-20, 60)
        middle = (x0 + x1) // 2
        texture[y0:y1, middle : middle + 1] += frame
        if night and rng.random() < 0.25:
            glow[y0:y1, x0:x1] = rng.uniform(60, 230)
            glow[y0:y1, middle : middle + 1] *= 0.4

    @staticmethod
    def _balcony(rng, texture, place, base) -> None:
        x0, y0, x1, y1 = max(0, place[0]), max(0, place[1]), place[2], place[3]
        if rng.random() < 0.6:
            texture[y0:y1, x0:x1] = base * rng.uniform(0.7, 1.15) + rng.normal(0, 5)
        texture[y0:y1, x0 : x1 : int(rng.integers(2, 5))] -= rng.uniform(8, 60)
        texture[y0 : y0 + 1, x0:x1] += rng.uniform(-50, 50)

    @staticmethod
    def _behind(rng: np.random.Generator, ground: float, night: bool) -> np.ndarray:
        width, height = _SIZE
        dim = 0.05 if night else 1.0
        fade = np.linspace(0, rng.uniform(0, 50), height, dtype=np.float32)[:, None]
        sky = rng.uniform(140, 250) - fade + cloudy(rng, height, width, rng.uniform(40, 150)) * rng.uniform(0, 18)
        sky = sky * dim
        for _ in range(int(rng.integers(0, 3))):  # neighbours
            x0, y0 = int(rng.uniform(-0.2, 1) * width), int(rng.uniform(0.05, 0.75) * height)
            x0, x1 = max(0, x0), max(0, x0) + int(rng.uniform(0.1, 0.35) * width)
            house = rng.uniform(50, 200) * (0.12 if night else 1)
            sky[y0:, x0:x1] = house
            sky[y0 :: int(rng.integers(6, 14)), x0:x1] *= 0.7
            sky[y0:, x0 : x1 : int(rng.integers(6, 16))] *= 0.75
        if ground < height:
            sky[max(0, int(ground)) :] = rng.uniform(45, 130) * (0.2 if night else 1)
            sky[max(0, int(ground)) :] += cloudy(rng, height - max(0, int(ground)), width, 6) * 5
        return sky
