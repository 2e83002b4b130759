"""Two pavements where a stall is set up: a fitted-out tricycle by day, a cart with a lamp by night."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from world.camera import Camera
from world.cycle import motorcycle
from world.figure import person
from world.furniture import bin_, lamp_post, planter, sign_post, tree
from world.light import Light
from world.mesh import Frame, Material, ball, block
from world.scene import Scene
from world.sensor import Sensor
from world.stall import stall, umbrella
from world.street import buildings, ground, stripe
from world.vehicle import car

from .path import Path
from .story import Actor, Film, mover, walker


def _opening(second: float, opens: float, closes: float) -> float:
    """0 … 1: how far the sunshade is up."""
    return float(np.clip((second - opens) / 1.6, 0, 1) * np.clip((closes - second) / 1.6, 0, 1))


def _sunshade(seed: int, at: tuple[float, float, float], opens: float, closes: float, radius: float) -> Actor:
    def build(scene: Scene, second: float) -> None:
        share = _opening(second, opens, closes)
        if share > 0.02:
            umbrella(scene, Frame.at(at[0], at[1], 0.4, at[2]), 1.3 + 1.0 * share, 0.15 + (radius - 0.15) * share)

    return Actor(seed, build)


def day() -> Film:
    kerb = 0.13

    def stage(scene: Scene) -> None:
        ground(scene, 4.0, kerb, 0.27, np.array([0.52, 0.47, 0.41]))
        for x in np.arange(-60, 60, 6.0):
            stripe(scene, (x, 0), 2.6, 0.15, np.array([0.82, 0.82, 0.8]))
        stripe(scene, (0, 3.5), 160, 0.12, np.array([0.82, 0.66, 0.15]))
        buildings(scene, 9.4, shops=1.0, plain=True)
        for x in (-10.5, -3.4, 11.0):
            tree(scene, x, 5.0, 2.9, 0.9)
        lamp_post(scene, 5.6, 4.6, 5.2)
        bin_(scene, 7.4, 5.2)
        planter(scene, 8.6, 8.6, kerb)
        planter(scene, -7.6, 8.6, kerb)
        sign_post(scene, -6.4, 4.7)
        for i in range(3):
            motorcycle(scene, Frame.at(-9.6 + i * 0.8, 7.9, 1.5, kerb), ridden=False)

    ride = Path(
        (3.4, -26, 5.9), (6.4, -8, 6.0), (8.3, 0.2, 6.2), (42.2, 0.2, 6.2), (44.4, 7.5, 6.1), (47.6, 26, 5.9), z=kerb
    )

    def rider(scene: Scene, second: float) -> None:
        if ride.alive(second) and ride.speed(second) > 0.1:
            person(scene, ride.frame(second).moved(1.25, 0, 0.22), "sit", shadow=False)

    return Film(
        name="vending-day",
        codec="hevc",
        fps=12.5,
        gop_s=2,
        kbps=235,
        seconds=60,
        camera=Camera.looking_at((2.9, -4.2, 4.3), (0.0, 6.4, 1.1), 58),
        light=Light(sun=np.array([0.45, -0.55, 0.8]), sun_power=0.9, ambient=0.52, haze=0.001, seed=17.7),
        sensor=Sensor(noise=0.010, sharpen=0.5, saturation=1.0, exposure=0.85),
        focus=(0, 6, 0),
        stage=stage,
        stage_seed=26,
        begins=datetime(2026, 10, 17, 16, 30, 0),
        actors=[
            mover(53, ride, lambda scene, frame: stall(scene, frame, "tricycle")),
            Actor(54, rider),
            walker(
                54,
                Path(
                    (8.6, 1.3, 6.2),
                    (10.4, 0.9, 7.5),
                    (12.0, 0.0, 7.5),
                    (40.0, 0.1, 7.5),
                    (41.6, 1.2, 7.0),
                    (42.0, 1.3, 6.3),
                    z=kerb,
                ),
            ),
            _sunshade(57, (-0.5, 7.0, kerb), 10.6, 40.6, 1.45),
            walker(58, Path((10, -17, 7.8), (22, -0.4, 5.15), (29, -0.4, 5.15), (42, 20, 6.9), z=kerb)),
            walker(61, Path((14, 19, 5.3), (24, 0.9, 5.2), (33, 0.9, 5.2), (47, -19, 7.4), z=kerb)),
            walker(62, Path((0.5, 19, 7.9), (27, -20, 7.8), z=kerb)),
            walker(63, Path((31, -19, 8.3), (58.5, 20, 8.4), z=kerb)),
            mover(64, Path((1.5, -40, -1.9), (7.5, 42, -1.9)), car),
            mover(66, Path((17, 44, 1.9), (24, -42, 1.9)), car),
            mover(68, Path((49, -44, -1.9), (57, 42, -1.9)), car),
        ],
        truth={
            "zone": [(-5.5, 4.3, kerb), (5.5, 4.3, kerb), (5.5, 8.9, kerb), (-5.5, 8.9, kerb)],
            "scenario": "street_vending",
            "expected": [{"from_s": 9, "to_s": 42, "what": "tricycle stall with a sunshade and a vendor"}],
        },
    )


def night() -> Film:
    kerb = 0.12
    push = Path(
        (4.6, 22, 6.2), (7.8, 2.6, 6.0), (9.0, 0.0, 5.9), (41.6, 0.0, 5.9), (43.4, -2.6, 5.9), (50.0, -24, 6.3), z=kerb
    )

    def stage(scene: Scene) -> None:
        ground(scene, 4.2, kerb, 0.24, np.array([0.44, 0.42, 0.41]))
        stripe(scene, (0, 0.1), 160, 0.14, np.array([0.8, 0.62, 0.1]))
        buildings(scene, 8.8, shops=1.0, plain=True)
        lamp_post(scene, -4.6, 4.6, 5.4)
        lamp_post(scene, 7.4, 4.6, 5.4)
        tree(scene, 11.5, 5.0, 3.0)
        tree(scene, -10.5, 5.0, 3.0)
        for i in range(4):
            motorcycle(scene, Frame.at(4.9 + i * 0.75, 7.7, 1.5, kerb), ridden=False)
        bin_(scene, -6.2, 5.1)

    lit: dict[tuple[float, float], Light] = {}

    def lights(light: Light, second: float) -> Light:
        """The street lamps, and the stall's own where it is now."""
        if not push.alive(second):
            return light
        x, y = (round(float(v), 2) for v in push.point(second))
        if (x, y) not in lit:
            lit[x, y] = replace(light, lamps=[*light.lamps, (x, y, 1.95, 1.1)])
        return lit[x, y]

    def cart(scene: Scene, frame: Frame) -> None:
        owner = stall(scene, frame, "cart")
        for end in (-0.5, 0.5):
            scene.mesh.limb((end, 0, 0.9), (end, 0, 1.95), 0.035, (0.5,) * 3, owner=owner, frame=frame)
        scene.mesh.limb((-0.5, 0, 1.95), (0.5, 0, 1.95), 0.035, (0.5,) * 3, owner=owner, frame=frame)
        scene.mesh.add(ball(8, 6), (0, 0, 1.83), (0.17, 0.17, 0.17), (1.0, 0.93, 0.75), Material.GLOWING, owner, frame)
        scene.mesh.add(block(), (0, 0, 1.97), (0.35, 0.35, 0.05), (0.4, 0.42, 0.4), owner=owner, frame=frame)

    def vendor(scene: Scene, second: float) -> None:
        if not push.alive(second):
            return
        if push.speed(second) > 0.1:
            person(scene, push.frame(second).moved(-1.35, 0), "carry", push.walked(second) * 4.4)
        else:
            person(scene, Frame.at(0.1, 6.9, -1.57, kerb), "stand", 1.6)

    return Film(
        name="vending-night",
        codec="hevc",
        fps=12.5,
        gop_s=2,
        kbps=235,
        seconds=60,
        camera=Camera.looking_at((-5.4, -2.6, 4.6), (0.5, 6.2, 0.8), 58),
        light=Light(
            sun=np.array([0, 0, 1.0]),
            sun_power=0,
            ambient=0.05,
            sky=(0.015, 0.015, 0.03),
            night=True,
            seed=5.9,
            lamps=[(-4.6, 3.4, 5.4, 9.0), (7.4, 3.4, 5.4, 9.0), (-18, 3.4, 5.4, 9.0), (20, 3.4, 5.4, 9.0)],
            lamp_colour=(1.0, 0.84, 0.6),
        ),
        sensor=Sensor(noise=0.024, bloom=0.3, sharpen=0.3, saturation=0.9, exposure=0.5, gamma=1.8),
        focus=(0, 6, 0),
        stage=stage,
        stage_seed=33,
        begins=datetime(2026, 10, 17, 21, 5, 0),
        light_at=lights,
        actors=[
            mover(92, push, cart),
            Actor(74, vendor),
            walker(75, Path((11, 19, 7.6), (21, 1.0, 4.95), (30, 1.0, 4.95), (41, -19, 7.8), z=kerb)),
            walker(76, Path((16, -19, 7.9), (25, -0.6, 4.95), (33, -0.6, 4.95), (44, 18, 7.9), z=kerb)),
            walker(77, Path((0.5, -18, 8.1), (25, 19, 8.2), z=kerb)),
            walker(79, Path((36, 19, 8.2), (59, -18, 8.1), z=kerb)),
            mover(81, Path((13, -46, -1.8), (20, 46, -1.8)), car),
            mover(82, Path((46, 46, 2.0), (54, -46, 2.0)), car),
        ],
        truth={
            "zone": [(-4.0, 4.5, kerb), (4.6, 4.5, kerb), (4.6, 8.4, kerb), (-4.0, 8.4, kerb)],
            "scenario": "street_vending",
            "expected": [{"from_s": 9.5, "to_s": 42, "what": "pushed cart stall with a lamp and a vendor"}],
        },
    )
