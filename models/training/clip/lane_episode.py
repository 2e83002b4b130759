"""Fire-lane clips from seeds: what blocks a lane, and what only looks like it."""

from __future__ import annotations

import numpy as np

from world.cycle import motorcycle, tricycle
from world.junk import JUNK
from world.mesh import Frame
from world.scene import Scene
from world.stall import pile
from world.vehicle import car, truck

from .episode import Cast, Episode, Incident
from .route import Route, drive_in, pass_by, walk_to
from .setting import Setting, random_setting
from .story import Actor, walker

KINDS = ("car", "truck", "motorcycles", "cartons", "tricycle", *JUNK)
_KINDS_SHARE = (0.26, 0.13, 0.1, 0.11, 0.06, *[0.34 / len(JUNK)] * len(JUNK))
DWELL_S, SUSPECT_S, CLEAR_S = 30.0, 8.0, 8.0
ZONE_KEYS = {"suspect_s": SUSPECT_S, "dwell_s": DWELL_S, "clear_s": CLEAR_S}


def incident_clip(seed: int, seconds: float = 144.0, fps: float = 0.5) -> Episode:
    """One thing blocks the lane for longer than the dwell, among ordinary life."""
    setting, cast = random_setting(seed, "fire_lane"), Cast(seed)
    rng = cast.rng
    kind = str(rng.choice(KINDS, p=np.array(_KINDS_SHARE) / sum(_KINDS_SHARE)))
    start = float(rng.uniform(16, 36))
    end = start + float(rng.uniform(58, seconds - start - 26))
    incident = _blocked(cast, setting, kind, start, end)
    _life(cast, setting, seconds, busy=float(rng.choice([0.3, 1.0])), keep_off=(start - 9, end + 9))
    return _episode("lane", setting, cast, seconds, fps, [incident])


def quiet_clip(seed: int, seconds: float = 300.0, fps: float = 0.5) -> Episode:
    """Hard negatives one after the other; nothing blocks the lane for as long as the dwell."""
    setting, cast = random_setting(seed, "fire_lane"), Cast(seed)
    rng = cast.rng
    kinds = ["queue", "loading", "waiting", "brief stop", "brief goods", "beside"]
    chosen = list(rng.permutation(kinds)[: int(rng.integers(2, 4))])
    moments = np.linspace(14, seconds - 74, len(chosen))
    for kind, moment in zip(chosen, moments, strict=True):
        {
            "queue": _queue,
            "loading": _loading,
            "waiting": _waiting,
            "brief stop": _brief_stop,
            "brief goods": _brief_goods,
            "beside": _beside,
        }[kind](cast, setting, float(moment), seconds)
    _life(cast, setting, seconds, busy=float(rng.choice([0.5, 1.5])))
    episode = _episode("lane", setting, cast, seconds, fps, [])
    episode.strata["negatives"] = "+".join(sorted(str(kind) for kind in chosen))
    return episode


def _episode(name: str, setting: Setting, cast: Cast, seconds: float, fps: float, incidents: list) -> Episode:
    def stage(scene: Scene) -> None:
        for build in cast.standing:
            build(scene)

    film = setting.film(name, seconds, cast.actors, stage, fps)
    film.light_at = cast.light_at(setting)
    return Episode(film, setting, dict(ZONE_KEYS), incidents)


def _spot(rng: np.random.Generator, setting: Setting, margin: float) -> tuple[float, float]:
    (x0, x1), (y0, y1) = setting.zone
    return float(rng.uniform(x0 + margin, x1 - margin)), float((y0 + y1) / 2 + rng.uniform(-0.25, 0.25))


def _road_y(setting: Setting, side: int) -> float:
    """The middle of the way that traffic takes; in an alley everything goes through the lane."""
    if setting.alley:
        return 0.2 * side
    return -setting.half * 0.45 if side > 0 else setting.half * 0.2


