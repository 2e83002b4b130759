"""Triangle soups: unit shapes, frames (where a thing stands) and the mesh that collects them for the renderer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np

Vector = np.ndarray
FLOATS_PER_VERTEX = 17


class Material(IntEnum):
    """What the fragment shader does with a surface; the numbers are repeated in `shader.py`."""

    PLAIN = 0
    ASPHALT = 1
    WINDOWS = 2
    FOLIAGE = 3
    GLASS = 4
    PAINT = 5
    GLOWING = 6
    CARTON = 7
    BRICK = 8
    SEGMENTS = 9
    CLOTH = 10
    PAVING = 11
    PATCHWORK = 12
    CONTACT = 13
    CONCRETE = 14
    SHUTTER = 15


@dataclass(frozen=True)
class Shape:
    """A triangle soup in its own unit space: three consecutive vertices are a triangle."""

    positions: Vector
    normals: Vector


@dataclass(frozen=True)
class Frame:
    """Where an object stands: a rotation (with scale) and an origin in the world."""

    rotation: Vector
    origin: Vector

    @staticmethod
    def at(x: float, y: float, yaw: float = 0.0, z: float = 0.0, scale: float = 1.0) -> Frame:
        return Frame(turn_z(yaw) * np.float32(scale), np.array([x, y, z], np.float32))

    def point(self, x: float, y: float, z: float = 0.0) -> Vector:
        """A point of this frame in the world."""
        return self.rotation @ np.array([x, y, z], np.float32) + self.origin

    def moved(self, x: float, y: float, z: float = 0.0, rotation: Vector | None = None) -> Frame:
        """A frame inside this frame."""
        turned = self.rotation if rotation is None else self.rotation @ rotation
        return Frame(turned.astype(np.float32), self.point(x, y, z))


WORLD = Frame(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))


def turn_x(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]], np.float32)


def turn_y(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]], np.float32)


def turn_z(angle: float) -> Vector:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)


class Mesh:
    """Collects shapes as vertices: position, normal, colour, material, owner, unit and object coordinates.

    `owner` is the number that the id buffer shows where the surface is visible; 0 is scenery.
    """

    def __init__(self) -> None:
        self._parts: list[Vector] = []

    def add(
        self,
        shape: Shape,
        at: tuple[float, float, float] | Vector,
        size: tuple[float, float, float] | Vector,
        colour: tuple[float, float, float] | Vector,
        material: Material = Material.PLAIN,
        owner: int = 0,
        frame: Frame = WORLD,
        rotation: Vector | None = None,
    ) -> None:
        """Place a unit shape: scaled by `size`, turned by `rotation`, moved to `at`, all inside `frame`."""
        scale = np.asarray(size, np.float32)
        points = shape.positions * scale
        normals = shape.normals / np.maximum(scale, 1e-3)
        if rotation is not None:
            points = points @ rotation.T
            normals = normals @ rotation.T
        points = points + np.asarray(at, np.float32)
        part = np.empty((len(points), FLOATS_PER_VERTEX), np.float32)
        part[:, 14:17] = points
        part[:, 11:14] = shape.positions
        if frame is not WORLD:
            points = points @ frame.rotation.T + frame.origin
            normals = normals @ frame.rotation.T
        part[:, 0:3] = points
        part[:, 3:6] = normals
        part[:, 6:9] = colour
        part[:, 9] = material
        part[:, 10] = owner
        self._parts.append(part)

    def limb(
        self,
        start: tuple[float, float, float] | Vector,
        end: tuple[float, float, float] | Vector,
        width: float,
        colour: tuple[float, float, float] | Vector,
        material: Material = Material.PLAIN,
        owner: int = 0,
        frame: Frame = WORLD,
        shape: Shape | None = None,
    ) -> None:
        """A rod from `start` to `end`."""
        first, last = np.asarray(start, np.float32), np.asarray(end, np.float32)
        along = last - first
        length = float(np.linalg.norm(along)) + 1e-6
        axis = along / length
        side = _cross(axis, (0.3, 1.0, 0.2))
        side /= np.linalg.norm(side) + 1e-6
        rotation = np.stack([side, _cross(axis, side), axis], 1).astype(np.float32)
        self.add(shape or cylinder(8), first, (width, width, length), colour, material, owner, frame, rotation)

    def quad(
        self,
        corners: list[tuple[float, float, float]],
        colour: tuple[float, float, float] | Vector,
        material: Material,
        owner: int = 0,
        frame: Frame = WORLD,
    ) -> None:
        """A flat four-cornered sheet."""
        points = np.array([corners[i] for i in (0, 1, 2, 0, 2, 3)], np.float32)
        normal = np.cross(points[1] - points[0], points[2] - points[0])
        normal /= np.linalg.norm(normal) + 1e-9
        sheet = Shape(points, np.tile(normal, (6, 1)).astype(np.float32))
        self.add(sheet, (0, 0, 0), (1, 1, 1), colour, material, owner, frame)

    def contact_shadow(self, frame: Frame, length: float, width: float, strength: float = 0.75) -> None:
        """The soft dark patch under a thing that keeps the sky off the ground; must be added before the thing."""
        self.add(block(), (0, 0, 0.012), (length, width, 0.004), (strength,) * 3, Material.CONTACT, 0, frame)

    def vertices(self) -> Vector:
        if not self._parts:
            return np.zeros((0, FLOATS_PER_VERTEX), np.float32)
        everything = np.concatenate(self._parts)
        everything[:, 3:6] /= np.linalg.norm(everything[:, 3:6], axis=1, keepdims=True) + 1e-9
        return everything


def _cross(a: Vector, b: Vector | tuple) -> Vector:
    """The cross product of two single vectors, without the overhead of the general one."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], np.float32)


