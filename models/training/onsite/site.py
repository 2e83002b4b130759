"""What `gridwatch adapt` wrote about a camera: pictures of the empty place, boxes without pixels, where things move."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

FORMAT = "gridwatch-site/1"
WIDTH = 512  # of composites; their height follows the background's


@dataclass(frozen=True)
class Background:
    """A median picture (RGB, `WIDTH` wide), its light, and the noise of single pictures in grey levels."""

    picture: np.ndarray
    light: str
    noise: float
    file: str


@dataclass(frozen=True)
class Site:
    """One camera's place.

    `seen` rows: left, top, right, bottom in ratios, of persons (`person_seen`) and cars (`car_seen`) in sampled
    pictures. `moving`: share of the pictures in which a cell differed from the background, rows from the top.
    `ground`: polygons (n, 2) that lie on the ground, in ratios.
    """

    camera: str
    backgrounds: list[Background]
    person_seen: np.ndarray
    car_seen: np.ndarray
    moving: np.ndarray
    ground: list[np.ndarray]
    facts: dict

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the backgrounds in pixels."""
        return self.backgrounds[0].picture.shape[:2]


def read(folder: Path) -> Site:
    """Raises ValueError if the folder holds no site, or none with a background."""
    facts = json.loads((folder / "site.json").read_text())
    if facts.get("format") != FORMAT:
        raise ValueError(f"{folder / 'site.json'}: format {facts.get('format')!r}, expected {FORMAT!r}")
    backgrounds = []
    for each in facts["backgrounds"]:
        picture = cv2.imread(str(folder / each["file"]), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"{folder / each['file']} is no picture")
        height = round(picture.shape[0] * WIDTH / picture.shape[1] / 2) * 2
        scaled = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)[..., ::-1]
        backgrounds.append(Background(np.ascontiguousarray(scaled), each["light"], float(each["noise"]), each["file"]))
    if not backgrounds:
        raise ValueError(f"{folder / 'site.json'} names no background")
    shape = backgrounds[0].picture.shape
    if any(each.picture.shape != shape for each in backgrounds):
        raise ValueError(f"{folder / 'site.json'}: backgrounds of different shapes")

    def seen(name: str) -> np.ndarray:
        rows = [each["box"] for each in facts["seen"] if each["class"] == name]
        return np.array(rows, float).reshape(-1, 4)

    ground = [np.array(zone["polygon"], float) for zone in facts["zones"] if zone["on_ground"]]
    return Site(
        facts["camera"], backgrounds, seen("person"), seen("car"), np.array(facts["moving"], float), ground, facts
    )
