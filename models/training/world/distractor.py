"""Hard negatives of the street, in two families: `TRAINING` may be seen in training, `HELD_OUT` in evaluation alone.

None of these is a class of the detector. What is held out tells how it takes things that it never saw.
"""

from __future__ import annotations

from collections.abc import Callable

from .furniture import bin_, laundry, planter, sign_post, traffic_cone
from .mesh import Frame, Material, ball, block, cone, cylinder, frustum, turn_x, turn_z
from .scene import Scene

Maker = Callable[[Scene, Frame], None]
_STEEL = (0.42, 0.42, 0.44)
_DARK = (0.05, 0.05, 0.06)


def bicycle(scene: Scene, frame: Frame) -> None:
    """A parked bicycle on its stand: to many detectors a motorcycle."""
    mesh, colour = scene.mesh, scene.colour()
    base, radius = scene.between(0.95, 1.1), scene.between(0.28, 0.34)
    for end in (-1, 1):
        rim = (end * base / 2, 0.02, radius)
        size = (2 * radius, 2 * radius, 0.04)
        mesh.add(cylinder(14), rim, size, _DARK, Material.PLAIN, 0, frame, turn_x(1.5708))
        size = (1.75 * radius, 1.75 * radius, 0.045)
        mesh.add(cylinder(14), rim, size, (0.3, 0.3, 0.3), Material.PLAIN, 0, frame, turn_x(1.5708))
    seat, head = (-base * 0.18, 0, 0.78), (base * 0.32, 0, 0.82)
    for start, end in (
        ((-base / 2, 0, radius), seat),
        ((-base * 0.05, 0, radius), seat),
        ((-base * 0.05, 0, radius), head),
        (seat, head),
        ((base / 2, 0, radius), (base * 0.3, 0, 1.0)),
    ):
        mesh.limb(start, end, 0.04, colour, Material.PAINT, 0, frame)
    mesh.limb((base * 0.3, -0.26, 1.0), (base * 0.3, 0.26, 1.0), 0.035, _STEEL, Material.PLAIN, 0, frame)
    mesh.add(block(), (-base * 0.2, 0, 0.8), (0.25, 0.14, 0.06), _DARK, Material.PLAIN, 0, frame)
    if scene.chance(0.5):
        mesh.add(block(), (base * 0.45, 0, 0.72), (0.3, 0.34, 0.24), _STEEL, Material.SHUTTER, 0, frame)


def bicycles(scene: Scene, frame: Frame) -> None:
    for i in range(int(scene.rng.integers(2, 6))):
        bicycle(scene, frame.moved(scene.between(-0.1, 0.1), i * scene.between(0.45, 0.7)))


def electric_box(scene: Scene, frame: Frame) -> None:
    size = (scene.between(0.6, 1.3), scene.between(0.35, 0.6), scene.between(1.0, 1.7))
    scene.mesh.add(block(), (0, 0, 0), size, scene.colour(0.3, 0.8), Material.SHUTTER, 0, frame)
    scene.mesh.add(block(), (0, 0, size[2]), (size[0] * 1.06, size[1] * 1.1, 0.05), _STEEL, Material.PLAIN, 0, frame)


def board(scene: Scene, frame: Frame) -> None:
    """An advertising board on two legs."""
    width, height = scene.between(0.6, 2.2), scene.between(0.8, 1.6)
    scene.mesh.add(block(), (0, 0, 0.25), (width, 0.06, height), scene.bright(), Material.PATCHWORK, 0, frame)
    for side in (-1, 1):
        post = (side * width * 0.42, 0, 0)
        scene.mesh.limb(post, (*post[:2], height + 0.2), 0.05, _STEEL, Material.PLAIN, 0, frame)


