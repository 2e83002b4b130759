"""A camera looking up a high-rise: three things are thrown, and a dozen things move that nobody threw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np

from world.camera import Camera
from world.light import Light
from world.mesh import Frame, Material, ball, block, turn_x, turn_y, turn_z
from world.scene import Scene
from world.sensor import Sensor

from .story import Actor, Film

SECONDS = 60.0
_WALL_Y, _FLOOR_M, _FLOORS, _BAY_M = 24.0, 3.0, 14, 3.4
_BAYS = range(-3, 4)
_GRAVITY = 9.81
_CALIBRATED = {"x": (-9.0, 9.0), "z": (12.0, 39.0)}
_BALCONY_BAYS = (-2, 0, 3)
_LAUNDRY = [(-2, 6), (0, 8), (3, 5), (0, 4), (-2, 9), (3, 10)]
_CURTAINS = [(1, 5, 13.0, 55.0), (-1, 8, 20.0, 50.0), (2, 7, 31.0, 57.0), (-3, 6, 5.0, 40.0)]
_LAMPS = [(1, 9, 22.0, 52.0), (-1, 4, 37.0, 56.5)]


def _window_z(floor: int) -> float:
    return floor * _FLOOR_M + 0.95


def _stage(scene: Scene) -> None:
    mesh = scene.mesh
    width, height = len(_BAYS) * _BAY_M, _FLOORS * _FLOOR_M
    wall = np.array([0.38, 0.345, 0.30])
    mesh.add(block(), (0, _WALL_Y + 6, 0), (width + 1.2, 12, height), wall, Material.CONCRETE)
    mesh.add(block(), (0, _WALL_Y + 5.9, height), (width + 2.2, 12.8, 0.7), wall * 0.8, Material.CONCRETE)
    mesh.add(block(), (-31, _WALL_Y + 22, 0), (22, 14, 34), (0.52, 0.5, 0.5), Material.WINDOWS)
    mesh.add(block(), (33, _WALL_Y + 30, 0), (24, 14, 44), (0.60, 0.57, 0.52), Material.WINDOWS)
    for floor in range(1, _FLOORS):
        z = floor * _FLOOR_M
        mesh.add(block(), (0, _WALL_Y - 0.06, z), (width + 1.2, 0.14, 0.22), wall * 0.86, Material.CONCRETE)
        for bay in _BAYS:
            _bay(scene, bay, floor, wall)


def _bay(scene: Scene, bay: int, floor: int, wall: np.ndarray) -> None:
    mesh, x, z = scene.mesh, bay * _BAY_M, _window_z(floor)
    mesh.add(block(), (x, _WALL_Y - 0.02, z - 0.08), (1.9, 0.1, 1.76), (0.74, 0.74, 0.72))
    glass = np.full(3, scene.between(0.05, 0.12)) * np.array([0.9, 1.0, 1.1])
    for side in (-1, 1):
        mesh.add(block(), (x + side * 0.45, _WALL_Y - 0.06, z), (0.82, 0.06, 1.6), glass, Material.GLASS)
    if scene.chance(0.4):
        drape = scene.colour(0.25, 0.7)
        mesh.add(block(), (x + 0.62, _WALL_Y - 0.09, z + 0.02), (0.42, 0.02, 1.55), drape, Material.CLOTH)
    if bay in _BALCONY_BAYS:
        _balcony(scene, x, floor * _FLOOR_M, wall)
    elif scene.chance(0.55):
        at = (x + 1.32, _WALL_Y - 0.33, floor * _FLOOR_M + 0.35)
        mesh.add(block(), at, (0.8, 0.34, 0.58), (0.72, 0.73, 0.72), Material.PLAIN)
        mesh.add(block(), (at[0] - 0.12, at[1] - 0.18, at[2] + 0.08), (0.42, 0.03, 0.42), (0.28,) * 3)


def _balcony(scene: Scene, x: float, z: float, wall: np.ndarray) -> None:
    mesh = scene.mesh
    mesh.add(block(), (x, _WALL_Y - 0.6, z), (2.5, 1.2, 0.16), wall * 0.9, Material.CONCRETE)
    mesh.add(block(), (x, _WALL_Y - 1.18, z + 0.16), (2.5, 0.06, 0.42), wall * 1.05, Material.CONCRETE)
    mesh.add(block(), (x, _WALL_Y - 1.18, z + 1.05), (2.5, 0.06, 0.06), (0.35,) * 3)
    for bar in np.arange(-1.2, 1.25, 0.2):
        mesh.add(block(), (x + bar, _WALL_Y - 1.18, z + 0.58), (0.03, 0.03, 0.48), (0.35,) * 3)


def fall(
    start: tuple[float, float, float], speed: tuple[float, float, float], terminal: float
) -> Callable[[float], np.ndarray]:
    """The way of a thrown thing: gravity and quadratic drag, stepped once, looked up by seconds since release."""
    step = 0.005
    place, velocity, places = np.array(start, float), np.array(speed, float), []
    for _ in range(int(5 / step)):
        places.append(place.copy())
        drag = -_GRAVITY * np.linalg.norm(velocity) * velocity / terminal**2
        velocity = velocity + (np.array([0, 0, -_GRAVITY]) + drag) * step
        place = place + velocity * step
    table = np.array(places)
    return lambda seconds: table[int(np.clip(seconds / step, 0, len(table) - 1))]


THROWS = [
    {"at_s": 10.0, "floor": 10, "x": 1.9, "speed": (0.7, -2.3, 1.2), "terminal": 21.0, "what": "white foam box"},
    {"at_s": 28.0, "floor": 11, "x": -1.75, "speed": (-0.9, -1.8, 0.6), "terminal": 26.0, "what": "black rubbish bag"},
    {"at_s": 46.0, "floor": 9, "x": 5.2, "speed": (1.2, -2.8, 1.8), "terminal": 23.0, "what": "yellow crate"},
]


def _thrown(scene: Scene, second: float) -> None:
    for number, throw in enumerate(THROWS):
        since = second - throw["at_s"]
        if not 0 <= since < 4.5:
            continue
        way = fall((throw["x"], _WALL_Y - 1.25, throw["floor"] * _FLOOR_M + 1.3), throw["speed"], throw["terminal"])
        place = way(since)
        if place[2] < 0.2:
            continue
        frame = Frame(turn_x(4.1 * since) @ turn_y(2.3 * since), place.astype(np.float32))
        if number == 0:
            scene.mesh.add(block(), (0, 0, -0.3), (0.62, 0.5, 0.55), (0.97, 0.97, 0.95), Material.PLAIN, 0, frame)
        elif number == 1:
            scene.mesh.add(ball(10, 7), (0, 0, 0), (0.74, 0.66, 0.8), (0.012, 0.012, 0.014), Material.PLAIN, 0, frame)
        else:
            scene.mesh.add(block(), (0, 0, -0.3), (0.66, 0.52, 0.5), (0.98, 0.86, 0.12), Material.PLAIN, 0, frame)


def _bird(enters: float, crosses_s: float, start: tuple, end: tuple, beat: float) -> Actor:
    """Crosses the view, wings beating, rising and sinking a little."""

    def build(scene: Scene, second: float) -> None:
        share = (second - enters) / crosses_s
        if not 0 <= share <= 1:
            return
        place = np.array(start) + (np.array(end) - np.array(start)) * share + np.array([0, 0, 0.7 * np.sin(share * 9)])
        along = np.array(end) - np.array(start)
        frame = Frame(turn_z(float(np.arctan2(along[1], along[0]))), place.astype(np.float32))
        colour = (0.06, 0.06, 0.07)
        scene.mesh.add(ball(8, 5), (0, 0, 0), (0.42, 0.15, 0.15), colour, frame=frame)
        lift = 0.9 * np.sin(2 * np.pi * beat * second)
        for side in (-1, 1):
            scene.mesh.add(
                block(), (0, side * 0.28, 0.02), (0.16, 0.5, 0.03), colour, frame=frame, rotation=turn_x(side * lift)
            )

    return Actor(0, build)


def _leaf(enters: float, lasts_s: float, start: tuple, drift: tuple) -> Actor:
    """Near the camera, sinking at walking speed and swaying."""

    def build(scene: Scene, second: float) -> None:
        since = second - enters
        if not 0 <= since <= lasts_s:
            return
        sway = np.array([0.35 * np.sin(2.6 * since), 0.0, 0.12 * np.sin(5.2 * since)])
        place = np.array(start) + np.array(drift) * since + sway
        frame = Frame(turn_x(2.1 * since) @ turn_y(1.4 * since), place.astype(np.float32))
        scene.mesh.add(block(), (0, 0, 0), (0.11, 0.07, 0.008), (0.36, 0.30, 0.07), frame=frame)

    return Actor(0, build)


def _laundry(index: int, bay: int, floor: int) -> Actor:
    """Sways with periods that divide the film, so that the last picture meets the first."""

    def build(scene: Scene, second: float) -> None:
        second = int(second * 12.5) / 12.5  # every other picture is enough for cloth
        x, z = bay * _BAY_M, floor * _FLOOR_M + 2.35
        scene.mesh.add(block(), (x, _WALL_Y - 1.0, z), (2.3, 0.03, 0.03), (0.3,) * 3)
        for piece in range(4):
            turns = 14 + 3 * piece + index
            angle = 0.22 * np.sin(2 * np.pi * turns * second / SECONDS) + 0.1 * np.sin(
                2 * np.pi * 41 * second / SECONDS + piece
            )
            drop = scene.between(0.6, 1.1)
            frame = Frame(turn_x(float(angle)), np.array([x - 0.8 + 0.52 * piece, _WALL_Y - 1.0, z], np.float32))
            scene.mesh.add(block(), (0, 0, -drop), (0.44, 0.03, drop), scene.colour(), Material.CLOTH, 0, frame)

    return Actor(900 + index, build)


def _curtain(index: int, bay: int, floor: int, shut: float, opened: float) -> Actor:
    """Drawn and opened again."""

    def build(scene: Scene, second: float) -> None:
        share = float(np.clip((second - shut) / 1.5, 0, 1) * np.clip((opened - second) / 1.5, 0, 1))
        width, z = 0.3 + 1.3 * share, _window_z(floor)
        at = (bay * _BAY_M - 0.85 + width / 2, _WALL_Y - 0.1, z + 0.02)
        scene.mesh.add(block(), at, (width, 0.02, 1.55), scene.colour(0.4, 0.8), Material.CLOTH)

    return Actor(950 + index, build)


def _lamps(scene: Scene, second: float) -> None:
    """Rooms lit and darkened again."""
    for bay, floor, lit, dark in _LAMPS:
        if lit <= second < dark:
            at = (bay * _BAY_M - 0.45, _WALL_Y - 0.1, _window_z(floor))
            scene.mesh.add(block(), at, (0.8, 0.03, 1.58), (0.80, 0.68, 0.42), Material.GLOWING)


class _Cloud:
    """A cloud's shadow crosses between 33 and 43 s, in fifths of a second."""

    def __init__(self) -> None:
        self._shades: dict[int, Light] = {}

    def __call__(self, light: Light, second: float) -> Light:
        if not 33 < second < 43:
            return light
        tick = int(second * 5)
        if tick not in self._shades:
            cover = 0.62 * float(np.sin(np.pi * np.clip((tick / 5 - 33) / 10, 0, 1)))
            self._shades[tick] = replace(light, cloud=cover, ambient=light.ambient * (1 - 0.12 * cover))
        return self._shades[tick]


