"""Rain and snow, near and far, as light that is added."""

from __future__ import annotations

import cv2
import numpy as np

from .view import HEIGHT, WIDTH


class Rain:
    """Streaks, new ones in every picture: drops near the camera cross it within one."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.count, self.speed = int(rng.uniform(15, 170)), rng.uniform(400, 1500)
        self.bright, self.slant = rng.uniform(5, 30), rng.normal(0, 0.15)

    def light(self, second: float, step_s: float, shutter_s: float) -> np.ndarray:
        layer = np.zeros((HEIGHT, WIDTH), np.uint8)
        starts = self.rng.uniform((0, -20), (WIDTH, HEIGHT), (self.count, 2))
        lengths = self.speed * max(shutter_s, 0.008) * self.rng.uniform(0.4, 1.6, self.count)
        for (x, y), length in zip(starts, lengths, strict=True):
            end = (int(x + self.slant * length), int(y + length))
            cv2.line(layer, (int(x), int(y)), end, 255, 1 if length < 1.4 * self.speed * shutter_s else 2)
        return cv2.blur(layer, (3, 3)).astype(np.float32) * (self.bright / 255)


class Snow:
    """Flakes at several depths, sinking and wandering."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = int(rng.uniform(30, 350))
        self.depth = rng.uniform(0.25, 1, count) ** 2  # 1 is near
        self.place = rng.uniform((0, 0), (WIDTH, HEIGHT), (count, 2))
        self.sink, self.wind, self.size = rng.uniform(60, 260), rng.normal(0, 60), rng.uniform(1, 3)
        self.phase, self.bright = rng.uniform(0, 6, count), rng.uniform(15, 120)

    def light(self, second: float, step_s: float, shutter_s: float) -> np.ndarray:
        wander = np.sin(1.7 * second + self.phase) * 25
        self.place[:, 0] += (self.wind + wander) * self.depth * step_s
        self.place[:, 1] += self.sink * self.depth * step_s
        self.place %= (WIDTH, HEIGHT)
        layer = np.zeros((HEIGHT, WIDTH), np.uint8)
        for (x, y), depth in zip(self.place, self.depth, strict=True):
            long = int(self.sink * depth * shutter_s * 8)
            radius = max(1, int(self.size * depth * 8))
            cv2.ellipse(
                layer, (int(x * 16), int(y * 16)), (radius * 2, radius * 2 + long), 0, 0, 360, 255, -1, cv2.LINE_8, 4
            )
        return cv2.blur(layer, (3, 3)).astype(np.float32) * (self.bright / 255)
