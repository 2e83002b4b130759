"""Things that block a lane and that no detector has a name for. All stand on their frame's ground."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .mesh import Frame, Material, ball, block, cylinder, frustum, turn_x, turn_y, turn_z
from .scene import Scene

Maker = Callable[[Scene, Frame], int]
_STEEL = (0.4, 0.4, 0.42)


def skip(scene: Scene, frame: Frame) -> int:
    """An open rubble container."""
    mesh, owner = scene.mesh, scene.own(None)
    length, width, height = scene.between(2.6, 3.8), scene.between(1.5, 1.9), scene.between(1.0, 1.5)
    colour = scene.bright() if scene.chance(0.6) else scene.colour(0.1, 0.6)
    mesh.contact_shadow(frame, length * 1.15, width * 1.3)
    mesh.add(frustum(1.25, 1.05), (0, 0, 0.1), (length * 0.8, width, height), colour, Material.PAINT, owner, frame)
    inside = (length * 0.92, width * 0.9, 0.03)
    mesh.add(block(), (0, 0, height + 0.09), inside, (0.05,) * 3, Material.PLAIN, owner, frame)
    for rib in (-0.3, 0, 0.3):
        at = (rib * length * 0.8, 0, 0.3)
        mesh.add(block(), at, (0.09, width * 1.06, height - 0.25), colour * 0.7, Material.PLAIN, owner, frame)
    for _ in range(int(scene.rng.integers(0, 14))):
        at = (scene.between(-0.4, 0.4) * length, scene.between(-0.35, 0.35) * width, height)
        turn = turn_z(scene.between(0, 3)) @ turn_x(scene.between(0, 1))
        sides = scene.rng.uniform(0.15, 0.5, 3)
        mesh.add(block(), at, sides, scene.colour(0.2, 0.7), Material.CONCRETE, owner, frame, turn)
    return owner


def sofa(scene: Scene, frame: Frame) -> int:
    """Furniture put out: a sofa, sometimes a wardrobe beside it."""
    mesh, owner, colour = scene.mesh, scene.own(None), scene.colour(0.08, 0.7)
    length = scene.between(1.7, 2.3)
    mesh.contact_shadow(frame, length * 1.2, 1.2)
    mesh.add(block(), (0, 0, 0.08), (length, 0.85, 0.36), colour, Material.CLOTH, owner, frame)
    mesh.add(block(), (0, 0.36, 0.3), (length, 0.2, 0.55), colour * 0.9, Material.CLOTH, owner, frame)
    for side in (-1, 1):
        mesh.add(block(), (side * length * 0.48, 0, 0.3), (0.2, 0.85, 0.32), colour * 0.9, Material.CLOTH, owner, frame)
    if scene.chance(0.6):
        wood = (0.42, 0.28, 0.16)
        size = (scene.between(0.8, 1.2), 0.55, scene.between(1.4, 1.9))
        mesh.add(block(), (length * 0.5 + 0.9, 0.1, 0), size, wood, Material.PLAIN, owner, frame)
    return owner


def rubble(scene: Scene, frame: Frame) -> int:
    """A heap of broken bricks, sand or soil."""
    mesh, owner = scene.mesh, scene.own(None)
    reach, height = scene.between(1.0, 1.6), scene.between(0.5, 0.9)
    base = np.array([0.5, 0.42, 0.34]) * scene.between(0.5, 1.3)
    mesh.add(ball(12, 6), (0, 0, 0), (2 * reach, 1.7 * reach, 2 * height), base, Material.ASPHALT, owner, frame)
    for _ in range(36):
        angle, away = scene.between(0, 6.28), reach * scene.between(0.1, 1.0)
        low = height * (1 - (away / reach) ** 2) * 0.95
        at = (away * np.cos(angle), away * np.sin(angle) * 0.85, max(0.0, low))
        turn = turn_z(scene.between(0, 3)) @ turn_y(scene.between(-0.5, 0.5))
        sides = scene.rng.uniform(0.1, 0.32, 3)
        mesh.add(block(), at, sides, base * scene.between(0.7, 1.3), Material.CONCRETE, owner, frame, turn)
    return owner


def tarpaulin(scene: Scene, frame: Frame) -> int:
    """Something under a cover."""
    mesh, owner = scene.mesh, scene.own(None)
    colour = (0.1, 0.25, 0.55) if scene.chance(0.5) else scene.colour(0.1, 0.6)
    length, width, height = scene.between(1.8, 3.2), scene.between(1.2, 1.8), scene.between(0.7, 1.3)
    mesh.contact_shadow(frame, length * 1.15, width * 1.2)
    mesh.add(frustum(0.8, 0.7), (0, 0, 0), (length, width, height), colour, Material.CLOTH, owner, frame)
    for _ in range(5):
        at = (scene.between(-0.35, 0.35) * length, scene.between(-0.25, 0.25) * width, height * 0.85)
        size = scene.between(0.4, 0.9)
        mesh.add(ball(8, 5), at, (size, size * 0.8, size * 0.5), colour, Material.CLOTH, owner, frame)
    return owner


def pipes(scene: Scene, frame: Frame) -> int:
    """Pipes, poles or boards in a bundle, or a cable drum."""
    mesh, owner = scene.mesh, scene.own(None)
    if scene.chance(0.35):
        side = scene.between(1.3, 1.8)
        for end in (-1, 1):
            at = (0, end * 0.45 + 0.05, side / 2)
            mesh.add(
                cylinder(16), at, (side, side, 0.1), (0.5, 0.36, 0.2), Material.PLAIN, owner, frame, turn_x(1.5708)
            )
        at = (0, 0.5, side / 2)
        mesh.add(
            cylinder(14), at, (side * 0.7, side * 0.7, 1.0), (0.08,) * 3, Material.PLAIN, owner, frame, turn_x(1.5708)
        )
        return owner
    length, colour = scene.between(2.6, 4.2), scene.colour(0.15, 0.8)
    mesh.contact_shadow(frame, length * 1.05, 1.6)
    for row in range(int(scene.rng.integers(3, 6))):
        for layer in range(int(scene.rng.integers(2, 4))):
            start = (-length / 2, row * 0.3 - 0.6, 0.15 + layer * 0.26)
            end = (length / 2 + scene.between(-0.2, 0.2), row * 0.3 - 0.6, start[2])
            mesh.limb(start, end, 0.28, colour, Material.PAINT, owner, frame)
    return owner


def barrier_row(scene: Scene, frame: Frame) -> int:
    """Somebody keeps the place: barriers, cones, a board across."""
    mesh, owner = scene.mesh, scene.own(None)
    colour = (0.85, 0.25, 0.06) if scene.chance(0.7) else (0.85, 0.8, 0.1)
    for i in range(3):
        at = ((i - 1) * 1.2, 0, 0)
        mesh.add(frustum(0.95, 0.45), at, (1.15, 0.55, scene.between(0.8, 1.0)), colour, Material.PAINT, owner, frame)
    mesh.add(block(), (0, 0.5, 0.1), (2.4, 0.7, 0.5), _STEEL, Material.SHUTTER, owner, frame)
    return owner


def branches(scene: Scene, frame: Frame) -> int:
    """A fallen branch with its leaves."""
    mesh, owner = scene.mesh, scene.own(None)
    mesh.limb((-1.5, 0, 0.15), (1.6, 0.2, 0.25), 0.16, (0.3, 0.22, 0.15), Material.BRICK, owner, frame)
    for _ in range(9):
        at = (scene.between(-0.6, 1.7), scene.between(-0.7, 0.7), scene.between(0.15, 0.5))
        size = scene.between(0.6, 1.1)
        leaf = (0.12, scene.between(0.2, 0.36), 0.08)
        mesh.add(ball(9, 6), at, (size, size, size * 0.7), leaf, Material.FOLIAGE, owner, frame)
    return owner


JUNK: dict[str, Maker] = {
    "skip": skip,
    "sofa": sofa,
    "rubble": rubble,
    "tarpaulin": tarpaulin,
    "pipes": pipes,
    "barriers": barrier_row,
    "branches": branches,
}
