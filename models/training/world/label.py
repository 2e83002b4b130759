"""The detector's classes, and boxes read from the id buffer."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Label(IntEnum):
    """The order is the model's output order.

    A stall is a surface from which something is sold, with goods on it: a table, a cloth on legs, a cart, with or
    without a canopy. A tricycle carries a load bed; one that has been fitted with a selling surface and canopy is a
    stall. An umbrella is boxed apart from the stall below it.
    """

    PERSON = 0
    CAR = 1
    TRUCK = 2
    MOTORCYCLE = 3
    TRICYCLE = 4
    STALL = 5
    UMBRELLA = 6
    BOX = 7


NAMES = tuple(label.name.lower() for label in Label)


def boxes_from_ids(
    owners: np.ndarray, labels: list[Label | None], pixels_min: int = 30, side_min: int = 5
) -> np.ndarray:
    """Rows of (label, left, top, right, bottom) in ratios of the picture, for what is visible enough to be learned.

    `owners` holds 1 + index into `labels`, 0 for scenery. Thin leftovers of hidden objects are left out.
    """
    height, width = owners.shape
    count = len(labels) + 1
    rows, columns = np.nonzero(owners)
    owner = owners[rows, columns]
    left, top = np.full(count, width), np.full(count, height)
    right, bottom = np.full(count, -1), np.full(count, -1)
    np.minimum.at(left, owner, columns)
    np.maximum.at(right, owner, columns)
    np.minimum.at(top, owner, rows)
    np.maximum.at(bottom, owner, rows)
    pixels = np.bincount(owner, minlength=count)
    found = []
    for number in range(1, count):
        across, down = right[number] - left[number] + 1, bottom[number] - top[number] + 1
        if labels[number - 1] is None or pixels[number] < pixels_min or min(across, down) < side_min:
            continue
        if pixels[number] < 0.12 * across * down:
            continue
        found.append(
            (
                int(labels[number - 1]),
                left[number] / width,
                top[number] / height,
                (right[number] + 1) / width,
                (bottom[number] + 1) / height,
            )
        )
    return np.array(found, np.float32).reshape(-1, 5)
