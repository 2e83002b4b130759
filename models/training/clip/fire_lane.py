"""Two fire lanes: a car parks on one by day, cartons are put down in another by night (infrared)."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from world.camera import Camera
from world.figure import person
from world.furniture import lamp_post, planter, railing, sign_post, tree
from world.label import Label
from world.light import Light
from world.mesh import Frame, Material, block
from world.scene import Scene
from world.sensor import Sensor
from world.stall import pile
from world.street import fire_lane, ground, shop_row, slab, stripe
from world.vehicle import car

from .path import Path
from .story import Actor, Film, mover, walker

_DAY_LANE = ((-4.8, 4.6), (0.2, 3.1))
_NIGHT_LANE = ((-2.6, 3.2), (-0.6, 2.1))


def _lane_corners(lane: tuple) -> list[tuple[float, float, float]]:
    (x0, x1), (y0, y1) = lane
    return [(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)]


def day() -> Film:
    def stage(scene: Scene) -> None:
        ground(scene, 3.3, 0.12, 0.26, np.array([0.46, 0.44, 0.40]))
        fire_lane(scene, *_DAY_LANE)
        for x in np.arange(-40, 40, 5.0):
            stripe(scene, (x, -1.7), 2.0, 0.12, np.array([0.8, 0.8, 0.78]))
        scene.mesh.add(block(), (-2, 10.2, 0), (46, 8, 19), (0.62, 0.55, 0.47), Material.WINDOWS)
        scene.mesh.add(block(), (-2, 6.14, 0), (46, 0.1, 0.9), (0.33, 0.31, 0.30), Material.CONCRETE)
        shop_row(scene, -13.5, 11, 6.1)
        scene.mesh.add(block(), (5.5, 6.1, 0.12), (2.6, 0.1, 2.5), (0.25, 0.30, 0.33), Material.GLASS)
        scene.mesh.add(block(), (5.5, 5.5, 2.75), (4.0, 1.4, 0.22), (0.55, 0.52, 0.5), Material.CONCRETE)
        sign_post(scene, -6.2, 3.7)
        for x in (9.6, 12.4, -9.5):
            planter(scene, x, 5.2, 0.1)
        tree(scene, -11.0, 4.6, 3.0)
        tree(scene, 12.0, 4.4, 2.8)
        lamp_post(scene, 8.0, 3.8, 5.0)

    parked = Path(
        (6.4, -34, -1.3),
        (8.3, -14, -0.9),
        (9.8, -6.5, 0.9),
        (11.4, 0.2, 1.62),
        (38, 0.2, 1.62),
        (40.2, 6.5, 0.9),
        (42.2, 16, -0.9),
        (44.6, 36, -1.3),
    )
    passing = Path((2.2, 38, 1.5), (7.6, -34, 1.5))
    return Film(
        name="fire-lane-day",
        codec="h264",
        fps=12.5,
        gop_s=1,
        kbps=290,
        seconds=60,
        camera=Camera.looking_at((-5.0, -8.8, 5.8), (0.3, 1.9, 0.3), 63),
        light=Light(sun=np.array([-0.5, -0.62, 0.75]), sun_power=0.95, ambient=0.5, haze=0.001, seed=3.3),
        sensor=Sensor(noise=0.011, sharpen=0.5, saturation=0.95, exposure=0.82),
        focus=(0, 2, 0),
        stage=stage,
        stage_seed=11,
        begins=datetime(2026, 10, 18, 9, 12, 0),
        actors=[
            mover(21, passing, lambda scene, frame: car(scene, frame, (0.45, 0.06, 0.06))),
            mover(24, parked, lambda scene, frame: car(scene, frame, (0.82, 0.83, 0.85))),
            walker(31, Path((0.5, -15, 4.3), (27.0, 20, 4.6), z=0.12)),
            walker(32, Path((9.0, 20, 5.0), (35.0, -15, 4.9), z=0.12)),
            walker(35, Path((20.0, 20, -5.0), (27.0, 6, -2.4), (33.0, 1.0, 4.2), (38.0, 5.4, 5.4), (41.0, 5.5, 7.2))),
            walker(37, Path((43.0, -24, 4.0), (59.5, 22, 4.2), z=0.12)),
        ],
        truth={
            "zone": _lane_corners(_DAY_LANE),
            "scenario": "fire_lane",
            "expected": [{"from_s": 11, "to_s": 39, "what": "car parked on the lane"}],
        },
    )


def _carrier(seed: int, path: Path, carton_seed: int) -> Actor:
    """Carries a carton on every way towards the lane (while y falls), walks back with empty hands."""

    def build(scene: Scene, second: float) -> None:
        if not path.alive(second):
            return
        frame = path.frame(second)
        going = path.speed(second) > 0.15
        inward = going and path.point(second + 0.05)[1] < path.point(second - 0.05)[1]
        outward = second > 30 and not inward
        loaded = inward if second < 30 else outward
        person(
            scene,
            frame,
            "carry" if loaded else "walk" if going else "bend",
            path.walked(second) * 4.4 if going else 1.6,
        )
        if loaded:
            scene.rng = np.random.default_rng(carton_seed)
            colour = scene.cardboard()
            scene.mesh.add(block(), (0.46, 0, 1.0), (0.45, 0.5, 0.4), colour, Material.CARTON, len(scene.labels), frame)

    return Actor(seed, build)


def _shuttle(start: float, arrivals: list[float], pile_at: tuple[float, float], home: tuple[float, float]) -> Path:
    """From the door to the pile and back, once for each arrival."""
    places = [(start, *home)]
    for number, second in enumerate(arrivals):
        places += [(second, *pile_at), (second + 0.25, *pile_at)]
        if number + 1 < len(arrivals):
            places.append(((second + 0.25 + arrivals[number + 1]) / 2, home[0], home[1] - 2.2))
    places.append((arrivals[-1] + 2.2, *home))
    return Path(*places)


def night() -> Film:
    heaps = [
        (71, -0.3, 1.2, 0.05),
        (78, 0.95, 1.15, -0.1),
        (74, 0.3, 0.45, 0.2),
        (86, -0.85, 0.5, 0.1),
        (91, 1.2, 0.35, -0.15),
    ]

    def stage(scene: Scene) -> None:
        ground(scene, 3.0, 0.1, 0.3, np.array([0.4, 0.4, 0.4]))
        fire_lane(scene, *_NIGHT_LANE)
        slab(scene, (-80, 80), (3.0, 9.0), 0.1, np.array([0.42, 0.42, 0.42]), Material.CONCRETE)
        scene.mesh.add(block(), (-14.4, 8.4, 0), (26, 8, 14), (0.55, 0.52, 0.5), Material.BRICK)
        scene.mesh.add(block(), (15.2, 8.4, 0), (30, 8, 14), (0.6, 0.6, 0.58), Material.WINDOWS)
        scene.mesh.add(block(), (-0.6, 12.4, 0), (3, 8, 12), (0.05, 0.05, 0.05))
        scene.mesh.add(block(), (-6.0, 4.35, 0.1), (2.4, 0.1, 2.5), (0.5, 0.5, 0.5), Material.SHUTTER)
        scene.mesh.add(block(), (5.5, 4.35, 0.9), (1.0, 0.12, 0.7), (0.7, 0.2, 0.2), Material.PATCHWORK)
        railing(scene, (6.5, 22), 3.4, 0.1, np.array([0.6, 0.6, 0.6]))
        tree(scene, 9.5, 3.8, 2.4, 0.8)

    def heap(scene: Scene, second: float) -> None:
        grown = np.clip((second - 7.8) / 4.2, 0, 1) * np.clip((44.2 - second) / 4.4, 0, 1)
        owner = scene.own(Label.BOX)
        for index, (seed, x, y, yaw) in enumerate(heaps):
            share = float(np.clip(grown * len(heaps) - index * 0.9, 0, 1))
            if share > 0:
                scene.rng = np.random.default_rng(seed)
                pile(scene, Frame.at(x, y, yaw), "cartons", share, owner)

    first = _shuttle(5.4, [7.9, 9.5, 11.0], (-0.6, 2.2), (-1.3, 8.5))
    second = _shuttle(6.6, [8.7, 10.3, 11.8], (0.7, 2.3), (-0.4, 8.5))
    take_first = _shuttle(37.4, [39.9, 41.4, 42.8], (-0.6, 2.2), (-1.3, 8.5))
    take_second = _shuttle(38.4, [40.6, 42.1, 43.8], (0.7, 2.3), (-0.4, 8.5))
    return Film(
        name="fire-lane-night",
        codec="h264",
        fps=12.5,
        gop_s=2,
        kbps=250,
        seconds=60,
        camera=Camera.looking_at((3.4, -6.9, 4.6), (0.2, 1.1, 0.5), 60),
        light=Light(
            sun=np.array([0, 0, 1.0]),
            sun_power=0,
            ambient=0.03,
            sky=(0.01, 0.01, 0.01),
            infrared=True,
            night=True,
            seed=8.1,
        ),
        sensor=Sensor(noise=0.028, saturation=0.0, sharpen=0.4, vignette=0.7, bloom=0.4, exposure=0.66),
        focus=(0, 0, 0),
        stage=stage,
        stage_seed=12,
        begins=datetime(2026, 10, 18, 23, 41, 0),
        actors=[
            Actor(0, heap),
            _carrier(41, first, 401),
            _carrier(44, second, 402),
            _carrier(41, take_first, 403),
            _carrier(44, take_second, 404),
            walker(46, Path((18, 17, 1.0), (34, -19, 0.0))),
            walker(47, Path((46, -18, 3.6), (58.5, 16, 3.8), z=0.1)),
        ],
        truth={
            "zone": _lane_corners(_NIGHT_LANE),
            "scenario": "fire_lane",
            "expected": [{"from_s": 12, "to_s": 41, "what": "heap of cartons on the lane"}],
        },
    )
