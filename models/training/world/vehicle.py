"""Cars, and the class `truck`: vans, lorries, buses. All face their frame's +x and stand on its ground."""

from __future__ import annotations

import numpy as np

from .goods import heap_of_goods
from .label import Label
from .mesh import Frame, Material, block, cylinder, extrusion, turn_x
from .scene import Scene

Profile = list[tuple[float, float]]

_SEDAN: Profile = [
    (-0.5, 0.16),
    (-0.5, 0.6),
    (-0.47, 0.66),
    (-0.34, 0.69),
    (-0.2, 0.97),
    (-0.08, 1),
    (0.1, 0.99),
    (0.26, 0.69),
    (0.45, 0.6),
    (0.49, 0.52),
    (0.5, 0.3),
    (0.49, 0.16),
]
_HATCHBACK: Profile = [
    (-0.5, 0.16),
    (-0.5, 0.6),
    (-0.46, 0.7),
    (-0.39, 0.96),
    (-0.3, 1),
    (0.06, 1),
    (0.24, 0.69),
    (0.44, 0.59),
    (0.49, 0.5),
    (0.5, 0.3),
    (0.49, 0.16),
]
_SUV: Profile = [
    (-0.5, 0.2),
    (-0.5, 0.62),
    (-0.47, 0.93),
    (-0.42, 1),
    (0.08, 1),
    (0.22, 0.7),
    (0.44, 0.64),
    (0.49, 0.56),
    (0.5, 0.3),
    (0.49, 0.2),
]
_VAN_SHORT_NOSE: Profile = [
    (-0.5, 0.14),
    (-0.5, 0.95),
    (-0.47, 1),
    (0.28, 1),
    (0.4, 0.62),
    (0.48, 0.52),
    (0.5, 0.3),
    (0.49, 0.14),
]
_VAN_FLAT_NOSE: Profile = [(-0.5, 0.14), (-0.5, 0.97), (-0.48, 1), (0.4, 1), (0.47, 0.6), (0.5, 0.5), (0.5, 0.14)]
_CAB: Profile = [(-0.5, 0.18), (-0.5, 1), (0.3, 1), (0.46, 0.58), (0.5, 0.45), (0.5, 0.18)]
_BUS: Profile = [(-0.5, 0.1), (-0.5, 1), (0.48, 1), (0.5, 0.6), (0.5, 0.1)]
_PLATES = [(0.05, 0.1, 0.6), (0.1, 0.6, 0.3), (0.9, 0.9, 0.9), (0.9, 0.75, 0.1)]


def car(scene: Scene, frame: Frame, colour: tuple[float, float, float] | None = None) -> int:
    rng = scene.rng
    owner = scene.own(Label.CAR)
    profile, lengths, heights = [
        (_SEDAN, (4.4, 4.9), (1.42, 1.5)),
        (_HATCHBACK, (3.7, 4.3), (1.46, 1.6)),
        (_SUV, (4.3, 4.9), (1.62, 1.85)),
    ][rng.integers(3)]
    size = (rng.uniform(*lengths), rng.uniform(1.7, 1.9), rng.uniform(*heights))
    dice = rng.random()
    grey = np.full(
        3,
        rng.uniform(0.75, 0.95) if dice < 0.35 else rng.uniform(0.02, 0.08) if dice < 0.55 else rng.uniform(0.25, 0.6),
    )
    paint = grey if dice < 0.75 else scene.colour()
    _body(scene, owner, frame, _worn(scene, profile), size, paint if colour is None else np.array(colour), 0.1)
    return owner


def truck(scene: Scene, frame: Frame) -> int:
    dice = scene.rng.random()
    if dice < 0.5:
        return _van(scene, frame)
    return _bus(scene, frame) if dice < 0.62 else _lorry(scene, frame)


