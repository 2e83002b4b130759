"""Where an evaluation clip plays, from one seed: a street with a zone, a camera, light, weather, faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache

import numpy as np

from world import distractor
from world.camera import Camera
from world.furniture import lamp_post, tree
from world.light import Light
from world.mesh import Frame, Material, block
from world.optics import bent
from world.scene import Scene
from world.sensor import Sensor
from world.street import buildings, fire_lane, ground, markings

from .story import HEIGHT, WIDTH, Film

ASPECT = WIDTH / HEIGHT
_AREA_MIN, _AREA_MAX = 0.05, 0.4  # of the picture, for a zone
Rectangle = tuple[tuple[float, float], tuple[float, float]]  # x from, to; y from, to


@dataclass
class Setting:
    """All that a clip's story needs to know about its place."""

    seed: int
    scenario: str
    half: float
    front: float
    kerb: float
    zone: Rectangle
    alley: bool
    strata: dict[str, str]
    camera: Camera
    bend: float
    light: Light
    sensor: Sensor
    rain: float
    snow: float
    light_at: Callable[[Light, float], Light] = lambda light, _: light
    exposure_at: Callable[[float], float] = lambda _: 1.0
    shift_at: Callable[[float], tuple[float, float]] = lambda _: (0.0, 0.0)
    lamps: list[tuple[float, float]] = field(default_factory=list)

    @property
    def ground_z(self) -> float:
        return self.kerb if self.scenario == "street_vending" else 0.0

    @property
    def corners(self) -> list[tuple[float, float, float]]:
        (x0, x1), (y0, y1) = self.zone
        z = self.ground_z
        return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]

    def film(self, name: str, seconds: float, actors: list, stage: Callable[[Scene], None], fps: float) -> Film:
        rng = np.random.default_rng([self.seed, 3])
        begins = datetime(2026, int(rng.integers(1, 13)), int(rng.integers(1, 28)))
        hour = rng.uniform(19, 29) if self.light.night else rng.uniform(8, 17)
        begins += timedelta(hours=float(hour))

        def whole(scene: Scene) -> None:
            self._stage(scene)
            stage(scene)

        return Film(
            name=name,
            codec=self.strata["codec"],
            fps=fps,
            gop_s=1 / fps,
            kbps=int(round(110 * fps * float(self.strata["quality"]))),
            seconds=seconds,
            camera=self.camera,
            light=self.light,
            sensor=self.sensor,
            focus=(sum(self.zone[0]) / 2, sum(self.zone[1]) / 2, 0),
            stage=whole,
            stage_seed=self.seed,
            begins=begins,
            actors=actors,
            light_at=self.light_at,
            rain_at=lambda _: self.rain,
            snow_at=lambda _: self.snow,
            varied=True,
            bend=self.bend,
            exposure_at=self.exposure_at,
            shift_at=self.shift_at,
        )

    def _stage(self, scene: Scene) -> None:
        paving = scene.between(0.3, 0.6) * np.array([1.0, scene.between(0.9, 1.02), scene.between(0.8, 1.02)])
        ground(scene, self.half, self.kerb, scene.between(0.15, 0.36), paving)
        if self.scenario == "fire_lane":
            if scene.chance(0.8):
                fire_lane(scene, *self.zone)
        else:
            markings(scene, self.half, self.kerb)
        buildings(scene, self.front, shops=0.8)
        for x in np.arange(-22, 23, scene.between(6, 11)):
            if scene.chance(0.35):
                tree(scene, float(x), self.half + 0.7, None, 0.8)
        for x, y in self.lamps:
            lamp_post(scene, x, y + 0.4, 5.4)
        kinds = (*distractor.TRAINING, *distractor.HELD_OUT)
        for _ in range(int(scene.rng.integers(0, 6))):
            x = scene.between(-16, 16)
            y = scene.between(self.front - 1.2, self.front - 0.6)
            if self.scenario == "fire_lane":
                y = scene.between(self.half + 0.6, self.front - 0.6)
            if scene.chance(0.2):
                y = -self.half - scene.between(0.6, 2.5)
            kinds[scene.rng.integers(len(kinds))](scene, Frame.at(x, y, scene.between(-0.2, 0.2), self.kerb))
        if self.strata["shadow"] == "hard":  # something tall out of view throws the shadow's edge across the place
            scene.mesh.add(block(), (scene.between(-9, 9), -self.half - 9, 0), (7, 4, 15), (0.5,) * 3, Material.BRICK)


