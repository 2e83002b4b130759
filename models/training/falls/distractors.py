"""What moves in front of a façade and was thrown by nobody.

Each kind is drawn picture by picture (`draw`), in pixels of the picture. `KINDS` lists them, `HELD_OUT` those that are
unknown while thresholds are chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .stamp import box, ellipse, stamp
from .view import HEIGHT, MARGIN, WIDTH, View
from .wall import Wall, cloudy


@dataclass
class Setting:
    """Where a distractor lives."""

    rng: np.random.Generator
    view: View
    wall: Wall
    seconds: float
    night: bool

    def window(self) -> np.ndarray:
        """Outline (4, 2) in pixels of a window that is in view: bottom left, bottom right, top right, top left."""
        for _ in range(40):
            along, above, width, height = self.wall.windows[self.rng.integers(len(self.wall.windows))]
            outline = self.view.corners(above, above + height, along, along + width)
            if (outline > 2).all() and (outline[:, 0] < WIDTH - 2).all() and (outline[:, 1] < HEIGHT - 2).all():
                return outline
        return box(WIDTH / 2, HEIGHT / 2, 14, 16)[[3, 2, 1, 0]]

    def grey(self, bright: float = 0.5) -> float:
        """Some grey of a thing; at night the lamp decides."""
        value = self.rng.uniform(130, 250) if self.rng.random() < bright else self.rng.uniform(5, 100)
        return float(value * (0.6 if self.night else 1))


class Bird:
    """Flaps across; may dive, drop from a ledge, or fly in a flock."""

    def __init__(self, at: Setting, way: str = "cross", start: tuple[float, float] | None = None) -> None:
        rng = self.rng = at.rng
        self.size, self.grey = rng.uniform(1.1, 6.5), at.grey(0.25)
        self.from_s = rng.uniform(-1, at.seconds)
        self.to_s = self.from_s + rng.uniform(1.2, 8)
        pace, heading = rng.uniform(25, 230), rng.uniform(-0.5, 0.5) + np.pi * (rng.random() < 0.5)
        self.beat, self.sway, self.rhythm = rng.uniform(3, 12), rng.uniform(-0.9, 0.9), rng.uniform(0.4, 2)
        self.down, self.caught_s = 0.0, 0.0
        self.place = np.array(
            start or (rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT * (0.55 if way != "cross" else 0.9)))
        )
        # Lines per second squared of a free fall at the wall, or nearer to the camera.
        free = 9.81 * at.view.focal / at.view.distance * rng.uniform(0.7, 1.5)
        if way == "dive":
            heading, pace = np.pi / 2 + rng.uniform(-0.7, 0.7), rng.uniform(40, 190)
            self.down, self.caught_s = free * rng.uniform(0.1, 0.6), rng.uniform(0.3, 1.2)
        if way == "drop":  # off a ledge with half-closed wings, caught after a while
            heading, pace = np.pi / 2, rng.uniform(5, 30)
            self.down, self.caught_s = free * rng.uniform(0.4, 0.95), rng.uniform(0.2, 0.8)
        self.way = way
        self.speed = pace * np.array([np.cos(heading), np.sin(heading)])

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        since = second - self.from_s
        if since < 0 or second > self.to_s:
            return
        turn = self.sway * np.sin(self.rhythm * since) * step_s * (self.way == "cross" or since > self.caught_s)
        cos, sin = np.cos(turn), np.sin(turn)
        self.speed = np.array([[cos, -sin], [sin, cos]]) @ self.speed
        if self.down and since < self.caught_s:
            self.speed[1] += self.down * step_s
        elif self.down:  # pulls up into a glide
            self.speed += step_s * np.array([np.sign(self.speed[0] or 1.0) * 90.0, -1.6 * self.down])
            self.down = max(0.0, self.down - 120 * step_s)
        self.place = self.place + self.speed * step_s
        flaps = abs(np.sin(np.pi * self.beat * second)) * (0.25 if self.down and since < self.caught_s else 1)
        heading, (x, y), sweep = np.arctan2(self.speed[1], self.speed[0]), self.place, tuple(self.speed * shutter_s)
        stamp(canvas, ellipse(x, y, self.size * 1.1, self.size * 0.45, heading), self.grey, sweep)
        wing = ellipse(
            x, y - self.size * 0.4 * (flaps - 0.5), self.size * 0.4, self.size * (0.3 + 1.1 * flaps), heading
        )
        stamp(canvas, wing, self.grey, sweep, 0.9)


class Flock:
    """Pigeons that leave together."""

    def __init__(self, at: Setting) -> None:
        middle, second = (at.rng.uniform(0, WIDTH), at.rng.uniform(0, HEIGHT * 0.6)), at.rng.uniform(0, at.seconds)
        self.birds = [
            Bird(at, at.rng.choice(["cross", "drop"]), tuple(middle + at.rng.normal(0, 25, 2)))
            for _ in range(at.rng.integers(5, 16))
        ]
        for bird in self.birds:
            bird.from_s = second + at.rng.exponential(0.4)
            bird.to_s = bird.from_s + at.rng.uniform(2, 6)

    def draw(self, *args) -> None:
        for bird in self.birds:
            bird.draw(*args)


class Leaf:
    """Sinks at its terminal speed and sways; `fast`: heavy and near the camera."""

    def __init__(self, at: Setting, fast: bool = False) -> None:
        rng = at.rng
        self.size, self.grey = rng.uniform(0.8, 4) * (1.4 if fast else 1), at.grey()
        self.sink = rng.uniform(110, 280) if fast else rng.uniform(10, 95)
        self.sway, self.rate, self.phase = (
            rng.uniform(2, 26) * (0.3 if fast else 1),
            rng.uniform(0.8, 6),
            rng.uniform(0, 6),
        )
        self.start, self.drift = np.array([rng.uniform(0, WIDTH), rng.uniform(-20, HEIGHT * 0.5)]), rng.uniform(-70, 70)
        self.from_s, self.bob, self.last = rng.uniform(-2, at.seconds), rng.uniform(0, 0.5), None

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        since = second - self.from_s
        if since < 0 or since > 30:
            return
        swing = self.sway * np.sin(self.rate * since + self.phase)
        place = self.start + (
            self.drift * since + swing,
            self.sink * since + self.bob * self.sway * np.sin(2 * self.rate * since),
        )
        if place[1] > HEIGHT + 30:
            return
        sweep = (place - self.last) / step_s * shutter_s if self.last is not None else np.zeros(2)
        self.last = place
        slim = self.size * (0.25 + 0.7 * abs(np.sin(1.7 * self.rate * since)))
        stamp(canvas, ellipse(*place, self.size, slim, self.rate * since), self.grey, tuple(sweep))


class Bag:
    """A plastic bag in the wind: large, slow, up as often as down."""

    def __init__(self, at: Setting) -> None:
        self.rng, self.size, self.grey = at.rng, at.rng.uniform(2, 8), at.grey(0.7)
        self.place = np.array([at.rng.uniform(0, WIDTH), at.rng.uniform(0, HEIGHT)])
        self.speed, self.sink = at.rng.normal(0, 30, 2), at.rng.uniform(-5, 30)
        self.from_s, self.gust = at.rng.uniform(-2, at.seconds * 0.7), at.rng.uniform(20, 120)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        since = second - self.from_s
        if not 0 <= since < 15:
            return
        pull = (0.0, self.sink) - self.speed
        self.speed = self.speed + pull * 0.5 * step_s + self.rng.normal(0, self.gust, 2) * np.sqrt(step_s)
        self.place = self.place + self.speed * step_s
        shape = self.size * (0.6 + 0.4 * np.sin(3.1 * since))
        stamp(
            canvas, ellipse(*self.place, self.size, shape, 1.3 * since), self.grey, tuple(self.speed * shutter_s), 0.85
        )


class Insect:
    """Near the lens: large, soft, fast; at night bright in the infrared lamp."""

    def __init__(self, at: Setting) -> None:
        self.rng, self.size = at.rng, at.rng.uniform(2, 16)
        self.grey = at.rng.uniform(150, 255) if at.night else at.rng.uniform(0, 255)
        self.cover, self.place = (
            at.rng.uniform(0.15, 0.7),
            np.array([at.rng.uniform(0, WIDTH), at.rng.uniform(0, HEIGHT)]),
        )
        self.speed, self.restless = at.rng.normal(0, 260, 2), at.rng.uniform(200, 1800)
        self.from_s = at.rng.uniform(0, at.seconds)
        self.to_s = self.from_s + at.rng.uniform(0.2, 3)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        if not self.from_s < second < self.to_s:
            return
        self.speed = self.speed + self.rng.normal(0, self.restless, 2) * step_s
        self.place = self.place + self.speed * step_s
        outline = ellipse(*self.place, self.size, self.size * 0.7)
        stamp(canvas, outline, self.grey, tuple(self.speed * shutter_s), self.cover, 0.3 * self.size)


class Laundry:
    """Cloths on a line that swing."""

    def __init__(self, at: Setting, quilt: bool = False) -> None:
        rng = at.rng
        self.at = at.window()[0]
        self.pieces, self.width, self.drop = (
            (1, rng.uniform(9, 22), rng.uniform(8, 22))
            if quilt
            else (int(rng.integers(1, 6)), rng.uniform(3, 9), rng.uniform(4, 15))
        )
        self.greys = [at.grey() for _ in range(self.pieces)]
        self.rate, self.swing, self.phase = (
            rng.uniform(1, 6),
            rng.uniform(0.4, 4) * (3 if quilt else 1),
            rng.uniform(0, 6),
        )
        self.beaten = rng.uniform(2, 5) if quilt else 0.0

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        for piece, grey in enumerate(self.greys):
            swing = self.swing * (
                np.sin(self.rate * second + self.phase + piece / 2) + 0.4 * np.sin(2.7 * self.rate * second)
            )
            lift = self.swing * max(0.0, np.sin(2 * np.pi * self.beaten * second)) if self.beaten else 0.3 * swing
            x, y = self.at + (piece * (self.width + 2), 0)
            corners = [
                (x, y),
                (x + self.width, y),
                (x + self.width + swing, y + self.drop + lift),
                (x + swing, y + self.drop),
            ]
            stamp(canvas, np.array(corners), grey)


class Person:
    """At a window or on a balcony, arms moving."""

    def __init__(self, at: Setting) -> None:
        rng = self.rng = at.rng
        window = at.window()
        self.low, self.high, self.y = window[0, 0], window[1, 0] + 6, window[0, 1]
        self.x, self.pace, self.height = rng.uniform(self.low, self.high), rng.uniform(-14, 14), rng.uniform(4, 14)
        self.grey, self.skin, self.rate = at.grey(), at.grey(0.7), rng.uniform(0.5, 8)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        self.x += self.pace * step_s
        if not self.low < self.x < self.high or self.rng.random() < 0.5 * step_s:
            self.x, self.pace = float(np.clip(self.x, self.low, self.high)), self.rng.uniform(-14, 14)
        h, wave = self.height, np.sin(self.rate * second)
        stamp(canvas, ellipse(self.x, self.y - 0.5 * h, 0.22 * h, 0.5 * h), self.grey)
        stamp(canvas, ellipse(self.x, self.y - 1.1 * h, 0.15 * h, 0.17 * h), self.skin)
        hand = ellipse(
            self.x + 0.4 * h * wave, self.y - 0.6 * h - 0.3 * h * np.sin(1.3 * self.rate * second), 0.13 * h, 0.13 * h
        )
        stamp(canvas, hand, self.skin)


class Curtain:
    """A curtain, a blind or a sash that moves once, sideways or down."""

    def __init__(self, at: Setting) -> None:
        self.window, self.grey = at.window(), at.grey()
        self.from_s, self.lasts_s = at.rng.uniform(0, at.seconds), at.rng.uniform(0.1, 2)
        self.down = at.rng.random() < 0.5

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        share = float(np.clip((second - self.from_s) / self.lasts_s, 0, 1))
        if share <= 0:
            return
        outline = self.window.copy()
        if self.down:
            outline[:2] = outline[[3, 2]] + (outline[:2] - outline[[3, 2]]) * share
        else:
            outline[[1, 2]] = outline[[0, 3]] + (outline[[1, 2]] - outline[[0, 3]]) * share
        stamp(canvas, outline, self.grey)


class Lamp:
    """A room lit, a stairwell's timer, a television."""

    def __init__(self, at: Setting) -> None:
        self.rng, self.window, self.grey = at.rng, at.window(), at.rng.uniform(90, 250)
        self.from_s = at.rng.uniform(0, at.seconds)
        self.to_s = self.from_s + at.rng.uniform(0.5, 40)
        self.flickers = at.rng.random() < 0.4

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        if self.from_s < second < self.to_s:
            stamp(canvas, self.window, self.grey * (self.rng.uniform(0.45, 1) if self.flickers else 1))


