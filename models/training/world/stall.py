"""What is sold from and what is left lying: stalls, umbrellas, piles of boxes."""

from __future__ import annotations

from .goods import heap_of_goods, rows_of_goods
from .label import Label
from .mesh import Frame, Material, ball, block, cone, cylinder, frustum, turn_x, turn_y, turn_z
from .scene import Scene
from .wheel import tricycle_front, wheel

_STEEL = (0.4, 0.4, 0.41)


def umbrella(scene: Scene, frame: Frame, height: float | None = None, radius: float | None = None) -> int:
    """A market sunshade on its pole."""
    mesh, owner = scene.mesh, scene.own(Label.UMBRELLA)
    height = height or scene.between(1.95, 2.5)
    radius = radius or scene.between(1.05, 1.6)
    tilt = turn_x(float(scene.rng.normal(0, 0.05))) @ turn_y(float(scene.rng.normal(0, 0.05)))
    inside = frame.moved(0, 0, rotation=tilt)
    mesh.limb((0, 0, 0), (0, 0, height), 0.05, (0.7,) * 3, owner=owner, frame=inside)
    material = Material.SEGMENTS if scene.chance(0.55) else Material.PLAIN
    colour = scene.bright() if scene.chance(0.75) else scene.colour(0.2, 0.95)
    at = (0, 0, height - 0.1)
    mesh.add(
        cone(8 if scene.chance(0.7) else 14),
        at,
        (2 * radius, 2 * radius, scene.between(0.3, 0.6)),
        colour,
        material,
        owner,
        inside,
    )
    if scene.chance(0.25):
        mesh.add(
            cylinder(8), (0, 0, height - 0.26), (2 * radius, 2 * radius, 0.16), colour * 0.9, owner=owner, frame=inside
        )
    return owner


def hand_umbrella(scene: Scene, frame: Frame) -> int:
    """The umbrella over a walker's head."""
    owner = scene.own(Label.UMBRELLA)
    tilt = turn_x(float(scene.rng.normal(0, 0.15))) @ turn_y(float(scene.rng.normal(0, 0.15)))
    material = Material.SEGMENTS if scene.chance(0.3) else Material.PLAIN
    scene.mesh.add(
        cone(8), (0, 0, 1.85), (1.05, 1.05, 0.28), scene.colour(), material, owner, frame.moved(0, 0, rotation=tilt)
    )
    return owner


def stall(scene: Scene, frame: Frame, kind: str | None = None) -> int:
    """A selling surface with goods: a `table`, a wheeled `cart`, a `tricycle` fitted out for selling, or a `mat`."""
    if kind is None and scene.varied and scene.chance(0.2):
        kind = "mat"
    kind = kind or str(scene.rng.choice(["table", "cart", "tricycle"], p=[0.4, 0.3, 0.3]))
    owner = scene.own(Label.STALL)
    if kind == "mat":
        return _mat(scene, owner, frame)
    if kind == "table":
        length, width, height = _table(scene, owner, frame)
    elif kind == "cart":
        length, width, height = _cart(scene, owner, frame)
    else:
        length, width, height = _selling_tricycle(scene, owner, frame)
    top = frame.moved(0, 0, height)
    if scene.chance(0.6):
        rows_of_goods(scene, owner, top, length * 0.95, width * 0.95)
    else:
        heap_of_goods(scene, owner, top, length, width, int(scene.rng.integers(10, 26)), small=True)
    if scene.chance(0.4 if kind == "table" else 0.55):
        _canopy(scene, owner, frame, length, width * scene.between(1.1, 1.6))
    return owner


def _mat(scene: Scene, owner: int, frame: Frame) -> int:
    """Goods spread on a cloth on the ground."""
    length, width = scene.between(1.2, 3.0), scene.between(0.8, 1.5)
    colour = scene.bright() if scene.chance(0.6) else scene.colour(0.1, 0.9)
    scene.mesh.add(block(), (0, 0, 0.004), (length, width, 0.018), colour, Material.CLOTH, owner, frame)
    top = frame.moved(0, 0, 0.02)
    if scene.chance(0.5):
        rows_of_goods(scene, owner, top, length * 0.9, width * 0.85)
    else:
        heap_of_goods(scene, owner, top, length, width, int(scene.rng.integers(12, 30)), small=True)
    return owner


