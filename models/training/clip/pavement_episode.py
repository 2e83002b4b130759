"""Street-vending clips from seeds: who sells where, and what only looks like it."""

from __future__ import annotations

import numpy as np

from world import distractor
from world.cycle import motorcycle, tricycle
from world.figure import person
from world.furniture import laundry, planter, sign_post
from world.mesh import Frame
from world.scene import Scene
from world.stall import hand_umbrella, pile, stall, umbrella
from world.vehicle import car, truck

from .episode import Cast, Episode, Incident
from .route import Route, pass_by, standing, walk_to
from .setting import Setting, random_setting
from .story import Actor, walker

KINDS = ("tricycle", "cart", "table", "mat")
_KINDS_SHARE = (0.34, 0.26, 0.2, 0.2)
ZONE_KEYS = {"suspect_s": 8.0, "dwell_s": 30.0, "clear_s": 10.0}
_GAIT = 4.4  # radians of a walker's phase in each metre


def incident_clip(seed: int, seconds: float = 144.0, fps: float = 0.5) -> Episode:
    """One vendor sets up in the zone for longer than the dwell, among ordinary life."""
    setting, cast = random_setting(seed, "street_vending"), Cast(seed)
    rng = cast.rng
    kind = str(rng.choice(KINDS, p=_KINDS_SHARE))
    start = float(rng.uniform(18, 36))
    end = start + float(rng.uniform(60, seconds - start - 28))
    x, y = _spot(rng, setting)
    incident = _selling(cast, setting, kind, start, end, x, y)
    _life(cast, setting, seconds, float(rng.choice([0.4, 1.0])))
    _standing_things(cast, setting, [(x, y)])
    return _episode(setting, cast, seconds, fps, [incident])


def quiet_clip(seed: int, seconds: float = 300.0, fps: float = 0.5) -> Episode:
    """Hard negatives; nobody sells in the zone at a time when nobody may."""
    setting, cast = random_setting(seed, "street_vending"), Cast(seed)
    rng = cast.rng
    makers = {
        "abandoned stall": _abandoned,
        "shop goods": _shop_goods,
        "vendors passing": _vendors_passing,
        "waiting": _waiting,
        "parked cycles": _parked_cycles,
        "laundry and plants": _laundry_and_plants,
        "unloading": _unloading,
        "short halt": _short_halt,
        "umbrellas": _umbrellas,
        "distractors": _distractors,
    }
    if setting.light.night:
        del makers["laundry and plants"]
    chosen = [str(kind) for kind in rng.permutation(list(makers))[: int(rng.integers(2, 4))]]
    if "abandoned stall" in chosen and "waiting" in chosen:
        chosen.remove("waiting")  # somebody who stands beside a stall for minutes is its vendor
    (x0, x1), _ = setting.zone
    places = np.linspace(x0 + 1.6, x1 - 1.6, len(chosen))
    for kind, x in zip(chosen, places, strict=True):
        makers[kind](cast, setting, float(x), seconds)
    busy = 0.4 if "abandoned stall" in chosen else float(rng.choice([0.5, 1.3]))
    _life(cast, setting, seconds, busy)
    episode = _episode(setting, cast, seconds, fps, [])
    episode.strata["negatives"] = "+".join(sorted(chosen))
    return episode


def breakfast_clip(seed: int, seconds: float = 180.0, fps: float = 0.5) -> Episode:
    """A cart sells when it may: watched for one minute of the week only, since a clip does not say when it was."""
    setting, cast = random_setting(seed, "street_vending"), Cast(seed)
    rng = cast.rng
    x, y = _spot(rng, setting)
    _selling(cast, setting, str(rng.choice(["cart", "tricycle"])), 14.0, seconds - 20, x, y)
    _life(cast, setting, seconds, 0.7)
    episode = _episode(setting, cast, seconds, fps, [])
    episode.zone_keys["hours"] = ["mon 00:00-00:01"]
    episode.film.begins = episode.film.begins.replace(hour=7, minute=int(rng.integers(0, 59)))
    episode.strata["negatives"] = "permitted hours"
    return episode


