"""One clip from one seed: its façade, weather, camera, distractors and falls; pictures one by one, and their truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .distractors import HELD_OUT, KINDS, Setting
from .flight import Drip, Thrown
from .sensor import Sensor
from .view import HEIGHT, WIDTH, View
from .wall import Wall
from .weather import Rain, Snow


@dataclass(frozen=True)
class Order:
    """What to film. `theme`: what abounds; `held_out`: also kinds that are unknown while thresholds are chosen."""

    seed: int
    seconds: float
    falls: int
    theme: str | None = None
    held_out: bool = False


class Clip:
    """A film of grey pictures 640 x 360. `thrown` and `zone` are its truth, complete after the last picture."""

    def __init__(self, order: Order) -> None:
        self.order = order
        rng = np.random.default_rng([order.seed, 0xFA11])
        self.fps = int(rng.choice([15, 25, 25]))
        self.night = bool(rng.random() < 0.25)
        self.codec, self.kbps = (
            ("h264" if rng.random() < 0.88 else "h265"),
            int(np.exp(rng.uniform(np.log(500), np.log(4000)))),
        )
        while True:
            view = View(rng)
            self.wall = Wall(rng, view, self.night)
            self.zone = view.zone(rng, self.wall.floor_m)
            if self.zone is not None and self.wall.windows:
                break
        self.sensor = Sensor(rng, order.seconds, 1 / self.fps, self.night, self.wall.canvas)
        # Releases: windows, balconies and now and then the roof.
        self.places = [(along + width / 2, above) for along, above, width, _ in self.wall.windows]
        self.places += [
            (float(a), view.wall_height) for a in np.linspace(*view.edges(), max(1, len(self.places) // 12))
        ]
        gap = order.seconds / max(order.falls, 1)
        starts = [gap * (k + rng.uniform(0.12, 0.62)) for k in range(order.falls)]
        self.thrown = [
            Thrown(rng, view, self.wall.canvas, max(0.8, at), self.places, order.seconds - 0.3) for at in starts
        ]
        self.thrown = [thing for thing in self.thrown if thing.fits]
        self._people(rng, view)

    def _people(self, rng: np.random.Generator, view: View) -> None:
        order = self.order
        at = Setting(rng, view, self.wall, order.seconds, self.night)
        self.actors, self.present = [], []
        # Things that come and go are as frequent in a long clip as in a short one.
        busy = max(1.0, order.seconds / 15)
        for kind, (make, often, most, crowd) in KINDS.items():
            if kind in HELD_OUT and not order.held_out:
                continue
            count = (
                int(rng.integers(1, most + 1) * (busy if kind not in ("tree", "laundry", "gondola") else 1))
                if rng.random() < often
                else 0
            )
            if kind == order.theme:
                count = max(1, int(rng.uniform(0.5, 1) * crowd * (busy**0.7 if kind not in ("tree", "gondola") else 1)))
            self.actors += [make(at) for _ in range(count)]
            self.present += [kind] * bool(count)
        drips = int(rng.integers(1, 4)) if order.theme == "drip" or (order.held_out and rng.random() < 0.06) else 0
        self.actors += [Drip(rng, view, self.wall.canvas, self.places, order.seconds) for _ in range(drips)]
        self.present += ["drip"] * bool(drips)
        self.weather, self._falling = "dry", None
        if order.theme == "rain" or (order.theme != "snow" and rng.random() < 0.13):
            self.weather, self._falling = "rain", Rain(rng)
        elif order.theme == "snow" or (order.held_out and rng.random() < 0.05):
            self.weather, self._falling = "snow", Snow(rng)

    def pictures(self) -> Iterator[np.ndarray]:
        """The pictures, uint8 (360, 640), in order."""
        step = 1 / self.fps
        for number in range(int(self.order.seconds * self.fps)):
            second = number * step
            canvas = self.wall.canvas.copy()
            shake = self.sensor.moved(second)
            for actor in self.actors:
                actor.draw(canvas, second, step, self.sensor.shutter_s)
            for thing in self.thrown:
                thing.draw(canvas, number, second, self.sensor.shutter_s, shake)
            light = self._falling.light(second, step, self.sensor.shutter_s) if self._falling else None
            yield self.sensor.picture(canvas, second, light)

    def case(self, clip_file: str) -> dict:
        """The labelled-set entry (`gridwatch-eval/1`); call it after the last picture."""
        incidents = [self._incident(thing) for thing in self.thrown if len(thing.track) >= 5]
        return {
            "format": "gridwatch-eval/1",
            "clip": clip_file,
            "seconds": self.order.seconds,
            "strata": {
                "light": "night" if self.night else "day",
                "weather": self.weather,
                "codec": self.codec,
                "kbps": "<1000" if self.kbps < 1000 else "1000-2000" if self.kbps < 2000 else ">2000",
                "fps": str(self.fps),
                "shake": "<1" if self.sensor.shake < 1 else ">=1",
                "theme": self.order.theme or "none",
            },
            "camera": {},
            "zones": [{"id": "facade", "scenario": "thrown_object", **self.zone}],
            "incidents": incidents,
        }

    def _incident(self, thing: Thrown) -> dict:
        track = np.array(thing.track)
        size, contrast = float(np.median(track[:, 3])), float(np.median(track[:, 4]))
        x0, y0 = track[:, 1:3].min(0) / (WIDTH, HEIGHT)
        x1, y1 = track[:, 1:3].max(0) / (WIDTH, HEIGHT)
        return {
            "zone": "facade",
            "kind": "thrown_object",
            "from_s": round(thing.at_s, 3),
            "to_s": round(thing.leaves_s, 3),
            "strata": {
                "size": "<2" if size < 2 else "2-4" if size < 4 else "4-8" if size < 8 else ">=8",
                "contrast": "<10"
                if contrast < 10
                else "10-25"
                if contrast < 25
                else "25-50"
                if contrast < 50
                else ">=50",
                "release": "seen" if thing.release_seen else "above the picture",
            },
            "optional": bool(contrast < 6 or size < 1.5),
            "release_height_m": round(thing.release_height_m, 2),
            "floor": int(thing.release_height_m // self.wall.floor_m) + 1,
            "box": [round(float(v), 4) for v in (x0, y0, x1, y1)],
        }
