"""From linear light to what a cheap camera would send: exposure, optics, weather, noise, the clock, compression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np


@dataclass
class Sensor:
    """Fixed for a camera; `develop` adds what changes with each picture from the dice it is given."""

    exposure: float = 1.0
    gamma: float = 2.0
    vignette: float = 0.25
    blur: float = 0.0
    sharpen: float = 0.4
    noise: float = 0.012
    saturation: float = 1.0
    bloom: float = 0.0
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0

    def develop(self, light: np.ndarray, rng: np.random.Generator, rain: float = 0.0, snow: float = 0.0) -> np.ndarray:
        """Linear light to an RGB picture of bytes. `rain` and `snow` are 0 … 1."""
        height, width = light.shape[:2]
        image = light * (np.array(self.white, np.float32) * np.float32(self.exposure))
        if self.bloom > 0:
            image = image + self.bloom * cv2.GaussianBlur(np.maximum(image - 0.8, 0), (0, 0), 5)
        image = _tone_curve(self.gamma)[(np.clip(image, 0, 1.6) * np.float32(_TONE_STEPS / 1.6)).astype(np.int32)]
        image = image * _vignette(height, width, self.vignette)
        if rain > 0:
            image = _rain(image, rng, rain)
        if snow > 0:
            image = _snow(image, rng, snow)
        if self.blur > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.sharpen > 0:
            image = image + self.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.2))
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * self.saturation
        if self.contrast != 1:
            image = (image - 0.5) * self.contrast + 0.5
        speckle = rng.standard_normal((height, width, 1), dtype=np.float32) * np.float32(self.noise)
        if self.saturation > 0:
            speckle = speckle + rng.standard_normal((height, width, 3), dtype=np.float32) * np.float32(self.noise / 2)
        return (np.clip(image + speckle, 0, 1) * 255).astype(np.uint8)


_TONE_STEPS = 8191


@lru_cache(maxsize=4)
def _tone_curve(gamma: float) -> np.ndarray:
    """Linear light 0 … 1.6 to picture values 0 … 1, as a table: a soft shoulder, then gamma."""
    light = np.linspace(0, 1.6, _TONE_STEPS + 1)
    return (np.clip(light / (1 + 0.25 * light) * 1.15, 0, 1) ** (1 / gamma)).astype(np.float32)


def metered(light: np.ndarray, night: bool) -> float:
    """The exposure that an automatic camera would pick for this picture."""
    if night:
        return float(np.clip(0.8 / (np.percentile(light, 88) + 0.02), 0.3, 10))
    return float(0.42 / (np.percentile(light, 60) + 1e-3))


def random_sensor(rng: np.random.Generator, light: np.ndarray, night: bool, infrared: bool) -> Sensor:
    grey = infrared or rng.random() < 0.04
    return Sensor(
        exposure=metered(light, night) * float(np.exp(rng.normal(0, 0.3))),
        gamma=float(rng.uniform(1.5, 2.5)),
        vignette=float(rng.uniform(0, 0.9)),
        blur=float(rng.uniform(0.4, 1.5)) if rng.random() < 0.35 else 0.0,
        sharpen=float(rng.uniform(0.3, 1.5)) if rng.random() < 0.45 else 0.0,
        noise=float(rng.uniform(0.01, 0.06) if night else rng.uniform(0.002, 0.03)),
        saturation=0.0 if grey else float(rng.uniform(0.3, 1.15)),
        bloom=float(rng.uniform(0.3, 1.5)) if night else 0.0,
        white=tuple(float(v) for v in 1 + rng.normal(0, 0.06, 3)),
        contrast=float(rng.uniform(0.5, 1.25)) if rng.random() < 0.35 else 1.0,
    )


def stamp(picture: np.ndarray, text: str, at: tuple[int, int] = (12, 24), scale: float = 0.5) -> np.ndarray:
    """The camera's clock, white with a dark rim, burnt into the picture."""
    picture = np.ascontiguousarray(picture)
    for colour, thickness in (((20, 20, 20), 3), ((245, 245, 245), 1)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return picture


def jpeg(picture: np.ndarray, quality: int) -> bytes:
    """An RGB picture as JPEG."""
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1].tobytes()


def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (1 - strength * ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2))[..., None].astype(np.float32)


def _rain(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    height, width = image.shape[:2]
    streaks = np.zeros((height, width), np.float32)
    slant = rng.normal(0.08, 0.05)
    for _ in range(int(amount * 420)):
        x, y, length = rng.uniform(0, width), rng.uniform(-10, height), rng.uniform(6, 20)
        cv2.line(
            streaks,
            (int(x), int(y)),
            (int(x + slant * length), int(y + length)),
            float(rng.uniform(0.08, 0.35)),
            1,
            cv2.LINE_AA,
        )
    return image * (1 - 0.06 * amount) + 0.04 * amount + streaks[..., None] * 0.55


def _snow(image: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    height, width = image.shape[:2]
    flakes = np.zeros((height, width), np.float32)
    for _ in range(int(amount * 350)):
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        cv2.circle(flakes, centre, int(rng.integers(1, 3)), float(rng.uniform(0.25, 0.8)), -1, cv2.LINE_AA)
    return image * (1 - 0.1 * amount) + 0.09 * amount + cv2.GaussianBlur(flakes, (0, 0), 0.6)[..., None]