def _blocked(cast: Cast, setting: Setting, kind: str, start: float, end: float) -> Incident:
    rng = cast.rng
    side = int(rng.choice([-1, 1]))
    x, y = _spot(rng, setting, 2.6)
    actors: list[int] = []
    if kind in ("car", "truck", "tricycle"):
        make = {"car": car, "truck": truck, "tricycle": lambda scene, frame: tricycle(scene, frame, ridden=False)}[kind]
        shuffles = kind == "car" and bool(rng.random() < 0.25)
        route = drive_in(start, end, x, y, _road_y(setting, 1), side, shuffles)
        actors.append(cast.vehicle(route, make))
        if rng.random() < 0.5:  # the driver walks away and comes back
            door = Route(
                (start + 3, x, y - 1.3), (start + 6, x - 3, setting.half + 0.8), (start + 22, x - 24, setting.half + 1)
            )
            cast.add(walker(cast.seed(), door))
        what = "car that shuffles" if shuffles else kind
    elif kind == "motorcycles":
        first = x - 1.6
        count = int(rng.integers(4, 7))
        for i in range(count):
            seed, place = cast.seed(), first + i * 0.75
            begins = start - (count - 1 - i) * 1.5

            def build(scene: Scene, second: float, place=place, begins=begins) -> None:
                if begins <= second <= end:
                    motorcycle(scene, Frame.at(place, y, 1.45, 0.0), ridden=False)

            actors.append(cast.add(Actor(seed, build)))
        _carriers(cast, setting, (x, y), [start - 1], [end])
        what = "motorcycles"
    else:
        make = JUNK.get(kind) or (lambda scene, frame: pile(scene, frame, "cartons"))
        parts = int(rng.integers(2, 4)) if kind == "cartons" else 1
        for i in range(parts):
            yaw, at = (
                float(rng.uniform(-0.4, 0.4)),
                (x + (i - (parts - 1) / 2) * 1.7, y + float(rng.uniform(-0.3, 0.3))),
            )

            def build(scene: Scene, second: float, yaw=yaw, at=at) -> None:
                if start <= second <= end:
                    make(scene, Frame.at(*at, yaw, 0.0))

            actors.append(cast.add(Actor(cast.seed(), build)))
        if kind == "skip":
            for moment in (start, end):
                route = drive_in(moment - 7, moment + 4, x + side * 6.5, y, _road_y(setting, 1), side)
                cast.vehicle(route, truck)
        else:
            _carriers(cast, setting, (x, y), [start - 1, start + 2], [end, end + 2])
        what = kind
    return Incident("fire_lane", start, end, what, actors)


def _carriers(cast: Cast, setting: Setting, at: tuple[float, float], brings: list[float], takes: list[float]) -> None:
    """People who put something down, and people who take it away again."""
    for moment in (*brings, *takes):
        side = int(cast.rng.choice([-1, 1]))
        y_far = setting.half + 1.0
        stay = float(cast.rng.uniform(2, 6))
        route = walk_to(moment - stay / 2, moment + stay / 2, at[0] + side * 1.2, at[1] + 0.9, side, -side, 0.0, y_far)
        cast.add(walker(cast.seed(), route))


def _life(
    cast: Cast, setting: Setting, seconds: float, busy: float, keep_off: tuple[float, float] | None = None
) -> None:
    """Traffic, riders and walkers; while the lane is blocked none of them drives through what blocks it."""
    rng = cast.rng
    (x0, x1), (y0, y1) = setting.zone
    moment = -6.0
    while True:
        moment += float(rng.exponential(16 / busy)) + 3
        if moment > seconds - 2:
            break
        through = setting.alley or rng.random() < 0.3
        blocked = keep_off is not None and keep_off[0] - 12 < moment < keep_off[1]
        if through and blocked:
            continue
        side = int(rng.choice([-1, 1]))
        y = (y0 + y1) / 2 if through else _road_y(setting, side)
        make = [car, truck, lambda s, f: motorcycle(s, f, ridden=True), lambda s, f: tricycle(s, f, ridden=True)][
            int(rng.choice(4, p=[0.5, 0.15, 0.25, 0.1]))
        ]
        cast.vehicle(pass_by(moment, y, side, float(rng.uniform(4, 9))), make)
    for _ in range(int(rng.poisson(seconds / 40 * busy)) + 1):
        side, moment = int(rng.choice([-1, 1])), float(rng.uniform(-15, seconds - 10))
        y = float(rng.uniform(y0, setting.front - 0.8))
        length = 50 / float(rng.uniform(0.9, 1.5))
        route = Route(
            (moment, side * 25, y), (moment + length, -side * 25, float(rng.uniform(y0, setting.front - 0.8)))
        )
        cast.add(walker(cast.seed(), route))


