"""Shards of rendered pictures, and what is done to a picture before the network sees it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

PAD = 114


class Shards:
    """All pictures of a folder, kept as JPEG in memory; `refresh` takes in shards that were finished since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[Path] = set()
        self._pictures: list[tuple[bytes, np.ndarray]] = []
        self.refresh()

    def refresh(self) -> None:
        for path in sorted(self._folder.glob("shard_*.npz")):
            if path in self._seen or ".part" in path.name:
                continue
            self._seen.add(path)
            with np.load(path) as shard:
                data, ends, boxes = shard["jpeg"].tobytes(), shard["ends"], shard["boxes"]
            starts = np.concatenate([[0], ends[:-1]])
            for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
                self._pictures.append((data[start:end], boxes[boxes[:, 0] == i, 1:]))

    def __len__(self) -> int:
        return len(self._pictures)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.read(index)

    def read(self, index: int, halved: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """An RGB picture, and its boxes (label, left, top, right, bottom) in pixels; `halved` decodes half the size."""
        data, boxes = self._pictures[index]
        mode = cv2.IMREAD_REDUCED_COLOR_2 if halved else cv2.IMREAD_COLOR
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode)[..., ::-1]
        height, width = picture.shape[:2]
        return picture, boxes * np.array([1, width, height, width, height], np.float32)


def letterbox(picture: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float, float, float]:
    """Scaled to fit and centred on grey; also the scale and the offsets (x, y) that undo it."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inner = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas = np.full((height, width, 3), PAD, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture, inner, interpolation=method)
    return canvas, scale, left, top


def augmented(
    picture: np.ndarray, boxes: np.ndarray, height: int, width: int, base_scale: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random crop at about `base_scale`, perhaps mirrored, recoloured: picture (floats 0 … 255), boxes, labels."""
    zoom = base_scale * (float(np.exp(rng.uniform(np.log(0.7), np.log(1.7)))) if rng.random() < 0.75 else 1.0)
    stretch = float(np.exp(rng.normal(0, 0.06)))
    scale_x, scale_y = zoom * stretch, zoom / stretch
    inner_w, inner_h = picture.shape[1] * scale_x, picture.shape[0] * scale_y
    shift_x = rng.uniform(min(0, width - inner_w), max(0, width - inner_w))
    shift_y = rng.uniform(min(0, height - inner_h), max(0, height - inner_h))
    mirrored = rng.random() < 0.5
    matrix = np.array(
        [[-scale_x if mirrored else scale_x, 0, width - shift_x if mirrored else shift_x], [0, scale_y, shift_y]],
        np.float32,
    )
    if zoom < 0.75:
        picture = cv2.GaussianBlur(picture, (0, 0), 0.35 / zoom)
    image = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(PAD,) * 3)
    x = boxes[:, [1, 3]] * scale_x + shift_x
    y = boxes[:, [2, 4]] * scale_y + shift_y
    if mirrored:
        x = width - x[:, ::-1]
    before = (x[:, 1] - x[:, 0]) * (y[:, 1] - y[:, 0])
    x, y = x.clip(0, width), y.clip(0, height)
    across, down = x[:, 1] - x[:, 0], y[:, 1] - y[:, 0]
    kept = (across > 4) & (down > 4) & (across * down > 0.25 * before)
    return (
        _recoloured(image.astype(np.float32), rng),
        np.stack([x[kept, 0], y[kept, 0], x[kept, 1], y[kept, 1]], 1),
        boxes[kept, 0],
    )


def _recoloured(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    dice = rng.random()
    if dice < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    elif dice < 0.5:
        grey = image.mean(2, keepdims=True)
        image = (grey + (image - grey) * rng.uniform(0.3, 1.6)) * (1 + rng.normal(0, 0.06, 3)).astype(np.float32)
    if rng.random() < 0.5:
        mean = image.mean()
        image = (image - mean) * np.float32(rng.uniform(0.65, 1.4)) + mean * np.float32(rng.uniform(0.6, 1.3))
    if rng.random() < 0.12:
        image = image[..., rng.permutation(3)]
    if rng.random() < 0.15:
        image = image + rng.standard_normal((*image.shape[:2], 1), dtype=np.float32) * np.float32(rng.uniform(2, 12))
    if rng.random() < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.1))
    return np.clip(image, 0, 255)
