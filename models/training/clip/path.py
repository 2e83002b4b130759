"""Where an actor is at a time: smooth motion through timed places."""

from __future__ import annotations

import numpy as np

from world.mesh import Frame


class Path:
    """Places (seconds, x, y); cubic between them, at rest wherever the same place is named twice in a row.

    The actor exists from the first to the last time only; both must lie out of view.
    """

    def __init__(self, *places: tuple[float, float, float], yaw: float | None = None, z: float = 0.0) -> None:
        table = np.array(places, float)
        self._times, self._points = table[:, 0], table[:, 1:]
        self._slopes = _slopes(self._times, self._points)
        self._yaw, self._z = yaw, z

    def alive(self, second: float) -> bool:
        return bool(self._times[0] <= second <= self._times[-1])

    def point(self, second: float) -> np.ndarray:
        second = float(np.clip(second, self._times[0], self._times[-1]))
        i = int(np.clip(np.searchsorted(self._times, second, side="right") - 1, 0, len(self._times) - 2))
        span = self._times[i + 1] - self._times[i]
        u = (second - self._times[i]) / span
        start, end = self._points[i], self._points[i + 1]
        return (
            (2 * u**3 - 3 * u**2 + 1) * start
            + (u**3 - 2 * u**2 + u) * span * self._slopes[i]
            + (3 * u**2 - 2 * u**3) * end
            + (u**3 - u**2) * span * self._slopes[i + 1]
        )

    def speed(self, second: float) -> float:
        return float(np.linalg.norm(self.point(second + 0.05) - self.point(second - 0.05)) / 0.1)

    def yaw(self, second: float) -> float:
        """The direction of travel; while at rest, the one that it came with."""
        if self._yaw is not None:
            return self._yaw
        for back in np.arange(0, second - self._times[0] + 0.1, 0.05):
            step = self.point(second - back + 0.04) - self.point(second - back - 0.04)
            if np.linalg.norm(step) > 0.004:
                return float(np.arctan2(step[1], step[0]))
        step = self.point(self._times[0] + 0.5) - self.point(self._times[0])
        return float(np.arctan2(step[1], step[0]))

    def walked(self, second: float) -> float:
        """Metres from the start, for the phase of a gait."""
        times = np.arange(self._times[0], second, 0.1)
        if len(times) < 2:
            return 0.0
        points = np.array([self.point(t) for t in times])
        return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())

    def frame(self, second: float) -> Frame:
        x, y = self.point(second)
        return Frame.at(float(x), float(y), self.yaw(second), self._z)


def _slopes(times: np.ndarray, points: np.ndarray) -> np.ndarray:
    rates = np.diff(points, axis=0) / np.diff(times)[:, None]
    slopes = np.zeros_like(points)
    slopes[0], slopes[-1] = rates[0], rates[-1]
    for i in range(1, len(points) - 1):
        at_rest = np.linalg.norm(rates[i - 1]) < 0.02 or np.linalg.norm(rates[i]) < 0.02
        slopes[i] = 0 if at_rest else (rates[i - 1] + rates[i]) / 2
    return slopes