def _table(scene: Scene, owner: int, frame: Frame) -> tuple[float, float, float]:
    mesh = scene.mesh
    length, width, height = scene.between(1.3, 2.8), scene.between(0.65, 1.1), scene.between(0.55, 0.85)
    colour = scene.colour(0.1, 0.9)
    mesh.contact_shadow(frame, length * 1.15, width * 1.4)
    mesh.add(block(), (0, 0, height - 0.05), (length, width, 0.05), colour, owner=owner, frame=frame)
    if scene.chance(0.55):
        mesh.add(
            block(), (0, 0, 0.06), (length * 0.99, width * 0.98, height - 0.12), colour, Material.CLOTH, owner, frame
        )
        return length, width, height
    for side in (-1, 1):
        for end in (-1, 1):
            foot = (end * length * 0.46, side * width * 0.44)
            mesh.limb((*foot, 0), (*foot, height), 0.05, _STEEL, owner=owner, frame=frame)
    if scene.chance(0.5):
        heap_of_goods(scene, owner, frame, length * 0.9, width * 0.8, int(scene.rng.integers(2, 6)))
    return length, width, height


def _cart(scene: Scene, owner: int, frame: Frame) -> tuple[float, float, float]:
    """A pushed cart: a box on wheels, a counter on top, a sign in front, sometimes a pot and a glass case."""
    mesh = scene.mesh
    length, width, height = scene.between(1.3, 2.0), scene.between(0.7, 0.95), scene.between(0.8, 0.95)
    colour, radius = scene.bright() if scene.chance(0.6) else scene.colour(0.3, 0.9), scene.between(0.18, 0.3)
    mesh.contact_shadow(frame, length * 1.15, width * 1.4)
    mesh.add(block(), (0, 0, 0.28), (length, width, height - 0.31), colour, owner=owner, frame=frame)
    mesh.add(
        block(),
        (0, 0, height - 0.03),
        (length * 1.06, width * 1.1, 0.04),
        (0.7, 0.7, 0.72),
        Material.PAINT,
        owner,
        frame,
    )
    sign = (length * 0.85, 0.03, height * 0.4)
    for side in (-1, 1):
        mesh.add(block(), (0, side * (width / 2 + 0.01), 0.38), sign, scene.bright(), Material.PATCHWORK, owner, frame)
        wheel(scene, owner, frame, length * 0.3 * side, width / 2 - 0.05, radius)
        wheel(scene, owner, frame, length * 0.3 * side, -width / 2 + 0.05, radius)
        mesh.limb(
            (length / 2, side * 0.3, height - 0.15),
            (length / 2 + 0.4, side * 0.3, height),
            0.05,
            _STEEL,
            owner=owner,
            frame=frame,
        )
    if scene.chance(0.4):
        case = (length * 0.4, width * 0.8, 0.45)
        mesh.add(block(), (-length * 0.25, 0, height), case, (0.3, 0.35, 0.38), Material.GLASS, owner, frame)
    if scene.chance(0.4):
        mesh.add(cylinder(12), (length * 0.25, 0, height), (0.45, 0.45, 0.3), (0.55,) * 3, Material.PAINT, owner, frame)
    return length, width, height


