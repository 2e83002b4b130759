"""One random street picture from one seed: the world of the training set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import distractor
from .camera import Camera
from .cycle import motorcycle, tricycle
from .figure import person
from .label import boxes_from_ids
from .light import Light, random_light
from .mesh import Frame
from .optics import barrel, drops
from .renderer import Renderer
from .scene import Scene
from .sensor import random_sensor, stamp
from .stall import hand_umbrella, pile, stall, umbrella
from .street import Street, random_street
from .vehicle import car, truck

Maker = Callable[[Scene, Frame], object]
_NIGHT, _INFRARED_OF_NIGHT, _EMPTY, _BENT = 0.27, 0.45, 0.1, 0.4


@dataclass
class View:
    """The camera of a picture and how far its interest reaches."""

    camera: Camera
    yaw: float
    reach_m: float
    near_m: float = 2.5
    bend: float = 0.0


def random_view(rng: np.random.Generator, half: float) -> View:
    close = rng.random() < 0.22  # a low camera over a pavement or in a doorway: people fill the picture
    height = rng.uniform(2.2, 3.6) if close else rng.uniform(2.6, 8.5) if rng.random() < 0.8 else rng.uniform(8, 16)
    across = rng.random() < 0.6
    eye = np.array([rng.uniform(-6, 6), -half - rng.uniform(-1, 5) if across else rng.uniform(-half, half), height])
    yaw = rng.uniform(0.1, 0.9) * np.pi if across else (0.0 if rng.random() < 0.5 else np.pi) + rng.uniform(-0.35, 0.35)
    reach = rng.uniform(3.0, 7.0) if close else rng.uniform(5.5, 22)
    pitch = np.arctan2(height - 1.0, reach) + rng.normal(0, 0.04)
    forward = np.array([np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), -np.sin(pitch)])
    camera = Camera(eye, forward, float(np.deg2rad(rng.uniform(38, 108))), float(rng.normal(0, 0.04)))
    bend = float(rng.uniform(0.05, 0.5)) if rng.random() < _BENT else 0.0
    return View(camera, float(yaw), float(reach), 1.3 if close else 2.5, bend)


class _Placer:
    """Puts things where the camera sees them, never two in one place."""

    def __init__(self, scene: Scene, street: Street, view: View) -> None:
        self._scene, self._street, self._view = scene, street, view
        self._taken: list[tuple[float, float, float]] = []

    def put(self, maker: Maker, mean: float, radius: float, where: str = "any", any_yaw: bool = False) -> None:
        rng, view, street = self._scene.rng, self._view, self._street
        for _ in range(int(rng.poisson(mean))):
            for _attempt in range(12):
                distance = view.reach_m * 10 ** rng.uniform(-0.45, 0.35)
                bearing = view.yaw + rng.uniform(-0.48, 0.48) * view.camera.view_rad
                x = view.camera.eye[0] + np.cos(bearing) * distance
                y = view.camera.eye[1] + np.sin(bearing) * distance
                on_road = abs(y) < street.half - 0.6
                if y > street.front - 0.4 or distance < view.near_m + radius:
                    continue
                if where == "road" and not on_road and rng.random() < 0.75:
                    continue
                if where == "pavement" and on_road and rng.random() < 0.6:
                    continue
                if any((x - a) ** 2 + (y - b) ** 2 < (radius + c) ** 2 * 0.8 for a, b, c in self._taken):
                    continue
                along = (0.0 if rng.random() < 0.5 else np.pi) + rng.normal(0, 0.1)
                yaw = rng.uniform(0, 2 * np.pi) if any_yaw or rng.random() < 0.3 else along
                ground = 0.0 if abs(y) < street.half else street.kerb
                maker(self._scene, Frame.at(x, y, float(yaw), ground))
                self._taken.append((x, y, radius))
                break


def _manned_stall(scene: Scene, frame: Frame) -> None:
    """A stall as it is met: often a sunshade over it, mostly a vendor behind, perhaps customers."""
    stall(scene, frame)
    if scene.chance(0.45):
        umbrella(scene, frame.moved(scene.between(-0.7, 0.7), scene.between(-0.7, 0.7)))
    for i in range(int(scene.rng.integers(0, 4))):
        side = 1 if i == 0 else -1
        at = frame.moved(scene.between(-0.9, 0.9), side * scene.between(0.85, 1.3))
        facing = Frame.at(
            at.origin[0], at.origin[1], float(np.arctan2(*(frame.origin - at.origin)[[1, 0]])), at.origin[2]
        )
        person(scene, facing, "sit" if side > 0 and scene.chance(0.3) else None)


def _parked_row(scene: Scene, frame: Frame) -> None:
    for i in range(int(scene.rng.integers(2, 6))):
        motorcycle(scene, frame.moved(0, i * scene.between(0.6, 0.85)), ridden=False)


def _group(scene: Scene, frame: Frame) -> None:
    for _ in range(int(scene.rng.integers(2, 6))):
        x, y = scene.rng.normal(0, 0.7, 2)
        at = frame.point(x, y)
        person(scene, Frame.at(at[0], at[1], scene.between(0, 6.28), at[2]))


def _sheltered(scene: Scene, frame: Frame) -> None:
    person(scene, frame, "stand")
    hand_umbrella(scene, frame.moved(0.12, 0.1))


# What a street holds: how many on a busy picture, how much room each needs in metres, where, facing anywhere.
KINDS: tuple[tuple[Maker, float, float, str, bool], ...] = (
    (_manned_stall, 1.15, 1.7, "pavement", False),
    (tricycle, 1.15, 1.5, "any", False),
    (car, 1.7, 2.3, "road", False),
    (truck, 0.8, 3.0, "road", False),
    (pile, 1.3, 0.8, "any", False),
    (umbrella, 0.7, 1.2, "pavement", False),
    (motorcycle, 1.3, 0.9, "any", False),
    (_parked_row, 0.4, 1.6, "any", False),
    (_group, 0.45, 1.3, "any", True),
    (person, 2.4, 0.4, "any", True),
)


def populate(scene: Scene, street: Street, view: View, held_out: bool = False) -> None:
    placer = _Placer(scene, street, view)
    kinds = (*distractor.TRAINING, *distractor.HELD_OUT) if held_out else distractor.TRAINING
    clutter = float(scene.rng.choice([0.0, 1.0, 3.0]))
    for _ in range(3):
        placer.put(kinds[scene.rng.integers(len(kinds))], clutter / 3, 1.1)
    if held_out:
        placer.put(distractor.HELD_OUT[scene.rng.integers(len(distractor.HELD_OUT))], 1.0, 1.1)
    if scene.chance(_EMPTY):
        return
    density = float(scene.rng.choice([0.3, 0.7, 1.3]))
    for maker, mean, radius, where, any_yaw in KINDS:
        placer.put(maker, mean * density, radius, where, any_yaw)
    if scene.chance(0.15):
        placer.put(_sheltered, 2.5 * density, 0.6, any_yaw=True)


def random_scene(seed: int, held_out: bool = False) -> tuple[Scene, View, Light]:
    rng = np.random.default_rng(seed)
    night = bool(rng.random() < _NIGHT)
    scene = Scene(rng, night, varied=True)
    street = random_street(scene)
    view = random_view(rng, street.half)
    populate(scene, street, view, held_out)
    light = random_light(rng, night, night and rng.random() < _INFRARED_OF_NIGHT, street.half)
    return scene, view, light


def random_picture(renderer: Renderer, seed: int, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """An RGB picture and its boxes (label, left, top, right, bottom) in ratios.

    `held_out` adds the distractors that training never sees: for evaluation only.
    """
    scene, view, light = random_scene(seed, held_out)
    rng, eye, forward = scene.rng, view.camera.eye, view.camera.forward
    focus = eye + np.array([forward[0], forward[1], 0]) * min(view.reach_m, 18) - np.array([0, 0, eye[2]])
    linear, owners = renderer.draw(scene.mesh.vertices(), view.camera, light, focus)
    linear, owners = barrel(linear, view.bend), barrel(owners.astype(np.float32), view.bend, nearest=True).astype(int)
    sensor = random_sensor(rng, linear, light.night, light.infrared)
    weather = rng.random()
    rain = float(rng.uniform(0.2, 1.0)) if weather < 0.1 and not light.infrared else 0.0
    snow = float(rng.uniform(0.2, 1.0)) if weather > 0.95 else 0.0
    if (rain or light.wet) and rng.random() < 0.4:
        linear = drops(linear, rng, int(rng.integers(1, 25)))
    picture = sensor.develop(linear, rng, rain, snow)
    if rng.random() < 0.5:
        month, day, hour, minute, second = (
            rng.integers(1, 13),
            rng.integers(1, 29),
            *rng.integers(0, 24, 1),
            *rng.integers(0, 60, 2),
        )
        text = f"2026-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}"
        at = (int(rng.uniform(5, 300)), 22 if rng.random() < 0.7 else picture.shape[0] - 8)
        picture = stamp(picture, text, at)
    return picture, boxes_from_ids(owners, scene.labels)
