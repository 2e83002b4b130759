"""Ways through a clip: `Path` made quick for actors that rest for minutes, and the ways that stories are made of."""

from __future__ import annotations

import numpy as np

from world.figure import Pose, person
from world.mesh import Frame
from world.scene import Scene

from .path import Path
from .story import Actor

OUT_OF_VIEW_M = 44.0


class Route(Path):
    """A `Path` whose direction and gait cost nothing while it rests."""

    def __init__(self, *places: tuple[float, float, float], yaw: float | None = None, z: float = 0.0) -> None:
        super().__init__(*places, yaw=yaw, z=z)
        times = np.arange(self._times[0], self._times[-1] + 0.1, 0.1)
        self._gone_times = times
        points = np.array([Path.point(self, t) for t in times[:: max(1, len(times) // 600)]])
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        self._gone = np.concatenate([[0.0], np.cumsum(steps)])
        self._gone_times = times[:: max(1, len(times) // 600)]

    def yaw(self, second: float) -> float:
        if self._yaw is not None:
            return self._yaw
        second = float(np.clip(second, self._times[0] + 0.1, self._times[-1] - 0.1))
        i = int(np.clip(np.searchsorted(self._times, second, side="right") - 1, 0, len(self._times) - 2))
        while i > 0 and np.linalg.norm(self._points[i + 1] - self._points[i]) < 0.02:
            second, i = float(self._times[i]) - 0.02, i - 1
        return super().yaw(second)

    def walked(self, second: float) -> float:
        return float(np.interp(second, self._gone_times, self._gone))


def drive_in(start: float, end: float, x: float, y: float, road_y: float, side: int, manoeuvres: bool = False) -> Route:
    """Comes from one side, stands at (x, y) from `start` to `end`, leaves on the other; perhaps shuffles meanwhile."""
    middle: list[tuple[float, float, float]] = []
    if manoeuvres:
        third = (end - start) / 3
        for i, off in enumerate((0.9, -0.5)):
            moment = start + third * (i + 1)
            before = x if i == 0 else x + side * 0.9
            middle += [(moment - 2.5, before, y), (moment, x + side * off, y)]
        x_end = x - side * 0.5
    else:
        x_end = x
    return Route(
        (start - 8, side * OUT_OF_VIEW_M, road_y),
        (start - 3.2, x + side * 10, road_y + (y - road_y) * 0.2),
        (start, x, y),
        *middle,
        (end, x_end, y),
        (end + 3.2, x_end - side * 10, road_y + (y - road_y) * 0.2),
        (end + 8, -side * OUT_OF_VIEW_M, road_y),
    )


def pass_by(start: float, y: float, side: int, speed: float, drift: float = 0.0) -> Route:
    """Straight through the picture."""
    seconds = 2 * OUT_OF_VIEW_M / speed
    return Route((start, side * OUT_OF_VIEW_M, y), (start + seconds, -side * OUT_OF_VIEW_M, y + drift))


def walk_to(
    start: float, end: float, x: float, y: float, from_side: int, to_side: int, z: float, y_far: float
) -> Route:
    """Walks in, stands at (x, y) from `start` to `end`, walks on."""
    pace = 1.25
    far = 26.0
    before, after = abs(from_side * far - x) / pace, abs(to_side * far - x) / pace
    return Route(
        (start - before, from_side * far, y_far),
        (start - 2, x + from_side * 2.2, y + (y_far - y) * 0.3),
        (start, x, y),
        (end, x, y),
        (end + 2, x + to_side * 2.2, y + (y_far - y) * 0.3),
        (end + after, to_side * far, y_far),
        z=z,
    )


def standing(
    seed: int, x: float, y: float, yaw: float, z: float, start: float, end: float, pose: Pose = "stand"
) -> Actor:
    """A person who is there from `start` to `end` and shifts from foot to foot."""

    def build(scene: Scene, second: float) -> None:
        if start <= second <= end:
            sway = 0.06 * np.sin(second * 0.21 + seed)
            person(scene, Frame.at(x + sway, y, yaw + 0.5 * np.sin(second * 0.09 + seed * 1.7), z), pose, 1.6)

    return Actor(seed, build)
