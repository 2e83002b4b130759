"""A scene under construction: a mesh, who owns which part of it, and the dice."""

from __future__ import annotations

import numpy as np

from .label import Label
from .mesh import Mesh


class Scene:
    """`rng` decides every look; `night` lets things that have lamps switch them on.

    `varied` asks for the wider range of looks; without it the demo's films keep theirs, die for die.
    """

    def __init__(self, rng: np.random.Generator, night: bool = False, varied: bool = False) -> None:
        self.rng = rng
        self.night = night
        self.varied = varied
        self.mesh = Mesh()
        self.labels: list[Label | None] = []

    def own(self, label: Label | None) -> int:
        """The owner number of a new object; without a label it has an owner, but no box of any class."""
        self.labels.append(label)
        return len(self.labels)

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def colour(self, low: float = 0.03, high: float = 0.95) -> np.ndarray:
        """Half of the world is some grey, the other half is painted."""
        if self.chance(0.45):
            return np.clip(self.between(low, high) + self.rng.normal(0, 0.03, 3), 0.02, 0.98)
        return np.clip(self.rng.uniform(low, high, 3), 0.02, 0.98)

    def bright(self) -> np.ndarray:
        """A saturated colour: sunshades, awnings, fruit."""
        hue = self.rng.random()
        wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        return np.clip(wheel * self.between(0.5, 0.85) + self.between(0.03, 0.15), 0.02, 0.95)

    def cardboard(self) -> np.ndarray:
        return np.clip(np.array([0.60, 0.44, 0.27]) * self.between(0.7, 1.25) + self.rng.normal(0, 0.02, 3), 0.02, 0.98)