def random_setting(seed: int, scenario: str) -> Setting:
    rng = np.random.default_rng([seed, 1])
    alley = scenario == "fire_lane" and bool(rng.random() < 0.4)
    half = float(rng.uniform(2.6, 3.2) if alley else rng.uniform(3.2, 5.5))
    kerb = float(rng.uniform(0.05, 0.15))
    front = half + float(rng.uniform(2.0, 3.5) if scenario == "fire_lane" else rng.uniform(3.4, 5.5))
    middle, length = float(rng.uniform(-2, 2)), float(rng.uniform(8, 12))
    lane = (-1.4, 1.4) if alley else (half - 2.9, half - 0.2)
    y = lane if scenario == "fire_lane" else (half + 0.35, front - 1.3)
    zone = ((middle - length / 2, middle + length / 2), y)
    kind = str(rng.choice(["day", "lamps", "infrared", "switch"], p=[0.58, 0.17, 0.17, 0.08]))
    light, sensor, posts = _light_and_sensor(rng, kind, half)
    weather = str(rng.choice(["dry", "rain", "snow"], p=[0.78, 0.14, 0.08]))
    hard = kind == "day" and bool(rng.random() < 0.3)
    cloudy = kind == "day" and not hard and bool(rng.random() < 0.25)
    if hard:
        light = replace(light, sun_power=float(rng.uniform(1.0, 1.4)), ambient=float(rng.uniform(0.18, 0.32)))
    if weather == "rain":
        light = replace(light, wet=0.8, sun_power=light.sun_power * 0.25)
    strata = {
        "light": kind,
        "weather": weather,
        "shadow": "hard" if hard else "cloud edges" if cloudy else "none",
        "codec": str(rng.choice(["h264", "hevc"])),
        "quality": str(rng.choice(["0.6", "1.0", "2.0"])),
        "camera": "still",
        "exposure": "steady",
    }
    setting = Setting(
        seed=seed,
        scenario=scenario,
        half=half,
        front=front,
        kerb=kerb,
        zone=zone,
        alley=alley,
        strata=strata,
        camera=None,  # type: ignore[arg-type]
        bend=float(rng.uniform(0.05, 0.4)) if rng.random() < 0.35 else 0.0,
        light=light,
        sensor=sensor,
        rain=float(rng.uniform(0.3, 0.9)) if weather == "rain" else 0.0,
        snow=float(rng.uniform(0.3, 0.9)) if weather == "snow" else 0.0,
        lamps=posts,
    )
    setting.camera = _camera_that_sees(rng, setting)
    _faults(rng, setting, kind, cloudy)
    return setting


def _light_and_sensor(rng: np.random.Generator, kind: str, half: float) -> tuple[Light, Sensor, list]:
    night = kind in ("lamps", "infrared")
    sun = np.array([rng.normal(), rng.normal() - 0.5, rng.uniform(0.5, 1.5)])
    places = [(float(rng.uniform(-9, -3)), half), (float(rng.uniform(3, 9)), half)] if night else []
    lamps = [(x, y - 0.8, 5.4, float(rng.uniform(6, 11))) for x, y in places]
    light = Light(
        sun=sun / np.linalg.norm(sun),
        sun_power=0.0 if night else float(rng.uniform(0.1, 0.3) if rng.random() < 0.4 else rng.uniform(0.5, 1.1)),
        ambient=float(rng.uniform(0.03, 0.09)) if night else float(rng.uniform(0.4, 0.65)),
        sky=(0.02, 0.02, 0.04)
        if night
        else tuple(float(v) for v in np.array([0.6, 0.7, 0.85]) * rng.uniform(0.7, 1.2)),
        infrared=kind == "infrared",
        night=night,
        lamps=lamps,
        lamp_colour=(1.0, float(rng.uniform(0.7, 1)), float(rng.uniform(0.45, 0.95))),
        haze=float(rng.uniform(0, 0.008)) if rng.random() < 0.3 else 0.0,
        seed=float(rng.uniform(0, 1000)),
    )
    sensor = Sensor(
        exposure=float(rng.uniform(0.7, 1.05)) * (0.75 if night else 1.0),
        gamma=float(rng.uniform(1.7, 2.2)),
        vignette=float(rng.uniform(0, 0.6)),
        blur=float(rng.uniform(0.4, 0.9)) if rng.random() < 0.2 else 0.0,
        sharpen=float(rng.uniform(0.2, 0.9)),
        noise=float(rng.uniform(0.015, 0.04) if night else rng.uniform(0.004, 0.018)),
        saturation=0.0 if kind == "infrared" else float(rng.uniform(0.6, 1.1)),
        bloom=float(rng.uniform(0.2, 0.8)) if night else 0.0,
        white=tuple(float(v) for v in 1 + rng.normal(0, 0.04, 3)),
    )
    return light, sensor, places


