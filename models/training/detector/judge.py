"""How good are boxes: suppression, matching, average precision at IoU 0.5."""

from __future__ import annotations

import numpy as np

Found = np.ndarray  # rows of left, top, right, bottom, score, label
Truth = np.ndarray  # rows of left, top, right, bottom, label


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of each box of `a` with each of `b`."""
    size = (np.minimum(a[:, None, 2:4], b[None, :, 2:4]) - np.maximum(a[:, None, :2], b[None, :, :2])).clip(0)
    shared = size[..., 0] * size[..., 1]
    area_a = ((a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1]))[:, None]
    area_b = ((b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]))[None]
    return shared / (area_a + area_b - shared + 1e-9)


def suppressed(found: Found, threshold: float = 0.6) -> Found:
    """Greedy suppression within each label."""
    shifted = found.copy()
    shifted[:, :4] += found[:, 5:6] * 4096
    order, kept = np.argsort(-found[:, 4]), []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        order = order[overlaps(shifted[first : first + 1], shifted[order])[0] < threshold]
    return found[kept]


def decode(output: np.ndarray, score_min: float) -> Found:
    """One picture's output (4 + classes, places) to suppressed boxes in model-input pixels."""
    scores, labels = output[4:].max(0), output[4:].argmax(0)
    kept = np.nonzero(scores > score_min)[0]
    kept = kept[np.argsort(-scores[kept])][:600]
    centre, half = output[:2, kept].T, output[2:4, kept].T / 2
    found = np.concatenate([centre - half, centre + half, scores[kept, None], labels[kept, None]], 1)
    return suppressed(found)


def average_precision(found: list[Found], truth: list[Truth], label: int, side_min: float = 0.0) -> tuple[float, int]:
    """AP at IoU 0.5 (101 points) of one label, and how many boxes. Truth shorter than `side_min` counts neither way."""
    scores, hits, wanted = [], [], 0
    for boxes, real in zip(found, truth, strict=True):
        mine, theirs = boxes[boxes[:, 5] == label], real[real[:, 4] == label]
        small = np.maximum(theirs[:, 2] - theirs[:, 0], theirs[:, 3] - theirs[:, 1]) < side_min
        wanted += int((~small).sum())
        taken = np.zeros(len(theirs), bool)
        shared = overlaps(mine, theirs)
        for i in np.argsort(-mine[:, 4]):
            open_places = np.where(~taken & (shared[i] >= 0.5))[0]
            if len(open_places):
                best = open_places[shared[i][open_places].argmax()]
                taken[best] = True
                if small[best]:
                    continue
                hits.append(1)
            else:
                hits.append(0)
            scores.append(mine[i, 4])
    if not wanted:
        return float("nan"), 0
    hit = np.cumsum(np.array(hits)[np.argsort(-np.array(scores))]) if scores else np.zeros(1)
    recall, precision = hit / wanted, hit / np.arange(1, len(hit) + 1)
    ceiling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(
        np.mean([ceiling[recall >= r].max() if (recall >= r).any() else 0.0 for r in np.linspace(0, 1, 101)])
    ), wanted
