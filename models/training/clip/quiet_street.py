"""An ordinary street: traffic, people, parked cars, a shower of rain. Nothing to report."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from world.camera import Camera
from world.cycle import motorcycle, tricycle
from world.furniture import bin_, bollards, lamp_post, planter, sign_post, tree
from world.light import Light
from world.mesh import Frame
from world.scene import Scene
from world.sensor import Sensor
from world.street import buildings, fire_lane, ground, stripe
from world.vehicle import car, truck

from .path import Path
from .story import Film, mover, walker

_LANE = ((-9.0, -1.5), (2.4, 5.2))
_RAIN_FROM, _RAIN_TO = 22.0, 46.0


def _rain(second: float) -> float:
    return 0.55 * float(np.clip((second - _RAIN_FROM) / 3, 0, 1) * np.clip((_RAIN_TO - second) / 3, 0, 1))


def street() -> Film:
    kerb = 0.12

    def stage(scene: Scene) -> None:
        ground(scene, 5.4, kerb, 0.25, np.array([0.48, 0.46, 0.43]))
        for x in np.arange(-60, 60, 6.0):
            stripe(scene, (x, -0.9), 2.6, 0.15, np.array([0.82, 0.82, 0.8]))
        for y in np.arange(-4.9, 5.2, 0.9):
            stripe(scene, (14.5, y), 3.0, 0.42, np.array([0.8, 0.8, 0.78]))
        fire_lane(scene, *_LANE)
        buildings(scene, 10.6, shops=1.0, plain=True)
        for seed, x in ((1, 1.9), (2, 7.4)):
            scene.rng = np.random.default_rng(seed)
            car(scene, Frame.at(x, 4.3, 0.0))
        scene.rng = np.random.default_rng(9)
        for i in range(4):
            motorcycle(scene, Frame.at(8.5 + i * 0.8, 7.2, 1.5, kerb), ridden=False)
        for x in (-12.0, -2.6, 6.4):
            tree(scene, x, 6.4, 3.1)
        lamp_post(scene, 2.4, 6.0, 5.6)
        bollards(scene, -8.0, 5.9)
        bin_(scene, 4.2, 6.3)
        planter(scene, -4.8, 9.9, kerb)
        sign_post(scene, -10.0, 6.0)

    wetness: dict[int, Light] = {}

    def shower(light: Light, second: float) -> Light:
        """The ground gets wet, the air hazy, the sky darker: in twelfths."""
        step = round(12 * _rain(second) / 0.55)
        if step not in wetness:
            share = step / 12
            dimmed = light.ambient * (1 - 0.15 * share)
            wetness[step] = replace(light, wet=0.3 * share, haze=light.haze + 0.003 * share, ambient=dimmed)
        return wetness[step]

    return Film(
        name="quiet-street",
        codec="hevc",
        fps=12.5,
        gop_s=2,
        kbps=255,
        seconds=60,
        camera=Camera.looking_at((0.8, -9.6, 6.4), (-0.6, 4.6, 0.4), 74),
        light=Light(
            sun=np.array([0.3, -0.5, 0.9]), sun_power=0.22, ambient=0.74, sky=(0.7, 0.74, 0.8), haze=0.003, seed=21.4
        ),
        sensor=Sensor(noise=0.012, sharpen=0.4, saturation=0.95, exposure=0.78),
        focus=(0, 4, 0),
        stage=stage,
        stage_seed=44,
        begins=datetime(2026, 10, 19, 14, 20, 0),
        light_at=shower,
        rain_at=_rain,
        actors=[
            mover(101, Path((0.5, -44, -3.2), (6.5, 44, -3.2)), car),
            mover(102, Path((9, 44, 1.2), (16, -44, 1.2)), truck),
            mover(104, Path((14, -44, -3.0), (22, 44, -3.0)), car),
            mover(106, Path((24, 44, 1.0), (31, -44, 1.0)), car),
            mover(107, Path((29, -40, -2.8), (40, 40, -2.8)), lambda scene, frame: motorcycle(scene, frame, True)),
            mover(109, Path((35, 40, 1.3), (49, -40, 1.3)), lambda scene, frame: tricycle(scene, frame, True)),
            mover(110, Path((46, -44, -3.2), (53, 44, -3.2)), car),
            mover(111, Path((52, 44, 1.1), (58.5, -44, 1.1)), car),
            walker(112, Path((1, -22, 8.2), (32, 22, 8.4), z=kerb)),
            walker(113, Path((3, 22, 7.0), (35, -22, 7.4), z=kerb)),
            walker(114, Path((20, -22, 7.2), (52, 22, 8.8), z=kerb)),
            walker(116, Path((28, 22, 9.0), (58, -22, 8.6), z=kerb)),
            walker(117, Path((38, 14, -12), (42, 13.6, -5), (50, 14.2, 6.4), (59, 24, 8.6))),
        ],
        truth={
            "zone": [
                (_LANE[0][0], _LANE[1][0], 0),
                (_LANE[0][1], _LANE[1][0], 0),
                (_LANE[0][1], _LANE[1][1], 0),
                (_LANE[0][0], _LANE[1][1], 0),
            ],
            "scenario": "fire_lane",
            "expected": [],
            "more_zones": [
                {
                    "scenario": "street_vending",
                    "zone": [(-7.5, 6.9, kerb), (1.2, 6.9, kerb), (1.2, 10.2, kerb), (-7.5, 10.2, kerb)],
                    "expected": [],
                }
            ],
        },
    )