def facade() -> Film:
    camera = Camera.looking_at((3.0, 0.0, 1.8), (0.0, _WALL_Y, 22.0), 66)
    film = Film(
        name="facade-day",
        codec="h264",
        fps=25,
        gop_s=2,
        kbps=330,
        seconds=SECONDS,
        camera=camera,
        light=Light(
            sun=np.array([0.45, -0.75, 0.62]), sun_power=0.7, ambient=0.5, sky=(0.60, 0.73, 0.92), haze=0.001, seed=6.6
        ),
        sensor=Sensor(noise=0.009, sharpen=0.4, saturation=0.95, exposure=0.9),
        focus=(0, _WALL_Y, 24),
        stage=_stage,
        stage_seed=55,
        begins=datetime(2026, 10, 20, 15, 3, 0),
        light_at=_Cloud(),
        shutter_s=1 / 80,
        wall_y=_WALL_Y,
        fast_at=lambda second: any(0 <= second - throw["at_s"] < 4.5 for throw in THROWS),
        actors=[
            *(_laundry(index, *place) for index, place in enumerate(_LAUNDRY)),
            *(_curtain(index, *times) for index, times in enumerate(_CURTAINS)),
            Actor(0, _lamps),
            Actor(0, _thrown),
            _bird(16.0, 4.6, (-19, 15, 24), (21, 19, 27), 4.5),
            _bird(38.5, 5.0, (20, 17, 33), (-20, 14, 27), 5.2),
            _bird(53.0, 3.6, (-15, 12, 12), (17, 13, 21), 5.8),
            _leaf(20.5, 9.0, (-4.0, 8.0, 9.5), (0.95, 0.0, -0.55)),
            _leaf(31.5, 8.0, (8.0, 9.0, 12.5), (-1.1, 0.0, -0.8)),
        ],
    )
    (left, right), (bottom, top) = _CALIBRATED["x"], _CALIBRATED["z"]
    corners = [(left, _WALL_Y, top), (right, _WALL_Y, top), (right, _WALL_Y, bottom), (left, _WALL_Y, bottom)]
    expected = [
        {
            "from_s": throw["at_s"],
            "to_s": throw["at_s"] + 3.0,
            "what": throw["what"],
            "floor": throw["floor"] + 1,
            "release_height_m": round(throw["floor"] * _FLOOR_M + 1.3, 1),
        }
        for throw in THROWS
    ]
    film.truth = {
        "zone": corners,
        "scenario": "thrown_object",
        "expected": expected,
        "facade": {
            "facade": {
                "corners": film.corners(corners),
                "order": "top left, top right, bottom right, bottom left",
                "top_m": top,
                "bottom_m": bottom,
                "width_m": right - left,
                "floor_height_m": _FLOOR_M,
            }
        },
    }
    return film
