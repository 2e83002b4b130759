"""What lights a scene: sun and sky, street lamps, or the camera's own infrared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LAMPS_MAX = 6  # the length of the uniform array in `shader.py`


@dataclass
class Light:
    sun: np.ndarray = field(default_factory=lambda: np.array([0.35, -0.45, 0.82]))
    sun_power: float = 1.0
    ambient: float = 0.5
    sky: tuple[float, float, float] = (0.62, 0.74, 0.92)
    infrared: bool = False
    night: bool = False
    lamps: list[tuple[float, float, float, float]] = field(default_factory=list)
    lamp_colour: tuple[float, float, float] = (1.0, 0.82, 0.55)
    haze: float = 0.002
    seed: float = 1.0
    cloud: float = 0.0
    wet: float = 0.0
    snow: float = 0.0  # how much of what looks up is white
    beam: float = 0.0  # how narrow the infrared lamp's cone is

    def lamp_slots(self) -> list[tuple[float, float, float, float]]:
        """Exactly as many lamps as the shader has places for."""
        return (self.lamps + [(0.0, 0.0, 50.0, 0.0)] * LAMPS_MAX)[:LAMPS_MAX]


def random_light(rng: np.random.Generator, night: bool, infrared: bool, road_half: float) -> Light:
    sun = np.array([rng.normal(), rng.normal() - 0.4, rng.uniform(0.25, 1.5)])
    sun /= np.linalg.norm(sun)
    overcast = rng.random() < 0.4
    hard = not overcast and rng.random() < 0.3  # deep shadows under a clear sky
    sky = (
        np.array([0.02, 0.02, 0.04]) * rng.uniform(0.3, 3)
        if night
        else np.array([0.58, 0.68, 0.82]) * rng.uniform(0.6, 1.3)
    )
    lamps = [
        (rng.uniform(-15, 15), rng.uniform(-road_half - 2, road_half + 2), rng.uniform(4, 7), rng.uniform(3, 12))
        for _ in range(LAMPS_MAX)
    ]
    return Light(
        sun=sun,
        sun_power=0.0 if night else float(rng.uniform(0.05, 0.3) if overcast else rng.uniform(0.6, 1.5)),
        ambient=float(rng.uniform(0.02, 0.14) if night else rng.uniform(0.15, 0.3) if hard else rng.uniform(0.35, 0.7)),
        sky=tuple(float(v) for v in sky),
        infrared=infrared,
        night=night,
        lamps=lamps,
        lamp_colour=(1.0, float(rng.uniform(0.65, 1)), float(rng.uniform(0.35, 1))),
        haze=float(rng.uniform(0, 0.012) if rng.random() < 0.6 else 0.0),
        seed=float(rng.uniform(0, 1000)),
        wet=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.15 else 0.0,
        snow=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.06 else 0.0,
        beam=float(rng.uniform(0.05, 1.0)) if infrared and rng.random() < 0.6 else 0.0,
    )
