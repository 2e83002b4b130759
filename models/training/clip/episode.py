"""A labelled evaluation clip: a film with its zone, its incidents, and free words that say what kind of clip it is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from world.light import Light
from world.scene import Scene

from .route import Route
from .setting import Setting
from .story import Actor, Film


@dataclass
class Incident:
    """A situation that must be reported: when it begins and ends, and which actors it consists of."""

    kind: str
    start: float
    end: float
    what: str
    actors: list[int]
    optional: bool = False


@dataclass
class Episode:
    """What one seed gives; `zone_keys` are put into the case's zone."""

    film: Film
    setting: Setting
    zone_keys: dict
    incidents: list[Incident] = field(default_factory=list)
    strata: dict[str, str] = field(default_factory=dict)


class Cast:
    """Collects actors with seeds of their own; remembers which cars drive with their lamps on."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 2])
        self.actors: list[Actor] = []
        self.lit: list[Route] = []
        self.standing: list = []

    def seed(self) -> int:
        return int(self.rng.integers(1, 2**31))

    def add(self, actor: Actor) -> int:
        self.actors.append(actor)
        return len(self.actors) - 1

    def vehicle(self, route: Route, make) -> int:
        """A vehicle on its way; by night its headlights wander over the road."""
        self.lit.append(route)

        def build(scene: Scene, second: float) -> None:
            if route.alive(second):
                make(scene, route.frame(second))

        return self.add(Actor(self.seed(), build))

    def light_at(self, setting: Setting):
        """The setting's light, with the headlights of whoever moves."""
        plain = setting.light_at

        def light_at(light: Light, second: float) -> Light:
            now = plain(light, second)
            if not now.night:
                return now
            lamps = []
            for route in self.lit:
                if route.alive(second) and route.speed(second) > 0.3:
                    at = route.frame(second).point(4.5, 0.0, 0.0)
                    if abs(at[0]) < 25:
                        lamps.append((float(at[0]), float(at[1]), 0.9, 5.0))
            return replace(now, lamps=[*lamps[:3], *now.lamps][:6]) if lamps else now

        return light_at
