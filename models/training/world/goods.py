"""Goods on a surface: heaps and rows of trays. They belong to whatever carries them."""

from __future__ import annotations

import numpy as np

from .mesh import Frame, Material, ball, block, cylinder, turn_z
from .scene import Scene


def heap_of_goods(
    scene: Scene, owner: int, frame: Frame, length: float, width: float, count: int, small: bool = False
) -> None:
    """Sacks, crates and round things strewn over a surface."""
    mesh, first = scene.mesh, scene.bright()
    for _ in range(count):
        x, y = scene.between(-0.43, 0.43) * length, scene.between(-0.43, 0.43) * width
        z = 0.0 if scene.chance(0.7) else scene.between(0.08, 0.3)
        size = scene.between(0.12, 0.25) if small else scene.between(0.22, 0.55)
        dice = scene.rng.random()
        if dice < 0.4:
            carton = scene.chance(0.5)
            sides = size * scene.rng.uniform(0.6, 1.3, 3)
            material = Material.CARTON if carton else Material.PLAIN
            turn = turn_z(scene.between(0, 0.5))
            mesh.add(
                block(), (x, y, z), sides, scene.cardboard() if carton else scene.colour(), material, owner, frame, turn
            )
        elif dice < 0.8:
            colour = np.clip(first + scene.rng.normal(0, 0.08, 3), 0.02, 0.98) if scene.chance(0.6) else scene.bright()
            mesh.add(
                ball(7, 5), (x, y, z + size * 0.35), (size, size, size * 0.8), colour, Material.PLAIN, owner, frame
            )
        else:
            mesh.add(
                cylinder(8), (x, y, z), (size * 0.8, size * 0.8, size), scene.colour(), Material.PLAIN, owner, frame
            )


def rows_of_goods(scene: Scene, owner: int, frame: Frame, length: float, width: float) -> None:
    """Trays side by side, each heaped with one kind of fruit, vegetable or ware."""
    across, deep = max(2, int(length / 0.38)), max(1, int(width / 0.34))
    tray = scene.colour(0.1, 0.8)
    for i in range(across):
        colour = scene.bright()
        for j in range(deep):
            x, y = (i + 0.5) / across * length - length / 2, (j + 0.5) / deep * width - width / 2
            scene.mesh.add(block(), (x, y, 0), (0.34, 0.3, 0.09), tray, owner=owner, frame=frame)
            leafy = (
                Material.FOLIAGE if scene.chance(0.15) else Material.PATCHWORK if scene.chance(0.2) else Material.PLAIN
            )
            shade = np.clip(colour * scene.between(0.8, 1.15), 0.02, 0.98)
            for _ in range(3):
                at = (x + scene.between(-0.08, 0.08), y + scene.between(-0.06, 0.06), 0.1)
                scene.mesh.add(ball(6, 4), at, (0.18, 0.17, 0.15), shade, leafy, owner, frame)