def _soup(points: Vector, faces: Vector, smooth: Vector | None = None) -> Shape:
    """Indexed triangles to a soup, flat-shaded unless `smooth` gives a normal for each point."""
    points = np.asarray(points, np.float32)
    faces = np.asarray(faces)
    if smooth is None:
        a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
        flat = np.cross(b - a, c - a)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
        normals = np.repeat(flat, 3, 0)
    else:
        normals = np.asarray(smooth, np.float32)[faces].reshape(-1, 3)
    return Shape(points[faces].reshape(-1, 3).astype(np.float32), normals.astype(np.float32))


_BOX_FACES = np.array(
    [
        triangle
        for a, b, c, d in ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (1, 5, 7, 3), (0, 2, 6, 4))
        for triangle in ((a, b, c), (a, c, d))
    ]
)


@lru_cache
def block() -> Shape:
    """A unit box standing on the origin."""
    return frustum(1.0, 1.0)


@lru_cache(maxsize=64)
def frustum(top_x: float, top_y: float) -> Shape:
    """A box whose top is `top_x` by `top_y` of its bottom."""
    points = []
    for x in (-0.5, 0.5):
        for y in (-0.5, 0.5):
            points += [[x, y, 0.0], [x * top_x, y * top_y, 1.0]]
    return _soup(np.array(points), _BOX_FACES)


@lru_cache(maxsize=64)
def cylinder(sides: int = 14, top: float = 1.0) -> Shape:
    """A standing cylinder of diameter 1, its top scaled by `top`, with both caps."""
    angles = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.cos(angles) / 2, np.sin(angles) / 2, 0 * angles], 1)
    upper = ring * [top, top, 0] + [0, 0, 1]
    outward = ring * 2
    outward[:, 2] = (1 - top) / 2
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    faces = []
    for i in range(sides):
        j = (i + 1) % sides
        faces += [(i, j, sides + j), (i, sides + j, sides + i)]
    wall = _soup(np.concatenate([ring, upper]), np.array(faces), np.concatenate([outward, outward]))
    caps = []
    for i in range(sides):
        j = (i + 1) % sides
        caps += [upper[i], upper[j], [0, 0, 1], ring[j], ring[i], [0, 0, 0]]
    cap_normals = np.tile(np.array([[0, 0, 1]] * 3 + [[0, 0, -1]] * 3, np.float32), (sides, 1))
    return Shape(
        np.concatenate([wall.positions, np.array(caps, np.float32)]),
        np.concatenate([wall.normals, cap_normals]),
    )


@lru_cache(maxsize=16)
def ball(around: int = 10, up: int = 6) -> Shape:
    """A smooth ball of diameter 1 about the origin."""
    points = [
        [np.sin(t) * np.cos(p) / 2, np.sin(t) * np.sin(p) / 2, np.cos(t) / 2]
        for t in np.linspace(0, np.pi, up + 1)
        for p in np.arange(around) * 2 * np.pi / around
    ]
    faces = []
    for j in range(up):
        for i in range(around):
            a, b = j * around + i, j * around + (i + 1) % around
            if j > 0:
                faces.append((a, a + around, b))
            if j < up - 1:
                faces.append((b, a + around, b + around))
    everywhere = np.array(points, np.float32)
    return _soup(everywhere, np.array(faces), everywhere * 2)


@lru_cache(maxsize=16)
def cone(sides: int = 16) -> Shape:
    """A cone of base diameter 1 and height 1, open below."""
    angles = np.arange(sides + 1) * 2 * np.pi / sides
    points, normals = [], []
    for i in range(sides):
        middle = (angles[i] + angles[i + 1]) / 2
        for angle in (angles[i], angles[i + 1]):
            points.append([np.cos(angle) / 2, np.sin(angle) / 2, 0])
        points.append([0, 0, 1])
        normals += [[np.cos(middle) * 0.6, np.sin(middle) * 0.6, 0.8]] * 3
    return Shape(np.array(points, np.float32), np.array(normals, np.float32))


def extrusion(profile: list[tuple[float, float]], inset: float = 0.0) -> Shape:
    """A side view (x, z) drawn out to y = -0.5 … 0.5; `inset` narrows what lies above half of the height."""
    outline = np.array(profile, np.float32)
    count = len(outline)
    top = outline[:, 1].max()
    half = 0.5 - inset * np.clip((outline[:, 1] - 0.5 * top) / (0.5 * top), 0, 1)
    left = np.stack([outline[:, 0], -half, outline[:, 1]], 1)
    right = np.stack([outline[:, 0], half, outline[:, 1]], 1)
    centre = outline.mean(0)
    points = np.concatenate([left, right, [[centre[0], -0.5, centre[1]], [centre[0], 0.5, centre[1]]]])
    faces = []
    for i in range(count):
        j = (i + 1) % count
        faces += [(i, j, count + j), (i, count + j, count + i)]
        faces += [(j, i, 2 * count), (count + i, count + j, 2 * count + 1)]
    return _soup(points, np.array(faces))
