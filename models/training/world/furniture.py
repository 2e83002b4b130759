"""Street furniture and hard negatives: trees, lamps, railings, laundry, plants, bins, and shapes of no meaning."""

from __future__ import annotations

import numpy as np

from .mesh import Material, ball, block, cone, cylinder, frustum, turn_z
from .scene import Scene

_STEEL = np.array([0.4, 0.4, 0.42])


def tree(scene: Scene, x: float, y: float, height: float | None = None, crown: float = 1.0) -> None:
    height = height or scene.between(2.2, 4)
    top = x + float(scene.rng.normal(0, 0.15))
    scene.mesh.limb((x, y, 0), (top, y, height), scene.between(0.16, 0.32), (0.27, 0.2, 0.14), Material.BRICK)
    leaf = np.array([scene.between(0.08, 0.22), scene.between(0.22, 0.38), scene.between(0.05, 0.14)])
    for _ in range(int(scene.rng.integers(6, 11))):
        size = scene.between(1.2, 2.4) * crown
        at = (
            top + scene.rng.normal(0, 0.8) * crown,
            y + scene.rng.normal(0, 0.8) * crown,
            height + scene.between(0, 1.7) * crown,
        )
        colour = leaf * scene.between(0.75, 1.2)
        scene.mesh.add(ball(12, 8), at, (size, size, size * 0.75), colour, Material.FOLIAGE)


def lamp_post(scene: Scene, x: float, y: float, height: float = 5.5, reach: float = -1.2) -> None:
    mesh = scene.mesh
    mesh.limb((x, y, 0), (x, y, height), 0.15, _STEEL)
    mesh.limb((x, y, height), (x, y + reach, height + 0.2), 0.09, _STEEL)
    material = Material.GLOWING if scene.night else Material.PLAIN
    mesh.add(block(), (x, y + reach, height + 0.1), (0.25, 0.6, 0.1), (1.0, 0.9, 0.7), material)


def railing(scene: Scene, x: tuple[float, float], y: float, z: float = 0.0, colour: np.ndarray | None = None) -> None:
    colour = scene.colour(0.2, 0.95) if colour is None else colour
    for post in np.arange(x[0], x[1], 2.0):
        scene.mesh.add(block(), (post, y, z), (0.09, 0.09, 1.0), colour)
    for bar in (0.35, 0.9):
        scene.mesh.add(block(), ((x[0] + x[1]) / 2, y, z + bar), (x[1] - x[0], 0.05, 0.07), colour)
    if scene.chance(0.5):
        for post in np.arange(x[0], x[1], 0.25):
            scene.mesh.add(block(), (post, y, z + 0.35), (0.025, 0.025, 0.55), colour)


def planter(scene: Scene, x: float, y: float, z: float = 0.0) -> None:
    """A tub with a shrub: to many detectors a stall."""
    size = scene.between(0.4, 1.2)
    scene.mesh.add(
        frustum(1.1, 1.1), (x, y, z), (size, scene.between(0.35, 0.6), 0.45), scene.colour(0.2, 0.7), Material.CONCRETE
    )
    for _ in range(3):
        at = (x + scene.between(-0.3, 0.3) * size, y, z + 0.65)
        scene.mesh.add(ball(8, 6), at, (size * 0.6, 0.5, 0.6), (0.13, scene.between(0.22, 0.4), 0.09), Material.FOLIAGE)


def laundry(scene: Scene, x: float, y: float, z: float = 0.0) -> None:
    """Clothes on a line between two poles."""
    length = scene.between(2, 4)
    for end in (-1, 1):
        scene.mesh.limb((x + end * length / 2, y, z), (x + end * length / 2, y, z + 1.9), 0.05, _STEEL)
    scene.mesh.limb((x - length / 2, y, z + 1.85), (x + length / 2, y, z + 1.85), 0.02, _STEEL)
    for place in np.arange(-length / 2 + 0.3, length / 2 - 0.2, 0.55):
        drop = scene.between(0.5, 1.2)
        scene.mesh.add(block(), (x + place, y, z + 1.85 - drop), (0.45, 0.04, drop), scene.colour(), Material.CLOTH)


def bollards(scene: Scene, x: float, y: float) -> None:
    colour = scene.colour()
    for i in range(int(scene.rng.integers(2, 7))):
        scene.mesh.add(cylinder(8), (x + i * 1.3, y, 0), (0.14, 0.14, 0.9), colour)


def sign_post(scene: Scene, x: float, y: float) -> None:
    scene.mesh.limb((x, y, 0), (x, y, 2.5), 0.07, _STEEL)
    scene.mesh.add(block(), (x, y - 0.05, 1.95), (0.6, 0.04, 0.6), scene.colour(), Material.PATCHWORK)


def bin_(scene: Scene, x: float, y: float) -> None:
    colour = (0.1, 0.32, 0.15) if scene.chance(0.4) else scene.colour(0.05, 0.6)
    size = (scene.between(0.45, 0.75), scene.between(0.45, 0.75), scene.between(0.8, 1.1))
    scene.mesh.add(frustum(1.15, 1.15), (x, y, 0), size, colour, Material.PAINT)


def traffic_cone(scene: Scene, x: float, y: float) -> None:
    scene.mesh.add(cone(10), (x, y, 0), (0.4, 0.4, 0.7), (0.9, 0.3, 0.05))


def furnish(scene: Scene, half: float, front: float, kerb: float) -> None:
    """A random choice of all of the above along the street."""
    for _ in range(int(scene.rng.integers(0, 5))):
        tree(
            scene,
            scene.between(-25, 25),
            half + scene.between(0.6, 1.5) if scene.chance(0.85) else -half - scene.between(0.8, 2),
        )
    makers = (bollards, sign_post, bin_, planter, traffic_cone, laundry, lamp_post, planter)
    for _ in range(int(scene.rng.integers(0, 8))):
        y = (
            half + scene.between(0.3, max(0.5, front - half - 0.5))
            if scene.chance(0.7)
            else -half - scene.between(0.3, 3)
        )
        makers[scene.rng.integers(len(makers))](scene, scene.between(-18, 18), y)
    if scene.chance(0.3):
        railing(scene, (-25, 25), half + 0.4 if scene.chance(0.6) else 0.0, kerb)
    if scene.chance(0.4):
        for _ in range(int(scene.rng.integers(1, 4))):
            left, right = ((x, scene.between(-half, half + 2), scene.between(5, 7)) for x in (-40, 40))
            scene.mesh.limb(left, right, 0.05, (0.05,) * 3)


def clutter(scene: Scene, half: float, front: float) -> None:
    """Shapes of no meaning, so that colour and edges alone make no object."""
    shapes = (block(), cylinder(8), ball(8, 6), cylinder(8, 0.7), cone(10))
    materials = (
        Material.PLAIN,
        Material.BRICK,
        Material.CLOTH,
        Material.PATCHWORK,
        Material.FOLIAGE,
        Material.CONCRETE,
    )
    for _ in range(int(scene.rng.integers(0, 8))):
        size = 10 ** scene.between(-0.7, 0.3)
        at = (
            scene.between(-20, 20),
            scene.between(-half - 4, front),
            0.05 if scene.chance(0.8) else scene.between(1, 3),
        )
        sides = size * scene.rng.uniform(0.3, 1.7, 3)
        material = materials[scene.rng.integers(len(materials))]
        turn = turn_z(scene.between(0, 6))
        scene.mesh.add(shapes[scene.rng.integers(5)], at, sides, scene.colour(), material, rotation=turn)