def _selling_tricycle(scene: Scene, owner: int, frame: Frame) -> tuple[float, float, float]:
    """A load tricycle whose bed has become a counter; the frame stands under the middle of the bed."""
    mesh = scene.mesh
    bed, width, radius = scene.between(1.4, 1.9), scene.between(0.95, 1.2), scene.between(0.23, 0.3)
    length, height = bed + scene.between(1.1, 1.3), scene.between(0.75, 0.95)
    colour = scene.bright() if scene.chance(0.6) else scene.colour(0.2, 0.9)
    mesh.contact_shadow(frame.moved(length / 2 - bed / 2, 0), length * 1.05, width * 1.3)
    tricycle_front(scene, owner, frame.moved(length / 2 - bed / 2, 0), length, bed, colour, radius)
    for side in (-1, 1):
        wheel(scene, owner, frame, -bed * 0.1, side * (width / 2 - 0.06), radius)
        mesh.add(
            block(),
            (0, side * (width / 2 + 0.01), 0.48),
            (bed * 0.9, 0.03, height - 0.55),
            scene.bright(),
            Material.PATCHWORK,
            owner,
            frame,
        )
    mesh.add(block(), (0, 0, 0.42), (bed, width, height - 0.45), colour, owner=owner, frame=frame)
    mesh.add(
        block(), (0, 0, height - 0.03), (bed * 1.05, width * 1.15, 0.03), (0.65,) * 3, Material.PAINT, owner, frame
    )
    return bed, width, height


def _canopy(scene: Scene, owner: int, frame: Frame, length: float, width: float) -> None:
    mesh, top = scene.mesh, scene.between(1.9, 2.35)
    for side in (-1, 1):
        for end in (-1, 1):
            foot = (end * length * 0.49, side * width * 0.46)
            mesh.limb((*foot, 0.4), (*foot, top), 0.05, _STEEL, owner=owner, frame=frame)
    colour = scene.bright()
    material = Material.CLOTH if scene.chance(0.6) else Material.PLAIN
    mesh.add(
        frustum(0.85, 0.5),
        (0, 0, top),
        (length * 1.12, width * 1.12, scene.between(0.08, 0.45)),
        colour,
        material,
        owner,
        frame,
    )
    if scene.night:
        mesh.add(ball(7, 5), (0, 0, top - 0.15), (0.14, 0.14, 0.14), (1, 0.95, 0.8), Material.GLOWING, owner, frame)


def pile(scene: Scene, frame: Frame, kind: str | None = None, share: float = 1.0, owner: int | None = None) -> int:
    """A pile: `cartons`, plastic `crates` or `sacks`. `share` of its pieces lie there (for films that build it up)."""
    kind = kind or str(scene.rng.choice(["cartons", "crates", "sacks"], p=[0.65, 0.2, 0.15]))
    mesh, owner = scene.mesh, owner or scene.own(Label.BOX)
    size, across, deep = scene.between(0.32, 0.6), int(scene.rng.integers(1, 4)), int(scene.rng.integers(1, 3))
    plastic, pieces = scene.bright(), []
    for i in range(across):
        for j in range(deep):
            z = 0.0
            for _ in range(int(scene.rng.integers(1, 5))):
                tall = size * scene.between(0.5, 1.0)
                pieces.append((z, (i - across / 2 + 0.5) * size * 1.1, (j - deep / 2 + 0.5) * size * 1.06, tall))
                z += tall
                if z > 1.5:
                    break
    pieces.sort(key=lambda piece: piece[0])
    shown = round(share * len(pieces))
    if shown:
        mesh.contact_shadow(frame, across * size * 1.3 + 0.2, deep * size * 1.3 + 0.2)
    for z, x, y, tall in pieces[:shown]:
        turn = turn_z(float(scene.rng.normal(0, 0.1)))
        if kind == "cartons":
            sides = (size * scene.between(0.85, 1.08), size * scene.between(0.8, 1.0), tall)
            mesh.add(block(), (x, y, z), sides, scene.cardboard(), Material.CARTON, owner, frame, turn)
        elif kind == "crates":
            mesh.add(block(), (x, y, z), (size * 1.05, size, tall), plastic, Material.SHUTTER, owner, frame, turn)
        else:
            mesh.add(
                ball(8, 5),
                (x, y, z + tall / 2),
                (size * 1.1, size, tall * 1.1),
                scene.colour(0.4, 0.9),
                Material.CLOTH,
                owner,
                frame,
            )
    return owner
