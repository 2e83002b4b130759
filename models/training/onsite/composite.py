"""Rendered objects on the background of a real camera: in its view, its light, with shadows, blur, noise and coding.

The same things are drawn twice, on bare ground and the ground alone; what differs between the two is their shadow, and
it darkens the photograph by the same factor. Objects hide each other as they stand; what stands in the photograph hides
nothing, because nothing is known of its distance.
"""

from __future__ import annotations

import cv2
import numpy as np

from world import distractor
from world.camera import Camera
from world.figure import person
from world.label import boxes_from_ids
from world.light import Light, random_light
from world.mesh import Frame
from world.renderer import Renderer
from world.sampling import KINDS
from world.scene import Scene
from world.sensor import Sensor
from world.street import slab
from world.vehicle import car

from .site import Background, Site
from .view import Views

_EMPTY = 0.08  # the place alone: nothing in it is to be found
_COUNT = 6.0
_NEAR_M, _FAR_M = 1.8, 90.0
_PERSON_M = 1.7
_PERSON_MIN, _PERSON_MAX = 0.025, 0.95  # of the picture's height
_GROUND = 0.27
_GREY_MAX, _DULL_MAX = 0.012, 0.06  # strongest colours of the place: none at all; perhaps a camera that shows few
_DARK = 0.28
_CELLS_MIN = 0.05  # of the pictures: where less moves, nothing moves