def _episode(setting: Setting, cast: Cast, seconds: float, fps: float, incidents: list) -> Episode:
    def stage(scene: Scene) -> None:
        for build in cast.standing:
            build(scene)

    film = setting.film("pavement", seconds, cast.actors, stage, fps)
    film.light_at = cast.light_at(setting)
    return Episode(film, setting, dict(ZONE_KEYS), incidents)


def _spot(rng: np.random.Generator, setting: Setting) -> tuple[float, float]:
    (x0, x1), (y0, y1) = setting.zone
    return float(rng.uniform(x0 + 2.0, x1 - 2.0)), y0 + 0.4 * (y1 - y0) + float(rng.uniform(-0.15, 0.15))


def _selling(cast: Cast, setting: Setting, kind: str, start: float, end: float, x: float, y: float) -> Incident:
    rng, z = cast.rng, setting.kerb
    side = int(rng.choice([-1, 1]))
    actors = []
    seed = cast.seed()
    if kind in ("tricycle", "cart"):
        pace = 2.6 if kind == "tricycle" else 1.1
        far = 30.0
        route = Route(
            (start - far / pace, x + side * far, y),
            (start, x, y),
            (end, x, y),
            (end + far / pace, x - side * far, y),
            z=z,
        )

        def build(scene: Scene, second: float) -> None:
            if route.alive(second):
                stall(scene, route.frame(second), kind)

        actors.append(cast.add(Actor(seed, build)))
        vendor_seed = cast.seed()

        def vendor(scene: Scene, second: float) -> None:
            if not route.alive(second):
                return
            if route.speed(second) > 0.1:
                if kind == "tricycle":
                    person(scene, route.frame(second).moved(1.25, 0, 0.22), "sit", shadow=False)
                else:
                    person(scene, route.frame(second).moved(-1.35, 0), "carry", route.walked(second) * _GAIT)
            else:
                sway = 0.3 * np.sin(second * 0.13 + vendor_seed)
                person(scene, Frame.at(x + sway, y + 1.0, -1.57 + 0.4 * np.sin(second * 0.07), z), "stand", 1.6)

        cast.add(Actor(vendor_seed, vendor))
    else:

        def build(scene: Scene, second: float) -> None:
            if start <= second <= end:
                stall(scene, Frame.at(x, y, 0.0, z), kind)

        actors.append(cast.add(Actor(seed, build)))
        cast.add(walker(cast.seed(), walk_to(start - 3, end + 3, x + 0.3, y + 1.05, side, -side, z, y + 1.2)))
        if rng.random() < 0.3:
            cast.add(standing(cast.seed(), x - 0.7, y + 1.1, -1.57, z, start, end, "sit"))
    if rng.random() < 0.4:
        opens, shut = start + 6, end - 5

        def shade(scene: Scene, second: float) -> None:
            if opens <= second <= shut:
                umbrella(scene, Frame.at(x - 0.4, y + 0.5, 0.4, z))

        actors.append(cast.add(Actor(cast.seed(), shade)))
    moment = start + 8
    while moment < end - 22:
        stay, which = float(rng.uniform(8, 26)), int(rng.choice([-1, 1]))
        at = (x + float(rng.uniform(-0.9, 0.9)), y - float(rng.uniform(0.95, 1.3)))
        cast.add(walker(cast.seed(), walk_to(moment, moment + stay, *at, which, -which, z, y - 1.2)))
        moment += stay + float(rng.exponential(18))
    return Incident("street_vending", start, end, kind, actors)