def _camera_that_sees(rng: np.random.Generator, setting: Setting) -> Camera:
    """A camera across or along the street whose picture holds the whole zone, large enough to judge."""
    (x0, x1), (y0, y1) = setting.zone
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    for _ in range(400):
        height = float(rng.uniform(3.2, 8.5))
        if rng.random() < 0.7:
            eye = (middle[0] + float(rng.uniform(-9, 9)), -setting.half - float(rng.uniform(0.5, 5)), height)
        else:
            side = 1 if rng.random() < 0.5 else -1
            eye = (middle[0] + side * float(rng.uniform(10, 16)), float(rng.uniform(-setting.half, y1)), height)
        target = (middle[0] + rng.normal(0, 0.8), middle[1] + rng.normal(0, 0.5), 0.4)
        camera = Camera.looking_at(eye, target, float(rng.uniform(42, 82)), float(rng.normal(0, 0.02)))
        ratios = bent(camera.ratio_of(np.array(setting.corners), ASPECT), setting.bend, ASPECT)
        if (ratios < 0.03).any() or (ratios > 0.97).any():
            continue
        x, y = ratios.T
        area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
        if _AREA_MIN <= area <= _AREA_MAX:
            return camera
    raise RuntimeError(f"no camera found for seed {setting.seed}")


def _faults(rng: np.random.Generator, setting: Setting, kind: str, cloudy: bool) -> None:
    """Exposure steps, a swaying mast, clouds that pass, and the switch to infrared at dusk."""
    if rng.random() < 0.25:
        steps = np.sort(rng.uniform(10, 300, 3))
        factors = [1.0, *np.exp(rng.uniform(-0.55, 0.55, 3))]
        setting.exposure_at = lambda second: float(factors[int(np.searchsorted(steps, second))])
        setting.strata["exposure"] = "steps"
    if rng.random() < 0.2:
        pixels, noise = float(rng.uniform(0.6, 2.5)), np.random.default_rng([setting.seed, 9])
        table = noise.normal(0, pixels, (2000, 2))
        setting.shift_at = lambda second: tuple(float(v) for v in table[int(second * 4) % 2000])
        setting.strata["camera"] = "shaking"
    if kind == "switch":
        moment = float(rng.uniform(25, 120))
        dusk = replace(setting.light, sun_power=0.05, ambient=0.12, sky=(0.12, 0.14, 0.2))
        after = replace(dusk, sun_power=0.0, ambient=0.03, sky=(0.02,) * 3, infrared=True, night=True)
        setting.light = dusk
        setting.light_at = lambda _, second: after if second >= moment else dusk
    elif cloudy:
        first, speed = float(rng.uniform(5, 60)), float(rng.uniform(0.02, 0.06))
        base = setting.light

        @cache
        def clouded(amount: float) -> Light:
            return replace(base, cloud=amount)

        def light_at(_: Light, second: float) -> Light:
            along = max(0.0, (second - first) * speed)
            return clouded(round(float(abs((along + 1) % 2 - 1) if along else 0.0) * 1.05, 2))

        setting.light_at = light_at