def flower_bed(scene: Scene, frame: Frame) -> None:
    """A long bed of bright flowers: colours in rows, as on a stall."""
    length = scene.between(1.5, 5)
    scene.mesh.add(block(), (0, 0, 0), (length, 0.9, 0.35), scene.colour(0.3, 0.7), Material.BRICK, 0, frame)
    for _ in range(int(length * 9)):
        at = (scene.between(-0.48, 0.48) * length, scene.between(-0.35, 0.35), 0.42)
        leaf = scene.bright() if scene.chance(0.5) else (0.13, scene.between(0.2, 0.4), 0.08)
        scene.mesh.add(ball(6, 4), at, (0.28, 0.28, 0.3), leaf, Material.FOLIAGE, 0, frame)


def water_barrier(scene: Scene, frame: Frame) -> None:
    colour = (0.85, 0.25, 0.06) if scene.chance(0.7) else (0.85, 0.8, 0.1)
    for i in range(int(scene.rng.integers(1, 5))):
        at = (i * 1.15, 0, 0)
        scene.mesh.add(frustum(0.95, 0.45), at, (1.1, 0.45, 0.85), colour, Material.PAINT, 0, frame)


def air_conditioners(scene: Scene, frame: Frame) -> None:
    """Outdoor units on the ground or one above the other."""
    for i in range(int(scene.rng.integers(1, 4))):
        low = i * 0.75
        scene.mesh.add(block(), (0, 0, low), (0.85, 0.35, 0.65), (0.75, 0.75, 0.72), Material.PLAIN, 0, frame)
        fan = (-0.12, -0.16, low + 0.33)
        scene.mesh.add(cylinder(12), fan, (0.5, 0.5, 0.04), (0.15,) * 3, Material.PLAIN, 0, frame, turn_x(1.5708))


def manhole_and_stain(scene: Scene, frame: Frame) -> None:
    """Flat things: a cover, an oil stain, a new patch of asphalt."""
    size = scene.between(0.6, 3.0)
    shade = scene.between(0.04, 0.5)
    scene.mesh.add(cylinder(12), (0, 0, 0.004), (size, size * 0.7, 0.006), (shade,) * 3, Material.ASPHALT, 0, frame)


def _planter(scene: Scene, frame: Frame) -> None:
    planter(scene, float(frame.origin[0]), float(frame.origin[1]), float(frame.origin[2]))


def _laundry(scene: Scene, frame: Frame) -> None:
    laundry(scene, float(frame.origin[0]), float(frame.origin[1]), float(frame.origin[2]))


def _bin(scene: Scene, frame: Frame) -> None:
    bin_(scene, float(frame.origin[0]), float(frame.origin[1]))


def _sign(scene: Scene, frame: Frame) -> None:
    sign_post(scene, float(frame.origin[0]), float(frame.origin[1]))


def _cones(scene: Scene, frame: Frame) -> None:
    for i in range(int(scene.rng.integers(1, 5))):
        traffic_cone(scene, float(frame.origin[0]) + i * 1.2, float(frame.origin[1]))


def fence_near(scene: Scene, frame: Frame) -> None:
    """A piece of pavement railing, standing alone or in a row."""
    length, colour = scene.between(2, 7), scene.colour(0.2, 0.95)
    for bar in (0.15, 0.5, 0.95):
        scene.mesh.add(block(), (0, 0, bar), (length, 0.05, 0.06), colour, Material.PLAIN, 0, frame)
    step = scene.between(0.11, 0.3)
    for i in range(int(length / step)):
        at = (-length / 2 + i * step, 0, 0)
        scene.mesh.add(block(), at, (0.03, 0.03, 1.0), colour, Material.PLAIN, 0, frame)


# -- held out of training --


def bench(scene: Scene, frame: Frame) -> None:
    length, colour = scene.between(1.2, 2.0), (0.35, 0.22, 0.12)
    for i in range(3):
        scene.mesh.add(block(), (0, i * 0.15 - 0.15, 0.43), (length, 0.11, 0.04), colour, Material.PLAIN, 0, frame)
        scene.mesh.add(block(), (0, 0.26, 0.55 + i * 0.14), (length, 0.04, 0.1), colour, Material.PLAIN, 0, frame)
    for end in (-1, 1):
        scene.mesh.add(block(), (end * length * 0.42, 0, 0), (0.08, 0.45, 0.43), _DARK, Material.PLAIN, 0, frame)


