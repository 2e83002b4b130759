"""Task-aligned assignment and the loss: soft focal on the scores, generalised IoU on the boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

CANDIDATES = 9
BOX_WEIGHT = 2.5
REACH_MIN_PX = 6.0


def overlap(a: Tensor, b: Tensor, generalised: bool = False) -> Tensor:
    """IoU of boxes (left, top, right, bottom), broadcast; generalised for the loss."""
    size = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    shared = size[..., 0] * size[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    union = area_a + area_b - shared + 1e-7
    ratio = shared / union
    if not generalised:
        return ratio
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull_area = hull[..., 0] * hull[..., 1] + 1e-7
    return ratio - (hull_area - union) / hull_area


class Targets:
    """The boxes of a batch, padded to the largest count: `boxes` (n, m, 4) pixels, `labels` (n, m), `real` (n, m)."""

    def __init__(self, boxes: list[Tensor], labels: list[Tensor]) -> None:
        count, most = len(boxes), max(1, *(len(each) for each in boxes))
        self.boxes = torch.zeros(count, most, 4)
        self.labels = torch.zeros(count, most, dtype=torch.long)
        self.real = torch.zeros(count, most, dtype=torch.bool)
        for i, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            self.boxes[i, : len(box)], self.labels[i, : len(box)], self.real[i, : len(box)] = box, label, True


@torch.no_grad()
def assign(logits: Tensor, boxes: Tensor, targets: Targets, centres: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each place: is it responsible, for which label, with which soft score, for which box."""
    batch, count, _ = logits.shape
    most = targets.boxes.shape[1]
    wanted = targets.labels[:, None, :].expand(batch, count, most)
    score = logits.sigmoid().gather(2, wanted).transpose(1, 2)
    shared = overlap(targets.boxes[:, :, None], boxes[:, None]).clamp(0)
    middle = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    reach = ((targets.boxes[..., 2:] - targets.boxes[..., :2]) / 2).clamp(min=REACH_MIN_PX)
    away = centres[None, None] - middle[:, :, None]
    inside = (away.abs() < reach[:, :, None]).all(-1) & targets.real[..., None]
    fitness = (score.sqrt() * shared**4 + 1e-9 / (1 + (away**2).sum(-1))) * inside
    best, index = fitness.topk(CANDIDATES, -1)
    chosen = torch.zeros_like(fitness, dtype=torch.bool).scatter_(2, index, best > 0)
    owner = torch.where(chosen, fitness, -torch.ones_like(fitness)).argmax(1)
    responsible = chosen.any(1)
    kept = functional.one_hot(owner, most).transpose(1, 2).bool() & chosen
    fitness = fitness * kept
    strongest = fitness.amax(2, keepdim=True)
    reachable = (shared * kept).amax(2, keepdim=True).clamp(min=0.1)
    soft = (fitness / (strongest + 1e-12) * reachable).amax(1) * responsible
    return (
        responsible,
        targets.labels.gather(1, owner),
        soft,
        targets.boxes.gather(1, owner[..., None].expand(batch, count, 4)),
    )


def loss(output: Tensor, targets: Targets, centres: Tensor, classes: int) -> tuple[Tensor, float, float]:
    """The total, and its score and box parts for the log."""
    output = output.float()
    logits, distances = output[..., :classes], output[..., classes:]
    boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)
    responsible, labels, soft, matched = assign(logits, boxes, targets, centres)
    wanted = torch.zeros_like(logits).scatter_(2, labels[..., None], soft[..., None])
    weight = torch.where(wanted > 0, torch.ones_like(wanted), 0.75 * logits.detach().sigmoid() ** 1.5)
    norm = wanted.sum().clamp(min=1)
    score_part = (functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none") * weight).sum() / norm
    box_part = ((1 - overlap(boxes[responsible], matched[responsible], True)) * soft[responsible]).sum() / norm
    return score_part + BOX_WEIGHT * box_part, float(score_part.detach()), float(box_part.detach())