def _van(scene: Scene, frame: Frame) -> int:
    owner = scene.own(Label.TRUCK)
    size = (scene.between(3.9, 5.6), scene.between(1.6, 2.0), scene.between(1.85, 2.5))
    colour = np.full(3, scene.between(0.7, 0.95)) if scene.chance(0.6) else scene.colour()
    profile = _VAN_SHORT_NOSE if scene.chance(0.5) else _VAN_FLAT_NOSE
    _body(scene, owner, frame, _worn(scene, profile), size, colour, 0.04)
    return owner


def _bus(scene: Scene, frame: Frame) -> int:
    owner = scene.own(Label.TRUCK)
    size = (scene.between(7, 11.5), 2.45, scene.between(2.9, 3.2))
    _body(scene, owner, frame, _BUS, size, scene.colour(), 0.01, windows=6)
    return owner


def _lorry(scene: Scene, frame: Frame) -> int:
    owner, mesh = scene.own(Label.TRUCK), scene.mesh
    length, width, height = scene.between(4.8, 7.5), scene.between(1.8, 2.4), scene.between(2.0, 2.6)
    cab = scene.between(1.5, 2.0)
    _body(
        scene,
        owner,
        frame.moved(length / 2 - cab / 2, 0),
        _worn(scene, _CAB),
        (cab, width * 0.95, height),
        scene.colour(),
        0.03,
        windows=1,
        wheels=False,
    )
    _wheels(scene, owner, frame, length, width, 0.38, (-0.32, 0.33))
    bed, colour = length - cab - 0.1, scene.colour(0.1, 0.9)
    middle = -length / 2 + bed / 2
    mesh.contact_shadow(frame, length * 1.1, width * 1.3)
    mesh.add(block(), (middle, 0, 0.55), (bed, width * 0.8, 0.2), (0.08,) * 3, owner=owner, frame=frame)
    if scene.chance(0.55):
        material = Material.PATCHWORK if scene.chance(0.3) else Material.PLAIN
        mesh.add(block(), (middle, 0, 0.75), (bed, width, scene.between(1.5, 2.3)), colour, material, owner, frame)
        return owner
    mesh.add(block(), (middle, 0, 0.75), (bed, width, 0.12), colour, owner=owner, frame=frame)
    for side in (-1, 1):
        mesh.add(block(), (middle, side * width / 2, 0.8), (bed, 0.06, 0.45), colour, owner=owner, frame=frame)
        mesh.add(block(), (middle + side * bed / 2, 0, 0.8), (0.06, width, 0.45), colour, owner=owner, frame=frame)
    heap_of_goods(scene, owner, frame.moved(middle, 0, 0.85), bed * 0.9, width * 0.85, int(scene.rng.integers(0, 12)))
    return owner


def _worn(scene: Scene, profile: Profile) -> Profile:
    """The same silhouette, never twice: every corner a little elsewhere."""
    shift = scene.rng.normal(0, 0.009, (len(profile), 2))
    return [(x + dx, z + (dz if 0.3 < z < 0.99 else 0)) for (x, z), (dx, dz) in zip(profile, shift, strict=True)]