def _life(cast: Cast, setting: Setting, seconds: float, busy: float) -> None:
    """Walkers on the pavement, traffic on the road."""
    rng, z = cast.rng, setting.kerb
    (_, _), (y0, y1) = setting.zone
    for _ in range(int(rng.poisson(seconds / 22 * busy)) + 1):
        side, moment = int(rng.choice([-1, 1])), float(rng.uniform(-15, seconds - 8))
        y = float(rng.uniform(setting.front - 1.2, setting.front - 0.6) if rng.random() < 0.6 else rng.uniform(y0, y1))
        length = 50 / float(rng.uniform(0.9, 1.5))
        cast.add(walker(cast.seed(), Route((moment, side * 25, y), (moment + length, -side * 25, y), z=z)))
    moment = -6.0
    while True:
        moment += float(rng.exponential(22 / busy)) + 3
        if moment > seconds - 2:
            return
        side = int(rng.choice([-1, 1]))
        makers = [car, truck, lambda s, f: motorcycle(s, f, ridden=True), lambda s, f: tricycle(s, f, ridden=True)]
        make = makers[int(rng.choice(4, p=[0.5, 0.15, 0.25, 0.1]))]
        cast.vehicle(pass_by(moment, -setting.half * 0.45 * side, side, float(rng.uniform(5, 10))), make)


def _standing_things(cast: Cast, setting: Setting, taken: list[tuple[float, float]]) -> None:
    """Cycles and plants by the houses, away from what the story needs."""
    rng = cast.rng
    for _ in range(int(rng.integers(0, 3))):
        x, y = float(rng.uniform(-9, 9)), setting.front - 0.75
        if any(abs(x - a) < 2.5 for a, _ in taken):
            continue
        if rng.random() < 0.5:
            cast.standing.append(
                lambda scene, x=x, y=y: motorcycle(scene, Frame.at(x, y, 1.5, setting.kerb), ridden=False)
            )
        else:
            cast.standing.append(lambda scene, x=x, y=y: planter(scene, x, y, setting.kerb))