def post_box(scene: Scene, frame: Frame) -> None:
    colour = (0.06, 0.3, 0.12)
    scene.mesh.add(cylinder(12), (0, 0, 0), (0.5, 0.5, 1.15), colour, Material.PAINT, 0, frame)
    scene.mesh.add(ball(10, 6), (0, 0, 1.15), (0.5, 0.5, 0.25), colour, Material.PAINT, 0, frame)


def stone_ball(scene: Scene, frame: Frame) -> None:
    for i in range(int(scene.rng.integers(1, 4))):
        side, grey = scene.between(0.5, 0.8), scene.between(0.4, 0.65)
        at = (i * 1.6, 0, side / 2)
        scene.mesh.add(ball(10, 7), at, (side,) * 3, (grey,) * 3, Material.CONCRETE, 0, frame)


def kiosk_machine(scene: Scene, frame: Frame) -> None:
    """A lit machine with a glass front, as tall as a person."""
    colour = scene.bright()
    scene.mesh.add(block(), (0, 0, 0), (0.9, 0.7, 1.85), colour, Material.PAINT, 0, frame)
    glow = Material.GLOWING if scene.night else Material.GLASS
    scene.mesh.add(block(), (-0.08, -0.36, 0.7), (0.62, 0.02, 1.0), (0.5, 0.6, 0.65), glow, 0, frame)


def scaffold(scene: Scene, frame: Frame) -> None:
    """Scaffolding with a net: posts and a cloth without anything for sale."""
    for x in (-1.2, 0, 1.2):
        for y in (-0.4, 0.4):
            scene.mesh.limb((x, y, 0), (x, y, 2.4), 0.05, _STEEL, Material.PLAIN, 0, frame)
    for z in (0.9, 1.9):
        scene.mesh.add(block(), (0, 0, z), (2.6, 0.9, 0.05), (0.4, 0.3, 0.2), Material.PLAIN, 0, frame)
    if scene.chance(0.5):
        scene.mesh.add(block(), (0, -0.42, 0.9), (2.5, 0.02, 1.4), (0.1, 0.4, 0.2), Material.CLOTH, 0, frame)


def sculpture(scene: Scene, frame: Frame) -> None:
    """A figure of stone on a plinth: of a person's size, and none."""
    grey = (scene.between(0.35, 0.6),) * 3
    scene.mesh.add(block(), (0, 0, 0), (0.8, 0.8, 0.6), grey, Material.CONCRETE, 0, frame)
    scene.mesh.add(frustum(0.7, 0.6), (0, 0, 0.6), (0.6, 0.5, 0.75), grey, Material.CONCRETE, 0, frame)
    scene.mesh.add(ball(9, 6), (0, 0, 1.5), (0.42, 0.4, 0.42), grey, Material.CONCRETE, 0, frame)


def pallet_sign(scene: Scene, frame: Frame) -> None:
    """A tyre stack and a leaning sheet: junk of round shapes."""
    for i in range(int(scene.rng.integers(1, 5))):
        at = (scene.between(-0.05, 0.05), 0, i * 0.2)
        scene.mesh.add(cylinder(12), at, (0.62, 0.62, 0.19), _DARK, Material.PLAIN, 0, frame)
    lean = turn_z(scene.between(-0.5, 0.5))
    scene.mesh.add(
        cone(6), (0.8, 0, 0), (0.5, 0.5, scene.between(0.3, 1.2)), scene.colour(), Material.CLOTH, 0, frame, lean
    )


TRAINING: tuple[Maker, ...] = (
    bicycle,
    bicycles,
    electric_box,
    board,
    flower_bed,
    water_barrier,
    air_conditioners,
    manhole_and_stain,
    fence_near,
    fence_near,
    _planter,
    _laundry,
    _bin,
    _sign,
    _cones,
)
HELD_OUT: tuple[Maker, ...] = (bench, post_box, stone_ball, kiosk_machine, scaffold, sculpture, pallet_sign)
