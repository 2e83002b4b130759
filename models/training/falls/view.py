"""A camera on the ground that looks up a façade: metres on and before the wall to pixels; what an operator draws."""

from __future__ import annotations

import math

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 360
MARGIN = 20  # pixels painted around the picture, for a camera that shakes


class View:
    """Pinhole with a little barrel distortion. Wall coordinates: metres along, above ground, out of the wall."""

    def __init__(self, rng: np.random.Generator) -> None:
        while True:
            self.distance = rng.uniform(18, 75)
            self.eye_m = rng.uniform(1.5, 8)
            self.yaw = math.radians(rng.uniform(-28, 28))
            self.pitch = math.radians(rng.uniform(12, 44))
            self.focal = HEIGHT / 2 / math.tan(math.radians(rng.uniform(24, 60)) / 2)
            self.wall_height = rng.uniform(30, 105)
            self.wall_width = rng.uniform(28, 95)
            self.middle = rng.uniform(-0.22, 0.22) * self.wall_width
            self.bend = rng.uniform(-0.09, 0.0) if rng.random() < 0.7 else 0.0
            seen = self._heights_seen()
            if seen[1] - seen[0] > 15 and seen[0] < 0.75 * self.wall_height:
                return

    def _heights_seen(self) -> tuple[float, float]:
        def at(line: float) -> float:
            angle = self.pitch + math.atan((HEIGHT / 2 - line) / self.focal)
            return self.eye_m + self.distance * math.tan(angle) if angle < 1.4 else 1000.0

        return max(0.0, at(HEIGHT - 8)), min(self.wall_height, at(12))

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (n, 2) and pixels per metre (n) of points (n, 3)."""
        along, above, out = np.asarray(points, float).reshape(-1, 3).T
        right = along * math.cos(self.yaw) + out * math.sin(self.yaw)
        ahead = self.distance + along * math.sin(self.yaw) - out * math.cos(self.yaw)
        up = above - self.eye_m
        depth = np.maximum(up * math.sin(self.pitch) + ahead * math.cos(self.pitch), 0.5)
        rise = up * math.cos(self.pitch) - ahead * math.sin(self.pitch)
        flat = np.stack([self.focal * right / depth, -self.focal * rise / depth], 1)
        return self.bent(flat) + (WIDTH / 2, HEIGHT / 2), self.focal / depth

    def bent(self, flat: np.ndarray) -> np.ndarray:
        """Barrel distortion of pixels about the middle."""
        radius = (flat**2).sum(-1, keepdims=True) / (WIDTH / 2) ** 2
        return flat * (1 + self.bend * np.minimum(radius, 1.6))

    def unbent_grid(self) -> tuple[np.ndarray, np.ndarray]:
        """For every painted pixel, where it lies on the canvas without distortion (for `cv2.remap`)."""
        y, x = np.mgrid[-MARGIN : HEIGHT + MARGIN, -MARGIN : WIDTH + MARGIN].astype(np.float64)
        wanted = np.stack([x - WIDTH / 2, y - HEIGHT / 2], -1)
        flat = wanted.copy()
        for _ in range(4):
            flat = wanted / (self.bent(flat) / np.where(flat == 0, 1, flat)).clip(0.5, 2)
        flat = flat + (WIDTH / 2 + MARGIN, HEIGHT / 2 + MARGIN)
        return flat[..., 0].astype(np.float32), flat[..., 1].astype(np.float32)

    def corners(self, bottom: float, top: float, left: float, right: float) -> np.ndarray:
        """Bottom left, bottom right, top right, top left of a rectangle on the wall, in pixels."""
        return self.project([(left, bottom, 0), (right, bottom, 0), (right, top, 0), (left, top, 0)])[0]

    def edges(self) -> tuple[float, float]:
        """Left and right end of the wall in metres along."""
        return self.middle - self.wall_width / 2, self.middle + self.wall_width / 2

    def zone(self, rng: np.random.Generator, floor_m: float) -> dict | None:
        """Polygon and calibration as an operator draws them, a little wrong; `None` if too little wall is in view."""
        left, right = self.edges()
        outline = [(a, h, 0) for h in np.linspace(max(2.5, 0.1), self.wall_height, 30) for a in (left, right)]
        outline += [(a, h, 0) for a in np.linspace(left, right, 20) for h in (2.5, self.wall_height)]
        hull = cv2.convexHull(self.project(outline)[0].astype(np.float32))
        frame = np.float32([[1, 1], [WIDTH - 1, 1], [WIDTH - 1, HEIGHT - 1], [1, HEIGHT - 1]])
        area, polygon = cv2.intersectConvexConvex(hull, frame)
        if area < 0.2 * WIDTH * HEIGHT:
            return None
        polygon = cv2.approxPolyDP(polygon, 2.0, True)[:, 0]
        best = None
        for _ in range(400):  # the largest rectangle of whole floors that is in view
            floors = np.sort(rng.integers(1, max(2, int(self.wall_height / floor_m)) + 1, 2)) * floor_m
            sides = np.sort(rng.uniform(left, right, 2))
            if floors[1] - floors[0] < 2 * floor_m or sides[1] - sides[0] < 4:
                continue
            corners = self.corners(floors[0], min(floors[1], self.wall_height), sides[0], sides[1])
            inside = (corners > 2).all() and (corners[:, 0] < WIDTH - 2).all() and (corners[:, 1] < HEIGHT - 2).all()
            if inside:
                size = cv2.contourArea(corners.astype(np.float32))
                if best is None or size > best[0]:
                    best = (size, corners, floors, sides)
        if best is None or best[0] < 0.06 * WIDTH * HEIGHT:
            return None
        _, corners, floors, sides = best
        drawn = np.clip(corners + rng.normal(0, 0.8, (4, 2)), 1, (WIDTH - 1, HEIGHT - 1)) / (WIDTH, HEIGHT)
        return {
            "polygon": (polygon / (WIDTH, HEIGHT)).clip(0, 1).round(4).tolist(),
            "facade": {
                "corners": drawn.round(4).tolist(),
                "bottom_m": round(float(floors[0] * rng.uniform(0.98, 1.02)), 2),
                "top_m": round(float(floors[1] * rng.uniform(0.98, 1.02)), 2),
                "width_m": round(float((sides[1] - sides[0]) * rng.uniform(0.96, 1.04)), 2),
                "floor_m": round(floor_m, 2),
            },
        }