def _abandoned(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """A stall that stands there all the time, and nobody with it."""
    y, kind = _spot(cast.rng, setting)[1], str(cast.rng.choice(["cart", "table", "tricycle"]))
    cast.standing.append(lambda scene: stall(scene, Frame.at(x, y, 0.05, setting.kerb), kind))


def _shop_goods(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """A shop shows its goods behind its threshold, the keeper beside them: outside the zone."""
    y = setting.front - 0.25
    cast.standing.append(lambda scene: stall(scene, Frame.at(x, y, 0.0, setting.kerb), "table"))
    cast.add(standing(cast.seed(), x + 1.2, y - 0.2, -1.57, setting.kerb, 0.0, seconds))


def _vendors_passing(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    rng, z = cast.rng, setting.kerb
    for moment in np.arange(float(rng.uniform(5, 25)), seconds - 40, float(rng.uniform(55, 90))):
        side, kind, y = int(rng.choice([-1, 1])), str(rng.choice(["cart", "tricycle"])), _spot(rng, setting)[1]
        pace = 2.4 if kind == "tricycle" else 1.1
        start = float(moment)
        route = Route((start, side * 28, y), (start + 56 / pace, -side * 28, y), z=z)
        rides = kind == "tricycle"

        def build(scene: Scene, second: float, route=route, kind=kind) -> None:
            if route.alive(second):
                stall(scene, route.frame(second), kind)

        def vendor(scene: Scene, second: float, route=route, rides=rides) -> None:
            if not route.alive(second):
                return
            frame = route.frame(second)
            if rides:
                person(scene, frame.moved(1.25, 0, 0.22), "sit", shadow=False)
            else:
                person(scene, frame.moved(-1.35, 0), "carry", route.walked(second) * _GAIT)

        cast.add(Actor(cast.seed(), build))
        cast.add(Actor(cast.seed(), vendor))


def _waiting(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """A bus stop."""
    rng, (_, (y0, _)) = cast.rng, setting.zone
    cast.standing.append(lambda scene: sign_post(scene, x, y0 + 0.1))
    for i in range(int(rng.integers(2, 5))):
        start, side = float(rng.uniform(5, 60)), int(rng.choice([-1, 1]))
        end = min(seconds - 10, start + float(rng.uniform(60, 160)))
        at = (x + 0.75 * (i - 1.5), y0 + float(rng.uniform(0.3, 0.9)))
        cast.add(walker(cast.seed(), walk_to(start, end, *at, side, -side, setting.kerb, y0 + 0.8)))


def _parked_cycles(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    count, y = int(cast.rng.integers(2, 5)), _spot(cast.rng, setting)[1]
    both = cast.rng.random() < 0.5

    def build(scene: Scene) -> None:
        for i in range(count):
            frame = Frame.at(x + i * 0.7 - 1.0, y, 1.5, setting.kerb)
            if both and i % 2:
                distractor.bicycle(scene, frame)
            else:
                motorcycle(scene, frame, ridden=False)

    cast.standing.append(build)


def _laundry_and_plants(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """Clothes on a line, tubs, and somebody who sits in the sun."""
    y, sits = _spot(cast.rng, setting)[1], cast.rng.random() < 0.6

    def build(scene: Scene) -> None:
        laundry(scene, x, y + 0.5, setting.kerb)
        planter(scene, x + 2.4, y, setting.kerb)
        planter(scene, x - 2.4, y, setting.kerb)

    cast.standing.append(build)
    if sits:
        cast.add(standing(cast.seed(), x + 1.2, y - 0.3, -1.4, setting.kerb, 0.0, seconds, "sit"))


def _unloading(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """Cartons are put down and carried in within the allowance."""
    rng, z = cast.rng, setting.kerb
    y = _spot(rng, setting)[1]
    for start in np.arange(float(rng.uniform(15, 40)), seconds - 50, 90.0):
        begins, end = float(start), float(start) + float(rng.uniform(10, 20))

        def build(scene: Scene, second: float, begins=begins, end=end) -> None:
            if begins <= second <= end:
                pile(scene, Frame.at(x, y, 0.1, z), "cartons")

        cast.add(Actor(cast.seed(), build))
        side = int(rng.choice([-1, 1]))
        cast.add(walker(cast.seed(), walk_to(begins - 1, end + 1, x + 0.9, y + 0.4, side, -side, z, y + 1.0)))


def _short_halt(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """A vendor stops to tie something up, and goes on before the dwell is over."""
    rng = cast.rng
    y = _spot(rng, setting)[1]
    for start in np.arange(float(rng.uniform(30, 50)), seconds - 60, 110.0):
        _selling(
            cast,
            setting,
            str(rng.choice(["cart", "tricycle"])),
            float(start),
            float(start) + float(rng.uniform(8, 19)),
            x,
            y,
        )


def _umbrellas(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """People under umbrellas who walk, and some who stand for a moment."""
    rng, z = cast.rng, setting.kerb
    (_, _), (y0, y1) = setting.zone
    for start in np.arange(float(rng.uniform(4, 20)), seconds - 40, 40.0):
        side, y = int(rng.choice([-1, 1])), float(rng.uniform(y0, y1))
        stay = float(rng.uniform(0.5, 15))
        route = walk_to(float(start), float(start) + stay, x, y, side, -side, z, y)
        cast.add(walker(cast.seed(), route))

        def build(scene: Scene, second: float, route=route) -> None:
            if route.alive(second):
                hand_umbrella(scene, route.frame(second).moved(0.1, 0.1))

        cast.add(Actor(cast.seed(), build))


def _distractors(cast: Cast, setting: Setting, x: float, seconds: float) -> None:
    """Things of kinds that no training picture showed, and people who stop beside them."""
    rng, z = cast.rng, setting.kerb
    make = distractor.HELD_OUT[int(rng.integers(len(distractor.HELD_OUT)))]
    y = _spot(rng, setting)[1]
    cast.standing.append(lambda scene: make(scene, Frame.at(x, y, 0.0, z)))
    start, side = float(rng.uniform(10, 60)), int(rng.choice([-1, 1]))
    end = start + float(rng.uniform(40, 120))
    cast.add(walker(cast.seed(), walk_to(start, min(end, seconds - 5), x + 1.0, y + 0.2, side, -side, z, y)))
