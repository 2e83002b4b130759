"""A pinhole camera: where it stands, what it looks at, and the matrices that follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEAR_M, FAR_M = 0.3, 260.0


@dataclass(frozen=True)
class Camera:
    """`view_rad` is the horizontal field of view."""

    eye: np.ndarray
    forward: np.ndarray
    view_rad: float
    roll: float = 0.0

    @staticmethod
    def looking_at(
        eye: tuple[float, float, float], target: tuple[float, float, float], view_deg: float, roll: float = 0.0
    ) -> Camera:
        start = np.array(eye, float)
        return Camera(start, np.array(target, float) - start, float(np.deg2rad(view_deg)), roll)

    def clip_from_world(self, aspect: float) -> np.ndarray:
        return perspective(self.view_rad, aspect) @ view_matrix(self.eye, self.forward, self.roll)

    def ratio_of(self, points: np.ndarray, aspect: float) -> np.ndarray:
        """World points (n, 3) as ratios of the picture, x to the right and y down."""
        homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1) @ self.clip_from_world(aspect).T
        flat = homogeneous[:, :2] / homogeneous[:, 3:4]
        return np.stack([flat[:, 0] / 2 + 0.5, 0.5 - flat[:, 1] / 2], 1)


def view_matrix(eye: np.ndarray, forward: np.ndarray, roll: float = 0.0, up: tuple = (0.0, 0.0, 1.0)) -> np.ndarray:
    ahead = forward / np.linalg.norm(forward)
    side = np.cross(ahead, up)
    side /= np.linalg.norm(side)
    above = np.cross(side, ahead)
    cosine, sine = np.cos(roll), np.sin(roll)
    side, above = side * cosine + above * sine, above * cosine - side * sine
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([side, above, -ahead])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def perspective(view_rad: float, aspect: float) -> np.ndarray:
    focal = 1 / np.tan(view_rad / 2)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1] = focal, focal * aspect
    matrix[2, 2] = (FAR_M + NEAR_M) / (NEAR_M - FAR_M)
    matrix[2, 3] = 2 * FAR_M * NEAR_M / (NEAR_M - FAR_M)
    matrix[3, 2] = -1
    return matrix