class Composer:
    """Composites of one site; what a number's composite looks like is decided by the seed and the number."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.seed = site, seed
        height, width = site.size
        self.renderer = Renderer(width, height, 1024, samples=0)
        self.views = Views(site, np.random.default_rng([seed, 11]))
        self._feet = _feet(site)
        # What was seen here is drawn more often, the rest still often enough.
        persons, cars = len(site.person_seen), len(site.car_seen)
        means = np.array([kind[1] for kind in KINDS])
        for maker, count in ((person, persons), (car, cars)):
            means[[kind[0] is maker for kind in KINDS]] *= 1 + 3 * count / max(persons + cars, 1)
        self._shares = means / means.sum()

    def picture(self, number: int, held_out: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """An RGB picture and its boxes (label, left, top, right, bottom) in ratios."""
        rng = np.random.default_rng([self.seed, number])
        background = self.site.backgrounds[rng.integers(len(self.site.backgrounds))]
        real = background.picture.astype(np.float32) / 255
        boxes = np.zeros((0, 5), np.float32)
        if rng.random() >= _EMPTY:
            colour = _colour(real)
            grey = colour < _GREY_MAX or (colour < _DULL_MAX and rng.random() < 0.3)
            night = float(real.mean()) < _DARK
            scene = Scene(rng, night, varied=True)
            view, light = self.views.one(rng), random_light(rng, night, night and grey, 8.0)
            light.haze, light.snow = 0.0, 0.0
            focus = self._populate(scene, view, held_out)
            if focus is not None:
                real, owners = self._pasted(real, scene, view, light, focus, grey, rng)
                boxes = boxes_from_ids(owners, scene.labels)
        return _seen(real, background, rng), boxes

    def _populate(self, scene: Scene, view: Camera, held_out: bool) -> np.ndarray | None:
        """Things where something may stand; the middle of them on the ground."""
        rng = scene.rng
        kinds = (*distractor.TRAINING, *distractor.HELD_OUT) if held_out else distractor.TRAINING
        heading = rng.uniform(0, 2 * np.pi)
        taken: list[tuple[float, float, float]] = []
        for _ in range(1 + int(rng.poisson(_COUNT * rng.choice([0.4, 1.0, 1.8])))):
            if rng.random() < 0.12:
                maker, radius, any_yaw = kinds[rng.integers(len(kinds))], 1.1, False
            else:
                maker, _, radius, _, any_yaw = KINDS[rng.choice(len(KINDS), p=self._shares)]
            for _attempt in range(12):
                x, y = self._foot(view, rng, radius)
                if np.isnan(x) or any((x - a) ** 2 + (y - b) ** 2 < 0.8 * (radius + c) ** 2 for a, b, c in taken):
                    continue
                along = heading + (0.0 if rng.random() < 0.5 else np.pi) + rng.normal(0, 0.1)
                yaw = rng.uniform(0, 2 * np.pi) if any_yaw or rng.random() < 0.25 else along
                maker(scene, Frame.at(x, y, float(yaw)))
                taken.append((x, y, radius))
                break
        return np.array([*np.mean(taken, 0)[:2], 0.0]) if taken else None

    def _foot(self, view: Camera, rng: np.random.Generator, radius: float) -> tuple[float, float]:
        """A place on the ground, mostly where something was seen or moved; NaN where a person's size is not sane."""
        if len(self._feet) and rng.random() < 0.6:
            ratio = self._feet[rng.integers(len(self._feet))] + rng.normal(0, 0.04, 2)
        else:
            ratio = rng.uniform([0.0, 0.05], [1.0, 1.15])
        aspect = self.renderer.width / self.renderer.height
        ahead = view.forward / np.linalg.norm(view.forward)
        reach = np.tan(view.view_rad / 2)
        above = np.cross([1.0, 0, 0], ahead)
        ray = ahead + [reach * (2 * ratio[0] - 1), 0, 0] - above * (reach / aspect * (2 * ratio[1] - 1))
        if ray[2] > -1e-3:
            return np.nan, np.nan
        at = view.eye - ray * (view.eye[2] / ray[2])
        away = float(np.hypot(at[0], at[1]))
        standing = view.ratio_of(np.array([at, at + [0, 0, _PERSON_M]]), aspect)[:, 1]
        size = float(standing[0] - standing[1])
        if not _NEAR_M + radius < max(away, view.eye[2]) or away > _FAR_M or not _PERSON_MIN < size < _PERSON_MAX:
            return np.nan, np.nan
        return float(at[0]), float(at[1])

    def _pasted(
        self,
        real: np.ndarray,
        scene: Scene,
        view: Camera,
        light: Light,
        focus: np.ndarray,
        grey: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        bare = Scene(np.random.default_rng(0))
        slab(bare, (-200, 200), (-60, 200), 0.0, np.full(3, _GROUND), 0)
        self.renderer.set_static(bare.mesh.vertices())
        vertices = scene.mesh.vertices()
        region = self.renderer.region_of(vertices, view, light)
        if region is None:
            return real, np.zeros(real.shape[:2], int)
        both, ground = np.full(real.shape, 0.1, np.float32), np.full(real.shape, 0.1, np.float32)
        owners = self.renderer.redraw(both, [region], vertices, view, light, focus, ids=True)
        self.renderer.redraw(ground, [region], vertices[:0], view, light, focus)
        mask = (owners > 0).astype(np.float32)
        # Shadows: soft as cameras blur them; under an overcast sky there is hardly any.
        shade = np.clip((_luma(both) + 1e-3) / (_luma(ground) + 1e-3), 0.12, 1.0)
        open_part = cv2.GaussianBlur(1 - mask, (0, 0), 1.2)
        shade = cv2.GaussianBlur(shade * (1 - mask), (0, 0), 1.2) / np.maximum(open_part, 1e-3)
        shade = np.where(open_part > 0.02, np.clip(shade, 0.12, 1.0), 1.0)
        placed = cv2.dilate(mask, np.ones((15, 15))) > 0
        things = _developed(both, ground, real, placed, owners, grey, rng)
        softness = float(rng.uniform(0.35, 1.0))
        alpha = cv2.GaussianBlur(mask, (0, 0), softness)[..., None]
        things = cv2.GaussianBlur(things * mask[..., None], (0, 0), softness) / np.maximum(alpha, 1e-3)
        return real * shade[..., None] * (1 - alpha) + things * alpha, owners


def _developed(
    both: np.ndarray,
    ground: np.ndarray,
    real: np.ndarray,
    placed: np.ndarray,
    owners: np.ndarray,
    grey: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Linear light as this camera would show it: exposed so that rendered ground becomes as bright as the real one."""
    luma = _luma(real)
    target = float(np.median(luma[placed])) if placed.any() else float(np.median(luma))
    sensor = Sensor(
        gamma=float(rng.uniform(1.7, 2.4)),
        vignette=0.0,
        sharpen=float(rng.uniform(0, 1.0)),
        noise=0.0,
        saturation=0.0 if grey else float(rng.uniform(0.4, 1.1)),
        contrast=float(rng.uniform(0.7, 1.15)),
    )
    linear = max(target, 0.02) ** sensor.gamma / 1.15
    linear = linear / max(1 - 0.25 * linear, 0.2)
    drawn = float(np.median(_luma(ground)[placed])) if placed.any() else float(np.median(ground))
    # Bright ground is more often bright by itself than lit better: plazas of stone against asphalt.
    real_ground = 0.08 + 0.55 * target
    sensor.exposure = linear / max(drawn, 1e-3) * _GROUND / real_ground * float(np.exp(rng.normal(0, 0.5)))
    if not grey:
        cast = real[placed].mean(0) if placed.any() else real.mean((0, 1))
        sensor.white = tuple(float(v) for v in (cast / max(cast.mean(), 1e-3)) ** rng.uniform(0.2, 0.7))
    # A lamp or a shadow of the real place falls on the thing as well.
    around = cv2.GaussianBlur(luma, (0, 0), luma.shape[1] / 32)
    gains = np.ones(int(owners.max()) + 1, np.float32)
    rows, columns = np.nonzero(owners)
    foot = np.zeros(len(gains), int)
    np.maximum.at(foot, owners[rows, columns], rows)
    middle = np.bincount(owners[rows, columns], columns, len(gains)) / np.maximum(
        np.bincount(owners[rows, columns], minlength=len(gains)), 1
    )
    for owner in range(1, len(gains)):
        local = around[min(foot[owner], luma.shape[0] - 1), int(middle[owner])]
        gains[owner] = np.clip((local / max(target, 0.02)) ** 0.8, 0.35, 1.7)
    picture = sensor.develop(both * gains[owners][..., None], rng).astype(np.float32) / 255
    black = float(np.percentile(luma, 1)) * float(rng.uniform(0.3, 1.0))
    return black + (1 - black) * picture


def _seen(real: np.ndarray, background: Background, rng: np.random.Generator) -> np.ndarray:
    """What the camera would send of it: another exposure, its noise."""
    picture = (real - 0.5) * float(rng.uniform(0.9, 1.1)) + 0.5 + float(rng.normal(0, 0.03))
    sigma = background.noise / 255 * float(rng.uniform(0.6, 1.5))
    noise = cv2.GaussianBlur(rng.standard_normal(real.shape[:2], dtype=np.float32), (0, 0), 0.6)
    picture = picture + (noise * np.float32(sigma * 1.8))[..., None]
    return (np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _colour(real: np.ndarray) -> float:
    """How far the channels are apart where the picture is most coloured."""
    red, green, blue = cv2.split(real)
    return float(np.percentile(cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue), 95))


def _luma(picture: np.ndarray) -> np.ndarray:
    return cv2.transform(picture, np.full((1, 3), 1 / 3, np.float32))


def _feet(site: Site) -> np.ndarray:
    """Places (n, 2) in ratios where things were seen to stand or move."""
    seen = np.concatenate([site.person_seen, site.car_seen])
    feet = np.stack([(seen[:, 0] + seen[:, 2]) / 2, seen[:, 3]], 1)
    rows, columns = np.nonzero(site.moving > _CELLS_MIN)
    cells = np.stack([(columns + 0.5) / site.moving.shape[1], (rows + 0.8) / site.moving.shape[0]], 1)
    return np.concatenate([feet, cells])
