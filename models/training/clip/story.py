"""What a film is made of: a standing scene, actors with seeds of their own, light, camera, weather, and its truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import cv2
import numpy as np

from world.camera import Camera
from world.figure import Pose, person
from world.label import Label, boxes_from_ids
from world.light import Light
from world.mesh import Frame, Mesh
from world.optics import barrel, bent
from world.renderer import Renderer
from world.scene import Scene
from world.sensor import Sensor, metered, stamp

from .path import Path

WIDTH, HEIGHT = 640, 360
Build = Callable[[Scene, float], None]


@dataclass
class Actor:
    """Builds itself for every picture from the same dice, so that its look never changes."""

    seed: int
    build: Build


@dataclass
class Film:
    name: str
    codec: str
    fps: float
    gop_s: float
    kbps: int
    seconds: float
    camera: Camera
    light: Light
    sensor: Sensor
    focus: tuple[float, float, float]
    stage: Callable[[Scene], None]
    actors: list[Actor]
    begins: datetime
    stage_seed: int = 1
    light_at: Callable[[Light, float], Light] = lambda light, _: light  # equal light should be the same object
    rain_at: Callable[[float], float] = lambda _: 0.0
    snow_at: Callable[[float], float] = lambda _: 0.0
    shutter_s: float = 0.0
    wall_y: float | None = None
    varied: bool = False
    bend: float = 0.0
    exposure_at: Callable[[float], float] = lambda _: 1.0
    shift_at: Callable[[float], tuple[float, float]] = lambda _: (0.0, 0.0)  # pixels, of a mast in the wind
    fast_at: Callable[[float], bool] = lambda _: False
    truth: dict = field(default_factory=dict)
    standing_labels: list[Label | None] = field(default_factory=list)  # known once `standing` was called

    def moving(self, second: float) -> tuple[Scene, list[np.ndarray]]:
        """The actors as they are at this second: the scene, and each one's vertices."""
        scene = Scene(np.random.default_rng(0), self.light.night, self.varied)
        scene.labels = list(self.standing_labels)
        parts = []
        for actor in self.actors:
            scene.rng, scene.mesh = np.random.default_rng(actor.seed), Mesh()
            actor.build(scene, second)
            parts.append(scene.mesh.vertices())
        return scene, parts

    def standing(self) -> np.ndarray:
        scene = Scene(np.random.default_rng(self.stage_seed), self.light.night, self.varied)
        self.stage(scene)
        self.standing_labels = scene.labels
        return scene.mesh.vertices()

    def corners(self, points: list[tuple[float, float, float]]) -> list[list[float]]:
        """World points as ratios of the picture, rounded for the truth file."""
        ratios = bent(self.camera.ratio_of(np.array(points, float), WIDTH / HEIGHT), self.bend, WIDTH / HEIGHT)
        return [
            [round(float(np.clip(x, 0.002, 0.998)), 4), round(float(np.clip(y, 0.002, 0.998)), 4)] for x, y in ratios
        ]


class Projector:
    """Draws a film picture by picture; exposure is measured on the empty scene, once for each mode of the camera."""

    def __init__(self, film: Film, renderer: Renderer) -> None:
        self.film, self._renderer = film, renderer
        self._last: tuple[np.ndarray, list[np.ndarray], Light] | None = None
        renderer.set_static(film.standing())
        self._sensors: dict[bool, Sensor] = {}
        self._sensor_for(film.light_at(film.light, 0.0))

    def _sensor_for(self, light: Light) -> Sensor:
        film = self.film
        if light.infrared not in self._sensors:
            nothing = np.zeros((0, 17), np.float32)
            empty, _ = self._renderer.draw(nothing, film.camera, light, np.array(film.focus), ids=False)
            sensor = replace(film.sensor, exposure=film.sensor.exposure * metered(empty, light.night))
            self._sensors[light.infrared] = replace(sensor, saturation=0.0) if light.infrared else sensor
        return self._sensors[light.infrared]

    def picture(self, second: float, ids: bool = False) -> tuple[np.ndarray, np.ndarray | None, Scene]:
        film = self.film
        scene, parts = film.moving(second)
        light = film.light_at(film.light, second)
        owners = None
        if ids:
            _, owners = self._renderer.draw(np.concatenate(parts), film.camera, light, np.array(film.focus))
        linear = self._linear(parts, light)
        if film.fast_at(second):  # motion blur: the mean of what the open shutter saw
            later = [film.moving(second + film.shutter_s * share)[1] for share in (0.33, 0.67)]
            linear = (linear + self._linear(later[0], light) + self._linear(later[1], light)) / 3
        rng = np.random.default_rng([film.stage_seed, round(second * 1000)])
        sensor = self._sensor_for(light)
        if film.exposure_at(second) != 1.0:
            sensor = replace(sensor, exposure=sensor.exposure * film.exposure_at(second))
        picture = sensor.develop(barrel(linear, film.bend), rng, film.rain_at(second), film.snow_at(second))
        if any(film.shift_at(second)):
            across, down = film.shift_at(second)
            moved = np.array([[1, 0, across], [0, 1, down]], np.float32)
            picture = cv2.warpAffine(picture, moved, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
        clock = film.begins + timedelta(seconds=second)
        return stamp(picture, clock.strftime("%Y-%m-%d %H:%M:%S")), owners, scene

    def boxes(self, second: float) -> np.ndarray:
        """Rows of (label, left, top, right, bottom) in ratios: what moves, and what stands there all the time."""
        scene, parts = self.film.moving(second)
        light = self.film.light_at(self.film.light, second)
        _, owners = self._renderer.draw(np.concatenate(parts), self.film.camera, light, np.array(self.film.focus))
        return boxes_from_ids(owners, scene.labels)

    def _linear(self, parts: list[np.ndarray], light: Light) -> np.ndarray:
        """The picture in linear light; while the light stays, only what moved since the last one is drawn anew."""
        film, focus, vertices = self.film, np.array(self.film.focus), np.concatenate(parts)
        if self._last is None or self._last[2] is not light:
            linear, _ = self._renderer.draw(vertices, film.camera, light, focus, ids=False)
        else:
            linear, before = self._last[0].copy(), self._last[1]
            moved = [part for pair in zip(before, parts, strict=True) if not np.array_equal(*pair) for part in pair]
            regions = [self._renderer.region_of(part, film.camera, light, film.wall_y) for part in moved if len(part)]
            regions = self._renderer.merged([region for region in regions if region])
            if regions:
                self._renderer.redraw(linear, regions, vertices, film.camera, light, focus)
        self._last = (linear, parts, light)
        return linear


def walker(seed: int, path: Path, pose: Pose = "walk") -> Actor:
    """A person who walks along a path, and stands where it rests."""

    def build(scene: Scene, second: float) -> None:
        if path.alive(second):
            going = path.speed(second) > 0.15
            phase = path.walked(second) * 4.4
            person(scene, path.frame(second), pose if going else "stand", phase if going else 1.6)

    return Actor(seed, build)


def mover(seed: int, path: Path, make: Callable[[Scene, Frame], object]) -> Actor:
    """Anything that is made at a frame and moves along a path."""

    def build(scene: Scene, second: float) -> None:
        if path.alive(second):
            make(scene, path.frame(second))

    return Actor(seed, build)