def _body(
    scene: Scene,
    owner: int,
    frame: Frame,
    profile: Profile,
    size: tuple[float, float, float],
    colour: np.ndarray,
    inset: float,
    windows: int = 3,
    wheels: bool = True,
) -> None:
    mesh = scene.mesh
    length, width, height = size
    if wheels:
        mesh.contact_shadow(frame, length * 1.12, width * 1.35)
    mesh.add(extrusion(profile, inset), (0, 0, 0), size, colour, Material.PAINT, owner, frame)
    _glass(scene, owner, frame, profile, size, inset, windows)
    if wheels:
        _wheels(scene, owner, frame, length, width, 0.3 + 0.05 * scene.rng.random(), (-0.3, 0.31))
    switched_on = scene.night and scene.chance(0.4)
    for side in (-1, 1):
        lamp = (1, 1, 0.9) if switched_on else (0.85, 0.85, 0.83)
        tail = (1, 0.05, 0.05) if switched_on else (0.5, 0.03, 0.03)
        glow = Material.GLOWING if switched_on else Material.GLASS
        mesh.add(
            block(), (length * 0.485, side * width * 0.36, height * 0.42), (0.12, 0.34, 0.13), lamp, glow, owner, frame
        )
        mesh.add(
            block(),
            (-length * 0.493, side * width * 0.38, height * 0.5),
            (0.08, 0.26, 0.14),
            tail,
            Material.GLOWING if switched_on else Material.PLAIN,
            owner,
            frame,
        )
        mesh.add(
            block(),
            (length * 0.16, side * (width / 2 + 0.08), height * 0.62),
            (0.16, 0.18, 0.12),
            colour,
            Material.PAINT,
            owner,
            frame,
        )
        mesh.add(
            block(), (0, side * (width / 2), 0.2), (length * 0.48, 0.04, 0.12), colour * 0.35, owner=owner, frame=frame
        )
    bumper = np.minimum(colour * 0.4, 0.2)
    plate = _PLATES[scene.rng.integers(4)]
    for end in (-1, 1):
        mesh.add(block(), (end * length * 0.495, 0, 0.2), (0.08, width * 0.9, 0.2), bumper, owner=owner, frame=frame)
        mesh.add(
            block(),
            (end * length * 0.503, 0, 0.33 if end > 0 else 0.55),
            (0.05, 0.44, 0.13),
            plate,
            owner=owner,
            frame=frame,
        )
    mesh.add(block(), (length * 0.497, 0, 0.44), (0.05, width * 0.42, 0.11), (0.03,) * 3, owner=owner, frame=frame)
    if scene.varied:
        _face_and_seams(scene, owner, frame, profile, size, colour)


def _face_and_seams(
    scene: Scene, owner: int, frame: Frame, profile: Profile, size: tuple[float, float, float], colour: np.ndarray
) -> None:
    """What tells front from rear and car from box: grille, intake, light bars, door seams, pillars, roof rails."""
    mesh = scene.mesh
    length, width, height = size
    dark, chrome = (0.02, 0.02, 0.025), (0.6, 0.6, 0.62)

    def put(at: tuple, sides: tuple, paint: tuple | np.ndarray, material: Material = Material.PLAIN) -> None:
        mesh.add(block(), at, sides, paint, material, owner, frame)

    grille = scene.rng.choice(["wide", "tall", "none"], p=[0.5, 0.3, 0.2])
    if grille != "none":
        across, tall = (0.62, 0.1) if grille == "wide" else (0.38, 0.26)
        put((length * 0.5, 0, height * 0.27), (0.06, width * across, height * tall), dark)
        for bar in range(int(scene.rng.integers(0, 4))):
            put((length * 0.508, 0, height * (0.28 + bar * 0.05)), (0.05, width * across * 0.95, 0.02), chrome)
    put((length * 0.5, 0, 0.2), (0.08, width * scene.between(0.4, 0.8), scene.between(0.06, 0.16)), dark)
    lit = scene.night and scene.chance(0.5)
    glow = Material.GLOWING if lit else Material.PLAIN
    red = (0.9, 0.04, 0.03) if lit else (0.42, 0.02, 0.03)
    if scene.chance(0.35):  # a bar of red from side to side
        put((-length * 0.497, 0, height * 0.52), (0.07, width * 0.8, scene.between(0.04, 0.1)), red, glow)
    if scene.chance(0.4):  # tall rear lamps
        for side in (-1, 1):
            put((-length * 0.49, side * width * 0.44, height * 0.42), (0.1, 0.14, height * 0.26), red, glow)
    put((-length * 0.5, 0, height * 0.2), (0.06, width * scene.between(0.5, 0.85), 0.14), np.minimum(colour, 0.25))
    for share in (-0.02, 0.2 if length < 5.2 else 0.3):  # door seams and handles
        for side in (-1, 1):
            put((share * length, side * width * 0.5, 0.28), (0.025, 0.02, height * 0.38), colour * 0.25)
            put((share * length - 0.16, side * (width * 0.5 + 0.012), height * 0.55), (0.16, 0.03, 0.03), colour * 0.5)
    if scene.chance(0.25):
        for side in (-1, 1):
            put((-length * 0.1, side * width * 0.36, height * 0.985), (length * 0.32, 0.05, 0.06), dark)
    if scene.chance(0.2):
        put((-length * 0.08, 0, height * 0.992), (length * 0.22, width * 0.5, 0.02), dark, Material.GLASS)
    if scene.chance(0.15):  # a roof sign: taxi, driving school
        put((-0.1, 0, height), (0.25, 0.6, 0.16), scene.bright(), Material.GLOWING if scene.night else Material.PLAIN)


