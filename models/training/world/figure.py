"""People: standing, walking (with a phase, for films), bending, sitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .label import Label
from .mesh import Frame, Material, ball, block, cone
from .scene import Scene

Pose = Literal["walk", "stand", "bend", "sit", "carry"]
_SKIN = np.array([[0.78, 0.57, 0.44], [0.62, 0.42, 0.30], [0.85, 0.66, 0.54], [0.42, 0.28, 0.19]])
_HEIGHT_M = 1.7


@dataclass
class _Clothes:
    top: np.ndarray
    bottom: np.ndarray
    skin: np.ndarray
    hair: np.ndarray
    shoes: np.ndarray
    cloth: Material
    long_sleeves: bool
    skirt: bool


def _dress(scene: Scene) -> _Clothes:
    rng = scene.rng
    return _Clothes(
        top=scene.colour(),
        bottom=scene.colour(0.02, 0.5) if scene.chance(0.8) else scene.colour(),
        skin=_SKIN[rng.integers(4)] * rng.uniform(0.85, 1.1),
        hair=np.full(3, rng.uniform(0.02, 0.15)) if scene.chance(0.85) else scene.colour(),
        shoes=scene.colour(0.02, 0.6),
        cloth=Material.CLOTH if scene.chance(0.35) else Material.PLAIN,
        long_sleeves=scene.chance(0.6),
        skirt=scene.chance(0.12),
    )


def person(
    scene: Scene,
    frame: Frame,
    pose: Pose | None = None,
    phase: float | None = None,
    owner: int | None = None,
    shadow: bool = True,
) -> int:
    """A person facing the frame's +x; the feet on its ground. `phase` (radians) moves a walker's legs."""
    rng, mesh = scene.rng, scene.mesh
    owner = owner or scene.own(Label.PERSON)
    scale = float(rng.normal(1.68, 0.09)) / _HEIGHT_M
    if scene.varied:  # stout and slim
        stout = scale * scene.between(0.88, 1.28)
        frame = Frame((frame.rotation * np.array([stout, stout, scale])).astype(np.float32), frame.origin)
    else:
        frame = Frame(frame.rotation * np.float32(scale), frame.origin)
    clothes = _dress(scene)
    looks = np.random.default_rng(rng.integers(2**32))
    dice = rng.random()
    pose = pose or ("walk" if dice < 0.5 else "stand" if dice < 0.85 else "bend")
    swing = float(np.sin(phase)) if phase is not None else float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.0))
    stride = 0.34 * swing if pose in ("walk", "carry") else 0.04
    lean = {"bend": float(rng.uniform(0.3, 0.55)), "carry": 0.06}.get(pose, float(rng.uniform(-0.02, 0.06)))
    hip = 0.55 if pose == "sit" else 0.88
    if shadow:
        mesh.contact_shadow(frame, 0.7, 0.55, 0.6)
    if pose == "sit":
        _sitting_legs(scene, clothes, owner, frame, hip)
    else:
        _standing_legs(scene, clothes, owner, frame, hip, stride)
    shoulder = (lean, 0.0, hip + (0.4 if pose == "bend" else 0.52))
    mesh.limb((0, 0, hip - 0.06), (lean * 0.6, 0, hip + 0.28), 0.33, clothes.top, clothes.cloth, owner, frame)
    mesh.limb((lean * 0.5, 0, hip + 0.2), shoulder, 0.38, clothes.top, clothes.cloth, owner, frame)
    mesh.add(ball(8, 5), (lean, 0, shoulder[2] - 0.02), (0.26, 0.44, 0.2), clothes.top, clothes.cloth, owner, frame)
    hand = _arms(scene, clothes, owner, frame, shoulder, stride, pose)
    scene.rng = looks  # dice of their own: another pose keeps the same hat and bag
    _head(scene, clothes, owner, frame, shoulder, lean)
    _luggage(scene, owner, frame, shoulder, hand)
    scene.rng = rng
    return owner


def _sitting_legs(scene: Scene, clothes: _Clothes, owner: int, frame: Frame, hip: float) -> None:
    for side in (-1, 1):
        knee = (0.42, side * 0.13, 0.55)
        foot = (0.42 + scene.between(-0.1, 0.1), side * 0.13, 0.05)
        scene.mesh.limb((0, side * 0.1, hip), knee, 0.17, clothes.bottom, clothes.cloth, owner, frame)
        scene.mesh.limb(knee, foot, 0.13, clothes.bottom, Material.PLAIN, owner, frame)
        scene.mesh.add(
            block(), (foot[0] + 0.06, foot[1], 0), (0.26, 0.1, 0.09), clothes.shoes, owner=owner, frame=frame
        )


def _standing_legs(scene: Scene, clothes: _Clothes, owner: int, frame: Frame, hip: float, stride: float) -> None:
    mesh = scene.mesh
    for side in (-1, 1):
        reach = -side * stride
        lift = 0.07 if reach < -0.1 else 0.0
        knee = (reach * 0.5 + 0.04, side * 0.1, 0.48)
        foot = (reach, side * 0.1, 0.06 + lift)
        mesh.limb((0, side * 0.09, hip), knee, 0.18, clothes.bottom, Material.PLAIN, owner, frame)
        mesh.limb(knee, foot, 0.13, clothes.skin if clothes.skirt else clothes.bottom, Material.PLAIN, owner, frame)
        mesh.add(block(), (foot[0] + 0.05, foot[1], lift), (0.27, 0.1, 0.1), clothes.shoes, owner=owner, frame=frame)
    if clothes.skirt:
        mesh.add(cone(10), (0, 0, 0.4), (0.55, 0.5, 0.75), clothes.bottom, Material.CLOTH, owner, frame)


def _arms(
    scene: Scene, clothes: _Clothes, owner: int, frame: Frame, shoulder: tuple, stride: float, pose: Pose
) -> tuple:
    mesh, hand = scene.mesh, (0.0, 0.0, 0.0)
    sleeve = clothes.top if clothes.long_sleeves else clothes.skin
    for side in (-1, 1):
        start = (shoulder[0], side * 0.21, shoulder[2] - 0.03)
        if pose in ("sit", "carry"):
            elbow = (shoulder[0] + 0.14, side * 0.27, shoulder[2] - 0.25)
            hand = (shoulder[0] + 0.40, side * 0.22, shoulder[2] - 0.28)
        else:
            elbow = (shoulder[0] + side * stride * 0.5 - 0.03, side * 0.27, shoulder[2] - 0.3)
            hand = (elbow[0] + 0.1 + side * stride * 0.2, side * 0.25, elbow[2] - 0.2)
        mesh.limb(start, elbow, 0.12, clothes.top, Material.PLAIN, owner, frame)
        mesh.limb(elbow, hand, 0.09, sleeve, Material.PLAIN, owner, frame)
        mesh.add(ball(6, 4), hand, (0.1, 0.1, 0.1), clothes.skin, owner=owner, frame=frame)
    return hand


def _head(scene: Scene, clothes: _Clothes, owner: int, frame: Frame, shoulder: tuple, lean: float) -> None:
    mesh = scene.mesh
    x, z = shoulder[0] + lean * 0.25, shoulder[2] + 0.19
    mesh.limb((shoulder[0], 0, shoulder[2]), (x, 0, z), 0.11, clothes.skin, Material.PLAIN, owner, frame)
    mesh.add(ball(8, 6), (x + 0.02, 0, z), (0.21, 0.17, 0.25), clothes.skin, owner=owner, frame=frame)
    dice = scene.rng.random()
    if dice < 0.78:
        mesh.add(ball(8, 6), (x - 0.025, 0, z + 0.03), (0.22, 0.2, 0.24), clothes.hair, owner=owner, frame=frame)
    elif dice < 0.9:
        mesh.add(ball(8, 6), (x, 0, z + 0.04), (0.28, 0.27, 0.26), scene.colour(), owner=owner, frame=frame)
    else:
        mesh.add(cone(10), (x, 0, z + 0.04), (0.5, 0.5, 0.16), (0.75, 0.65, 0.4), owner=owner, frame=frame)


def _luggage(scene: Scene, owner: int, frame: Frame, shoulder: tuple, hand: tuple) -> None:
    dice = scene.rng.random()
    colour = scene.colour()
    if dice < 0.18:
        at = (shoulder[0] - 0.22, 0, shoulder[2] - 0.45)
        scene.mesh.add(block(), at, (0.18, 0.32, 0.45), colour, owner=owner, frame=frame)
    elif dice < 0.32:
        at = (hand[0], hand[1], max(0.1, hand[2] - 0.4))
        scene.mesh.add(block(), at, (0.28, 0.1, 0.3), colour, owner=owner, frame=frame)
