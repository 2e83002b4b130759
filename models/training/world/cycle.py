"""Two and three wheels: e-bikes and motorcycles, load tricycles. All face their frame's +x."""

from __future__ import annotations

import numpy as np

from .figure import person
from .goods import heap_of_goods
from .label import Label
from .mesh import Frame, Material, ball, block, frustum, turn_x, turn_y
from .scene import Scene
from .wheel import tricycle_front, wheel

_DARK = (0.05, 0.05, 0.06)
_STEEL = (0.35, 0.35, 0.36)


def motorcycle(scene: Scene, frame: Frame, ridden: bool | None = None) -> int:
    mesh, owner = scene.mesh, scene.own(Label.MOTORCYCLE)
    ridden = scene.chance(0.35) if ridden is None else ridden
    mesh.contact_shadow(frame, 1.7, 0.6, 0.6)
    upright = frame
    frame = frame.moved(0, 0, rotation=turn_x(0.0 if ridden else scene.between(-0.12, 0.12)))
    radius, base, colour = scene.between(0.2, 0.3), scene.between(1.1, 1.35), scene.colour()
    bar = base / 2 - 0.22
    for end in (-1, 1):
        wheel(scene, owner, frame, end * base / 2, 0, radius)
    mesh.limb((base / 2, 0, radius), (bar, 0, 1.0), 0.08, _DARK, owner=owner, frame=frame)
    mesh.limb((bar, -0.3, 1.02), (bar, 0.3, 1.02), 0.05, _DARK, owner=owner, frame=frame)
    if scene.chance(0.75):
        mesh.add(
            block(), (base / 2 - 0.2, 0, 0.42), (0.1, 0.36, 0.55), colour, Material.PAINT, owner, frame, turn_y(-0.2)
        )
        mesh.add(block(), (0.02, 0, 0.28), (0.55, 0.28, 0.1), colour * 0.6, owner=owner, frame=frame)
        mesh.add(
            frustum(0.9, 0.8), (-base / 2 + 0.12, 0, 0.35), (0.7, 0.32, 0.36), colour, Material.PAINT, owner, frame
        )
    else:
        mesh.add(ball(8, 5), (0.12, 0, 0.75), (0.5, 0.28, 0.28), colour, Material.PAINT, owner, frame)
        mesh.add(block(), (0, 0, 0.3), (0.45, 0.25, 0.35), (0.2,) * 3, owner=owner, frame=frame)
    mesh.add(block(), (-base / 2 + 0.2, 0, 0.72), (0.68, 0.27, 0.1), _DARK, owner=owner, frame=frame)
    lamp = Material.GLOWING if scene.night and scene.chance(0.4) else Material.PLAIN
    mesh.add(ball(8, 5), (base / 2 - 0.12, 0, 0.88), (0.18, 0.2, 0.2), (0.9, 0.9, 0.8), lamp, owner, frame)
    mesh.add(block(), (-base / 2 - 0.12, 0, 0.62), (0.06, 0.18, 0.1), (0.6, 0.03, 0.03), owner=owner, frame=frame)
    for side in (-1, 1):
        mesh.limb((bar, side * 0.26, 1.0), (bar - 0.03, side * 0.33, 1.2), 0.03, _DARK, owner=owner, frame=frame)
    if scene.chance(0.35):
        size = (scene.between(0.3, 0.5), scene.between(0.3, 0.5), scene.between(0.25, 0.5))
        mesh.add(block(), (-base / 2 - 0.05, 0, 0.8), size, scene.colour(), owner=owner, frame=frame)
    if scene.chance(0.25):
        mesh.add(
            block(), (base / 2 + 0.02, 0, 0.72), (0.25, 0.35, 0.25), scene.colour(0.1, 0.5), owner=owner, frame=frame
        )
    if ridden:
        person(scene, upright.moved(-0.2, 0, 0.22), "sit", shadow=False)
    return owner


def tricycle(scene: Scene, frame: Frame, ridden: bool | None = None) -> int:
    """An electric load tricycle with a bed behind: empty, loaded, or with a plain roof."""
    mesh, owner = scene.mesh, scene.own(Label.TRICYCLE)
    length, width, radius = scene.between(2.3, 3.1), scene.between(0.95, 1.25), scene.between(0.23, 0.3)
    colour, bed = scene.colour(), length * scene.between(0.5, 0.62)
    mesh.contact_shadow(frame, length * 1.05, width * 1.2)
    tricycle_front(scene, owner, frame, length, bed, colour, radius)
    for side in (-1, 1):
        wheel(scene, owner, frame, -length / 2 + bed * 0.4, side * (width / 2 - 0.06), radius)
    middle = -length / 2 + bed / 2
    panel = colour if scene.chance(0.6) else scene.colour()
    height = scene.between(0.2, 0.5)
    mesh.add(block(), (middle, 0, 0.5), (bed, width, 0.07), panel * 0.8, owner=owner, frame=frame)
    for side in (-1, 1):
        mesh.add(block(), (middle, side * width / 2, 0.5), (bed, 0.05, height), panel, owner=owner, frame=frame)
        mesh.add(block(), (middle + side * bed / 2, 0, 0.5), (0.05, width, height), panel, owner=owner, frame=frame)
    if scene.chance(0.6):
        inside = frame.moved(middle, 0, 0.55 + height * 0.3)
        heap_of_goods(scene, owner, inside, bed, width, int(scene.rng.integers(3, 16)), small=scene.chance(0.4))
    if scene.chance(0.25):
        roof_on_posts(scene, owner, frame.moved(middle, 0), bed, width, 0.5, scene.between(1.6, 2.0), scene.colour())
    if scene.chance(0.35) if ridden is None else ridden:
        person(scene, frame.moved(-length / 2 + bed + 0.15, 0, 0.22), "sit", shadow=False)
    return owner


def roof_on_posts(
    scene: Scene, owner: int, frame: Frame, length: float, width: float, from_z: float, to_z: float, colour: np.ndarray
) -> None:
    for side in (-1, 1):
        for end in (-1, 1):
            corner = (end * length * 0.48, side * width * 0.48)
            scene.mesh.limb((*corner, from_z), (*corner, to_z), 0.04, _STEEL, owner=owner, frame=frame)
    scene.mesh.add(block(), (0, 0, to_z), (length * 1.06, width * 1.06, 0.06), colour, Material.CLOTH, owner, frame)
