"""What rolls: a spoked wheel, and the driving end of a load tricycle."""

from __future__ import annotations

import numpy as np

from .mesh import Frame, Material, block, cylinder, turn_x
from .scene import Scene

_DARK = (0.05, 0.05, 0.06)


def wheel(scene: Scene, owner: int, frame: Frame, x: float, y: float, radius: float) -> None:
    upright = turn_x(np.pi / 2)
    scene.mesh.add(
        cylinder(14),
        (x, y + 0.05, radius),
        (2 * radius, 2 * radius, 0.1),
        (0.03,) * 3,
        owner=owner,
        frame=frame,
        rotation=upright,
    )
    scene.mesh.add(
        cylinder(8),
        (x, y + 0.06, radius),
        (1.1 * radius, 1.1 * radius, 0.12),
        (0.4,) * 3,
        owner=owner,
        frame=frame,
        rotation=upright,
    )


def tricycle_front(
    scene: Scene, owner: int, frame: Frame, length: float, bed: float, colour: np.ndarray, radius: float
) -> None:
    """Front wheel, handlebar, leg shield and saddle of a load tricycle."""
    mesh = scene.mesh
    wheel(scene, owner, frame, length / 2 - 0.3, 0, radius)
    mesh.limb((length / 2 - 0.3, 0, radius), (length / 2 - 0.5, 0, 1.0), 0.08, _DARK, owner=owner, frame=frame)
    mesh.limb((length / 2 - 0.5, -0.32, 1.02), (length / 2 - 0.5, 0.32, 1.02), 0.05, _DARK, owner=owner, frame=frame)
    mesh.add(block(), (length / 2 - 0.48, 0, 0.4), (0.1, 0.42, 0.55), colour, Material.PAINT, owner, frame)
    mesh.add(block(), (length / 2 - 0.75, 0, 0.25), (0.7, 0.4, 0.1), colour * 0.6, owner=owner, frame=frame)
    mesh.add(block(), (-length / 2 + bed + 0.2, 0, 0.3), (0.4, 0.5, 0.4), colour, owner=owner, frame=frame)
    mesh.add(block(), (-length / 2 + bed + 0.2, 0, 0.7), (0.42, 0.5, 0.1), _DARK, owner=owner, frame=frame)