class Car:
    """Along the bottom of the picture."""

    def __init__(self, at: Setting) -> None:
        rng = at.rng
        self.y, self.length, self.grey = rng.uniform(HEIGHT - 28, HEIGHT - 3), rng.uniform(10, 42), at.grey()
        self.pace, self.from_s = rng.uniform(40, 280) * rng.choice([-1, 1]), rng.uniform(-1, at.seconds)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        gone = self.pace * (second - self.from_s)
        x = -60 + gone if self.pace > 0 else WIDTH + 60 + gone
        if second > self.from_s and -90 < x < WIDTH + 90:
            stamp(canvas, box(x, self.y, 2 * self.length, 0.6 * self.length), self.grey, (self.pace * shutter_s, 0))
            stamp(canvas, box(x, self.y - 0.4 * self.length, self.length, 0.4 * self.length), self.grey * 0.7)


class Tree:
    """A crown at one side that tosses."""

    def __init__(self, at: Setting) -> None:
        rng, width = at.rng, 150
        self.x = int(rng.choice([0, WIDTH + 2 * MARGIN - width]))
        self.height = int(rng.uniform(50, 150))
        bark = rng.uniform(30, 90) + 35 * cloudy(rng, self.height, width, 4) + 15 * cloudy(rng, self.height, width, 1.6)
        self.texture = (bark * (0.3 if at.night else 1)).astype(np.float32)
        self.down, self.right = np.mgrid[: self.height, :width].astype(np.float32)
        round_ = ((self.right - width / 2) / (width / 2)) ** 2 + ((self.down - self.height) / self.height) ** 2
        self.mask = (round_ + 0.25 * cloudy(rng, self.height, width, 12) < 0.85).astype(np.float32)
        self.swing, self.rate = rng.uniform(0.4, 4), rng.uniform(1, 5)
        self.phase = (cloudy(rng, self.height, width, 25) * 1.5).astype(np.float32)
        self.looseness = (1 - self.down / self.height).astype(np.float32)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        toss = self.swing * np.sin(np.float32(self.rate * second) + self.phase) * self.looseness
        x, y = self.right + toss, self.down + 0.3 * toss
        leaves = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        mask = cv2.remap(self.mask, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        under = canvas[canvas.shape[0] - self.height :, self.x : self.x + self.mask.shape[1]]
        under += mask * (leaves - under)


class Plane:
    """Far away, straight and slow."""

    def __init__(self, at: Setting) -> None:
        rng = at.rng
        self.start, self.speed = (
            np.array([rng.uniform(0, WIDTH), rng.uniform(0, 130)]),
            np.array([rng.uniform(-45, 45), rng.uniform(-10, 25)]),
        )
        self.size, self.grey, self.blinks = rng.uniform(0.7, 2.5), at.grey(), at.night

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        if not self.blinks or int(second * 2.5) % 2:
            stamp(canvas, ellipse(*(self.start + self.speed * second), 1.5 * self.size, 0.6 * self.size), self.grey)


class Gondola:
    """A cleaning platform or an outside lift: down the wall at constant speed, with stops."""

    def __init__(self, at: Setting) -> None:
        rng = at.rng
        self.x, self.y, self.pace = (
            rng.uniform(50, WIDTH - 50),
            rng.uniform(-20, HEIGHT * 0.5),
            rng.choice([-1, 1], p=[0.2, 0.8]) * rng.uniform(8, 80),
        )
        self.width, self.height, self.grey = rng.uniform(4, 22), rng.uniform(3, 9), at.grey()
        self.stops = np.sort(rng.uniform(0, at.seconds, 4))

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        moving = np.searchsorted(self.stops, second) % 2 == 0
        # Starts and stops softly.
        near = min(1.0, abs(self.stops - second).min() / 0.6)
        self.y += self.pace * step_s * moving * near
        if self.y > HEIGHT + 20:
            self.y = -15.0
        for rope in (-0.4, 0.4):
            stamp(canvas, box(self.x + rope * self.width, self.y - 30, 0.6, 60), self.grey, cover=0.5)
        stamp(canvas, box(self.x, self.y, self.width, self.height), self.grey)


class Headlight:
    """Light of a passing car that sweeps over the wall at night, or a mirrored sun by day."""

    def __init__(self, at: Setting) -> None:
        rng = at.rng
        self.from_s, self.lasts_s = rng.uniform(0, at.seconds), rng.uniform(0.4, 3)
        self.start, self.end = rng.uniform((0, 0), (WIDTH, HEIGHT), (2, 2))
        self.size, self.grey = rng.uniform(6, 45), rng.uniform(150, 255)

    def draw(self, canvas: np.ndarray, second: float, step_s: float, shutter_s: float) -> None:
        share = (second - self.from_s) / self.lasts_s
        if 0 < share < 1:
            place = self.start + (self.end - self.start) * share
            stamp(canvas, ellipse(*place, self.size, 0.6 * self.size), self.grey, cover=0.35, soft=0.3 * self.size)


# Kind: (how to make one, how often it is in an ordinary clip, most of it there, most of it where it is the theme).
KINDS = {
    "bird": (Bird, 0.4, 3, 14),
    "diving_bird": (lambda at: Bird(at, "dive"), 0.15, 2, 9),
    "dropping_bird": (lambda at: Bird(at, "drop"), 0.1, 1, 6),
    "leaf": (Leaf, 0.3, 5, 22),
    "fast_leaf": (lambda at: Leaf(at, True), 0.12, 2, 12),
    "insect": (Insect, 0.25, 4, 25),
    "laundry": (Laundry, 0.4, 4, 9),
    "quilt": (lambda at: Laundry(at, True), 0.08, 1, 4),
    "person": (Person, 0.45, 4, 10),
    "curtain": (Curtain, 0.4, 4, 14),
    "lamp": (Lamp, 0.25, 4, 14),
    "car": (Car, 0.3, 4, 14),
    "tree": (Tree, 0.3, 2, 2),
    "plane": (Plane, 0.12, 1, 3),
    "headlight": (Headlight, 0.1, 2, 8),
    "flock": (Flock, 0.05, 1, 4),
    "bag": (Bag, 0.1, 2, 6),
    "gondola": (Gondola, 0.06, 1, 2),
}
# Unknown while thresholds are chosen; drips, snow and rain abound in themes of their own (`clip.py`).
HELD_OUT = {"flock", "bag", "gondola"}
