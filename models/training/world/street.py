"""The standing part of a scene: road, kerbs, markings, pavement, buildings, and where things may stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .furniture import clutter, furnish
from .mesh import Material, block, frustum, turn_z
from .scene import Scene

_WHITE = np.array([0.85, 0.85, 0.82])
_YELLOW = np.array([0.85, 0.6, 0.08])


@dataclass(frozen=True)
class Street:
    """The road lies between y = -half and +half; the pavement ends at `front` with the buildings of the far side."""

    half: float
    front: float
    kerb: float


def slab(
    scene: Scene, x: tuple[float, float], y: tuple[float, float], top: float, colour: np.ndarray, material: Material
) -> None:
    """A flat piece of ground."""
    at = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, top - 0.3)
    scene.mesh.add(block(), at, (x[1] - x[0], y[1] - y[0], 0.3), colour, material)


def stripe(
    scene: Scene,
    at: tuple[float, float],
    length: float,
    width: float,
    colour: np.ndarray,
    yaw: float = 0.0,
    z: float = 0.0,
) -> None:
    """Paint on the ground."""
    scene.mesh.add(block(), (*at, z - 0.012), (length, width, 0.018), colour, Material.ASPHALT, rotation=turn_z(yaw))


def ground(scene: Scene, half: float, kerb: float, road: float, paving: np.ndarray) -> None:
    slab(scene, (-80, 80), (-half, half), 0.0, np.array([road, road, road * 1.02]), Material.ASPHALT)
    for side in (-1, 1):
        near, far = sorted((side * half, side * (half + 45)))
        slab(scene, (-80, 80), (near, far), kerb, paving, Material.PAVING)
        edge = sorted((side * half, side * (half + 0.18)))
        slab(scene, (-80, 80), tuple(edge), kerb + 0.012, np.full(3, 0.5), Material.CONCRETE)


def fire_lane(scene: Scene, x: tuple[float, float], y: tuple[float, float], z: float = 0.0) -> None:
    """The marked lane: a yellow frame with slanted bars."""
    middle = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2)
    width = y[1] - y[0]
    for edge in y:
        stripe(scene, (middle[0], edge), x[1] - x[0], 0.15, _YELLOW, z=z)
    for end in x:
        stripe(scene, (end, middle[1]), 0.15, width, _YELLOW, z=z)
    slant = np.arctan2(width, 1.4)
    for start in np.arange(x[0] + 1.0, x[1] - 0.8, 1.6):
        stripe(scene, (start, middle[1]), np.hypot(width, 1.4) - 0.25, 0.14, _YELLOW * 0.95, slant, z)


def markings(scene: Scene, half: float, kerb: float) -> None:
    colour = (_WHITE if scene.chance(0.6) else _YELLOW) * scene.between(0.6, 1.0)
    if scene.chance(0.75):
        if scene.chance(0.5):
            stripe(scene, (0, 0), 150, 0.14, colour)
        else:
            for x in np.arange(-60, 60, 6.0):
                stripe(scene, (x, 0), 2.6, 0.15, colour)
    if scene.chance(0.4):
        for side in (-1, 1):
            stripe(scene, (0, side * (half - 0.5)), 150, 0.12, _WHITE * 0.9)
    if scene.chance(0.3):
        start = scene.between(-15, 5)
        middle = half - 1.6 if scene.chance(0.7) else 1.6 - half
        fire_lane(scene, (start, start + scene.between(6, 16)), (middle - 1.3, middle + 1.3))
    if scene.chance(0.3):
        crossing = scene.between(-8, 8)
        for y in np.arange(-half + 0.4, half, 0.9):
            stripe(scene, (crossing, y), 3.0, 0.42, _WHITE * 0.95)
    if scene.chance(0.25):
        for x in np.arange(-30, 30, 2.5):
            stripe(scene, (x, half + 1.5), 0.1, 4.5, _WHITE * 0.95, z=kerb)


def buildings(scene: Scene, front: float, shops: float = 0.75, plain: bool = False) -> None:
    """A row of houses along the far side, many with shops below (`plain`: without the patchwork windows)."""
    x = -65.0
    while x < 65:
        length, height, back = scene.between(6, 16), scene.between(6, 20), scene.between(0, 0.8)
        if scene.chance(0.92):
            wall = Material.WINDOWS if scene.chance(0.75) else Material.BRICK
            colour = scene.colour(0.3, 0.85) * 0.5 + 0.22 if scene.chance(0.7) else scene.colour(0.25, 0.85)
            scene.mesh.add(block(), (x + length / 2, front + 4 + back, 0), (length * 0.995, 8, height), colour, wall)
            if scene.chance(shops):
                shop_row(scene, x, length, front + back, plain)
        x += length


def _near_side(scene: Scene, half: float) -> None:
    """Houses behind and beside the camera: seen by those that look along the street."""
    x, y = -65.0, -half - scene.between(7, 14)
    while x < 65:
        length, height = scene.between(7, 20), scene.between(4, 18)
        if scene.chance(0.8):
            wall = Material.WINDOWS if scene.chance(0.7) else Material.BRICK
            colour = scene.colour(0.25, 0.85)
            scene.mesh.add(block(), (x + length / 2, y - 4, 0), (length * 0.97, 8, height), colour, wall)
            if scene.chance(0.5):
                scene.mesh.add(
                    block(), (x + length / 2, y + 0.1, 0.2), (length * 0.8, 0.2, 2.4), colour * 0.4, Material.SHUTTER
                )
        x += length


def shop_row(scene: Scene, x: float, length: float, front: float, plain: bool = False) -> None:
    mesh, count = scene.mesh, int(scene.rng.integers(1, 4))
    for i in range(count):
        middle, width = x + (i + 0.5) * length / count, length / count * 0.88
        dice = scene.rng.random()
        opening = Material.SHUTTER if dice < 0.35 else Material.GLASS if dice < 0.85 or plain else Material.PATCHWORK
        colour = scene.colour(0.02, 0.25) if opening is Material.GLASS else scene.colour(0.2, 0.7)
        mesh.add(block(), (middle, front - 0.02, 0.1), (width, 0.1, scene.between(2.3, 2.7)), colour, opening)
        lit = scene.night and scene.chance(0.55)
        sign = scene.bright() if scene.chance(0.7) else scene.colour(0.2, 1.0)
        board = (width * 1.04, 0.22, scene.between(0.5, 0.9))
        mesh.add(
            block(),
            (middle, front - 0.12, 2.85),
            board,
            sign * (0.8 if lit else 1),
            Material.GLOWING if lit else Material.PLAIN,
        )
        for k in range(int(scene.rng.integers(3, 7))):  # the writing, as strokes
            at = (middle + (k - 2.5) * width * 0.14, front - 0.25, 3.0)
            size = (width * scene.between(0.05, 0.09), 0.03, board[2] * 0.5)
            mesh.add(block(), at, size, np.clip(1.1 - sign, 0.05, 0.95), Material.GLOWING if lit else Material.PLAIN)
        if scene.chance(0.25):
            mesh.add(frustum(1.0, 0.15), (middle, front - 0.7, 2.45), (width, 1.6, 0.5), scene.bright(), Material.CLOTH)


def random_street(scene: Scene) -> Street:
    rng = scene.rng
    half, kerb = scene.between(2.5, 7), scene.between(0.02, 0.16)
    paving = scene.between(0.28, 0.62) * np.array([1.0, scene.between(0.88, 1.03), scene.between(0.78, 1.03)])
    ground(scene, half, kerb, scene.between(0.13, 0.38), paving)
    markings(scene, half, kerb)
    street = Street(half, half + scene.between(2, 6), kerb)
    buildings(scene, street.front)
    if scene.varied and scene.chance(0.6):
        _near_side(scene, half)
    furnish(scene, street.half, street.front, kerb)
    if rng.random() < 0.7:
        clutter(scene, street.half, street.front)
    return street