def _edge(profile: Profile, z: float, front: bool) -> float:
    """Where the silhouette crosses the height `z`, at the front or at the rear."""
    crossings = []
    for (x0, z0), (x1, z1) in zip(profile, profile[1:] + profile[:1], strict=True):
        if (z0 - z) * (z1 - z) <= 0 and abs(z0 - z1) > 1e-6:
            crossings.append(x0 + (z - z0) / (z1 - z0) * (x1 - x0))
    if not crossings:
        return 0.0
    return max(crossings) if front else min(crossings)


def _glass(scene: Scene, owner: int, frame: Frame, profile: Profile, size: tuple, inset: float, panes: int) -> None:
    """Side windows, windscreen and rear window as dark sheets just outside the body."""
    length, width, height = size
    low, high = 0.7, 0.93
    colour = np.full(3, scene.between(0.02, 0.09))
    rear_low, rear_high = _edge(profile, low, False), _edge(profile, high, False)
    front_low, front_high = _edge(profile, low, True), _edge(profile, high, True)
    half_low = width * (0.5 - inset * (2 * low - 1)) + 0.012
    half_high = width * (0.5 - inset * (2 * high - 1)) + 0.012
    for side in (-1, 1):
        for pane in range(panes):
            start, end = pane / panes + 0.02, (pane + 1) / panes - 0.02
            corners = []
            for rear, front, share, half, z in (
                (rear_low, front_low, start, half_low, low),
                (rear_low, front_low, end, half_low, low),
                (rear_high, front_high, end, half_high, high),
                (rear_high, front_high, start, half_high, high),
            ):
                x = rear + 0.02 + (front - rear - 0.04) * share
                corners.append((length * x, side * half, height * z))
            scene.mesh.quad(corners if side < 0 else corners[::-1], colour, Material.GLASS, owner, frame)
    for x_low, x_high, out in ((front_low, front_high, 0.02), (rear_low, rear_high, -0.02)):
        bottom, top = (length * x_low + out, height * low), (length * x_high + out, height * high)
        corners = [
            (bottom[0], -half_low * 0.9, bottom[1]),
            (bottom[0], half_low * 0.9, bottom[1]),
            (top[0], half_high * 0.92, top[1]),
            (top[0], -half_high * 0.92, top[1]),
        ]
        scene.mesh.quad(corners if out > 0 else corners[::-1], colour, Material.GLASS, owner, frame)


def _wheels(scene: Scene, owner: int, frame: Frame, length: float, width: float, radius: float, places: tuple) -> None:
    upright = turn_x(np.pi / 2)
    for place in places:
        for side in (-1, 1):
            middle = side * (width / 2 - 0.1)
            arch = (place * length, side * (width / 2 - 0.005) + 0.01, radius)
            scene.mesh.add(
                cylinder(14),
                arch,
                (2.35 * radius, 2.35 * radius, 0.02),
                (0.015,) * 3,
                owner=owner,
                frame=frame,
                rotation=upright,
            )
            scene.mesh.add(
                cylinder(14),
                (place * length, middle + 0.115, radius),
                (2 * radius, 2 * radius, 0.23),
                (0.03,) * 3,
                owner=owner,
                frame=frame,
                rotation=upright,
            )
            scene.mesh.add(
                cylinder(10),
                (place * length, middle + 0.13, radius),
                (1.25 * radius, 1.25 * radius, 0.26),
                (0.45, 0.45, 0.47),
                owner=owner,
                frame=frame,
                rotation=upright,
            )