def _queue(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """Traffic that halts in the lane again and again; no vehicle halts there twice, none for as long as the dwell."""
    rng = cast.rng
    (x0, x1), (y0, y1) = setting.zone
    side, y, halt = int(rng.choice([-1, 1])), (y0 + y1) / 2, float(rng.uniform(11, 19))
    step, go, cycles = (x1 - x0) + 5.0, 4.5, int(rng.integers(2, 5))
    start_x = (x0 + x1) / 2
    for number in range(cycles + 1):
        for place in (0.0, 6.6):
            places = [(moment - 9.0, side * 60 + side * number * step, y)]
            for cycle in range(number + 1):
                at = start_x - side * 2.0 + side * ((number - cycle) * step + place)
                arrives = moment + cycle * (halt + go)
                places += [(arrives, at, y), (arrives + halt, at, y)]
            places.append((places[-1][0] + 8, -side * 60, y))
            cast.vehicle(Route(*places), car if rng.random() < 0.75 else _small_truck)


def _small_truck(scene: Scene, frame: Frame) -> int:
    return tricycle(scene, frame, ridden=True)


def _loading(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """A van stops within the allowance while people carry."""
    rng = cast.rng
    x, y = _spot(rng, setting, 2.6)
    end = moment + float(rng.uniform(12, 21))
    cast.vehicle(drive_in(moment, end, x, y, _road_y(setting, 1), int(rng.choice([-1, 1]))), truck)
    for i in range(2):
        home = setting.front - 0.6
        places = [(moment + 2 + i * 2, x - 2.6, y + 1.0)]
        while places[-1][0] + 8 < end:
            t = places[-1][0]
            places += [(t + 4, x - 2.0 - i, home), (t + 8, x - 2.6, y + 1.0)]
        if len(places) > 1:
            cast.add(walker(cast.seed(), Route(*places), "carry"))


def _waiting(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """People stand and talk in the lane for minutes."""
    rng = cast.rng
    x, y = _spot(rng, setting, 2.0)
    end = moment + float(rng.uniform(45, 70))
    for i in range(int(rng.integers(1, 4))):
        side = int(rng.choice([-1, 1]))
        at = (x + 0.8 * np.cos(i * 2.1), y + 0.7 * np.sin(i * 2.1))
        cast.add(walker(cast.seed(), walk_to(moment + i * 3, end, *at, side, -side, 0.0, setting.half + 0.9)))


def _brief_stop(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """Somebody is let out."""
    rng = cast.rng
    x, y = _spot(rng, setting, 2.6)
    end = moment + float(rng.uniform(6, 19))
    cast.vehicle(drive_in(moment, end, x, y, _road_y(setting, 1), int(rng.choice([-1, 1]))), car)
    cast.add(
        walker(
            cast.seed(),
            Route(
                (moment + 3, x, y + 1.2), (moment + 6, x + 1, setting.half + 1), (moment + 28, x + 24, setting.half + 1)
            ),
        )
    )


def _brief_goods(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """Cartons are put down and taken away again within the allowance."""
    rng = cast.rng
    x, y = _spot(rng, setting, 2.0)
    end = moment + float(rng.uniform(8, 18))

    def build(scene: Scene, second: float) -> None:
        if moment <= second <= end:
            pile(scene, Frame.at(x, y, 0.2, 0.0), "cartons")

    cast.add(Actor(cast.seed(), build))
    _carriers(cast, setting, (x, y), [moment - 1], [end])


def _beside(cast: Cast, setting: Setting, moment: float, seconds: float) -> None:
    """Something stands for minutes just outside the zone; its upper part may hide some of the lane."""
    rng = cast.rng
    (x0, x1), (y0, y1) = setting.zone
    end = min(seconds - 12, moment + float(rng.uniform(60, 140)))
    if setting.alley or rng.random() < 0.5:
        x = x1 + 4.2 if rng.random() < 0.5 else x0 - 4.2
        route = drive_in(moment, end, x, (y0 + y1) / 2, _road_y(setting, 1), 1 if x > x1 else -1)
        # It leaves the way that it came: not through the lane, which it would only pass.
        cast.vehicle(route, car)
    else:
        x, y = float(rng.uniform(x0, x1)), setting.half + 1.1

        def build(scene: Scene, second: float) -> None:
            if moment <= second <= end:
                motorcycle(scene, Frame.at(x, y, 1.5, setting.kerb), ridden=False)

        cast.add(Actor(cast.seed(), build))
