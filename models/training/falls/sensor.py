"""What the camera adds: shake, exposure, cloud shadow, noise, temporal noise reduction."""

from __future__ import annotations

import cv2
import numpy as np

from .view import HEIGHT, MARGIN, WIDTH
from .wall import cloudy

SHAKES = (0.0, 0.15, 0.5, 1.3, 2.5)  # amplitude of the mast's swing in pixels


class Sensor:
    """One camera for one clip."""

    def __init__(
        self, rng: np.random.Generator, seconds: float, step_s: float, night: bool, canvas: np.ndarray
    ) -> None:
        self.rng = rng
        self.shake = float(rng.choice(SHAKES, p=(0.34, 0.28, 0.24, 0.1, 0.04)))
        self._rates, self._phases = rng.uniform(1.2, 9, 3), rng.uniform(0, 6, (2, 3))
        self._jolt_s = rng.uniform(0, seconds) if rng.random() < 0.1 else 1e9
        self.shutter_s = float(
            min(0.9 * step_s, rng.uniform(0.015, 0.04) if night else np.exp(rng.uniform(np.log(5e-4), np.log(0.014))))
        )
        # Slow hunting of the exposure, and steps of it.
        self._hunt = (rng.uniform(0, 0.05), rng.uniform(2, 20), rng.uniform(0, 6))
        self._steps = [
            (rng.uniform(0, seconds), rng.uniform(-0.28, 0.28), rng.uniform(0.02, 0.7))
            for _ in range(rng.poisson(0.25 + seconds / 60))
        ]
        self._cloud = cloudy(rng, HEIGHT + 200, WIDTH + 1200, 120) * 0.08 if not night and rng.random() < 0.2 else None
        self._wind = rng.uniform(5, 40)
        noise = rng.uniform(2.5, 8) if night else rng.uniform(0.7, 4)
        grain = rng.standard_normal((HEIGHT + 160, WIDTH + 160)).astype(np.float32)
        self._grain = cv2.GaussianBlur(grain, (0, 0), 0.5) * 1.5
        still = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN]
        self._spread = np.float32(noise) * (np.ones_like(still) if night else 0.5 + 0.5 * np.sqrt(still / 128))
        self._held = rng.uniform(0.25, 0.6) if rng.random() < (0.5 if night else 0.2) else 0.0
        self._last = None

    def moved(self, second: float) -> tuple[float, float]:
        """Pixels by which the picture is moved, right and down."""
        swing = self.shake * np.sin(2 * np.pi * self._rates * second * [[1.0], [1.1]] + self._phases).sum(1) / 1.7
        if second > self._jolt_s:
            after = second - self._jolt_s
            swing = swing + 5 * np.exp(-4 * after) * np.array([np.sin(30 * after), np.cos(25 * after)])
        x, y = np.clip(swing, 1 - MARGIN, MARGIN - 1)
        return float(x), float(y)

    def picture(self, canvas: np.ndarray, second: float, light: np.ndarray | None) -> np.ndarray:
        """The picture (height, width), uint8, of a painted canvas, with rain or snow as `light`."""
        dx, dy = self.moved(second)
        if (dx, dy) == (0.0, 0.0):
            seen = canvas[MARGIN:-MARGIN, MARGIN:-MARGIN].copy()
        else:
            shift = np.float32([[1, 0, dx - MARGIN], [0, 1, dy - MARGIN]])
            seen = cv2.warpAffine(canvas, shift, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        depth, period, phase = self._hunt
        gain = 1 + depth * np.sin(2 * np.pi * second / period + phase)
        gain += sum(change * float(np.clip((second - at) / lasts, 0, 1)) for at, change, lasts in self._steps)
        gain = np.float32(np.clip(gain, 0.4, 1.7))
        if self._cloud is not None:
            x = int(self._wind * second) % 1200
            seen *= gain + self._cloud[100 : 100 + HEIGHT, x : x + WIDTH]
        elif gain != 1:
            seen *= gain
        if light is not None:
            seen += light
        y, x = self.rng.integers(0, 160, 2)
        seen += self._grain[y : y + HEIGHT, x : x + WIDTH] * self._spread
        if self._held:
            if self._last is not None:
                change = self._last - seen
                keep = np.maximum(0, 1 - np.abs(change) * np.float32(1 / 35))
                seen += change * keep * np.float32(self._held)
            self._last = seen
        return cv2.convertScaleAbs(np.clip(seen, 0, 255))
