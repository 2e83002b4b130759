"""A small anchor-free detector of plain convolutions: backbone, two-way pyramid, one head for each of three strides."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

STRIDES = (8, 16, 32)
WIDTHS = (24, 48, 96, 144)  # at strides 4, 8, 16, 32
DEPTHS = (1, 2, 2, 1)
PYRAMID = 48
PAD_LEVEL = 114 / 255


class Block(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, padding: int | None = None
    ) -> None:
        super().__init__(
            nn.Conv2d(
                inputs, outputs, kernel, stride, kernel // 2 if padding is None else padding, groups=groups, bias=False
            ),
            nn.BatchNorm2d(outputs, momentum=0.03, eps=1e-3),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow = Block(channels, channels // 2, 1)
        self.wide = Block(channels // 2, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.wide(self.narrow(x))


class Network(nn.Module):
    """Pictures (n, 3, height, width) in 0 … 1 to (n, places, classes + 4): logits, then distances to the four sides."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        stages, inputs = [], 3
        for width, depth in zip(WIDTHS, DEPTHS, strict=True):
            # The first step goes to a quarter at once: nearly half of the training time was spent at half size.
            enter = Block(3, width, 6, 4, padding=1) if inputs == 3 else Block(inputs, width, 3, 2)
            stages.append(nn.Sequential(enter, *(Residual(width) for _ in range(depth))))
            inputs = width
        self.stages = nn.ModuleList(stages)
        deep = WIDTHS[3]
        self.context = nn.Sequential(
            Block(deep, deep // 2, 1), Block(deep // 2, deep // 2, 5, groups=deep // 2), Block(deep // 2, PYRAMID, 1)
        )
        self.lateral_middle, self.lateral_fine = Block(WIDTHS[2], PYRAMID, 1), Block(WIDTHS[1], PYRAMID, 1)
        self.merge_middle, self.merge_fine = Residual(PYRAMID), Residual(PYRAMID)
        self.down_middle, self.down_coarse = Block(PYRAMID, PYRAMID, 3, 2), Block(PYRAMID, PYRAMID, 3, 2)
        self.heads = nn.ModuleList([Block(PYRAMID, PYRAMID) for _ in STRIDES])
        self.scores = nn.ModuleList([nn.Conv2d(PYRAMID, classes, 1) for _ in STRIDES])
        self.distances = nn.ModuleList([nn.Conv2d(PYRAMID, 4, 1) for _ in STRIDES])
        for layer in self.scores:
            nn.init.constant_(layer.bias, -4.6)
        for layer in self.distances:
            nn.init.constant_(layer.bias, 0.7)

    def forward(self, x: Tensor) -> Tensor:
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        coarse = self.context(levels[3])
        middle = self.merge_middle(self.lateral_middle(levels[2]) + functional.interpolate(coarse, scale_factor=2.0))
        fine = self.merge_fine(self.lateral_fine(levels[1]) + functional.interpolate(middle, scale_factor=2.0))
        middle = middle + self.down_middle(fine)
        coarse = coarse + self.down_coarse(middle)
        found = []
        for i, level in enumerate((fine, middle, coarse)):
            features = self.heads[i](level)
            distances = functional.softplus(self.distances[i](features)) * STRIDES[i]
            found.append(torch.cat([self.scores[i](features), distances], 1).flatten(2))
        return torch.cat(found, 2).transpose(1, 2)


class Exported(nn.Module):
    """The network in the output layout of YOLOv8: (1, 4 + classes, places), centre and size in pixels, scores.

    `halved` looks at the picture at half size, as a network that was trained on half-size pictures should: the mean of
    2 x 2 pixels, padded with grey to whole steps of the coarsest stride.
    """

    def __init__(self, network: Network, height: int, width: int, halved: bool) -> None:
        super().__init__()
        self.network, self.factor = network, 2 if halved else 1
        step = STRIDES[-1]
        inner = (height // self.factor, width // self.factor)
        down, across = (-inner[0] % step, -inner[1] % step)
        self.margin = (across // 2, across - across // 2, down // 2, down - down // 2)
        centres, _ = places(inner[0] + down, inner[1] + across)
        self.register_buffer("centres", centres - torch.tensor([float(self.margin[0]), float(self.margin[2])]))

    def forward(self, images: Tensor) -> Tensor:
        if self.factor > 1:
            images = functional.avg_pool2d(images, self.factor)
        if any(self.margin):
            images = functional.pad(images, self.margin, value=PAD_LEVEL)
        raw = self.network(images)
        scores, distances = raw[..., : self.network.classes].sigmoid(), raw[..., self.network.classes :]
        left_top, right_bottom = self.centres - distances[..., :2], self.centres + distances[..., 2:]
        boxes = torch.cat([(left_top + right_bottom) / 2, right_bottom - left_top], -1) * self.factor
        return torch.cat([boxes, scores], -1).transpose(1, 2)


def places(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The centre of each output place in pixels, and its stride."""
    centres, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(torch.arange(height // stride), torch.arange(width // stride), indexing="ij")
        level = (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * stride
        centres.append(level)
        strides.append(torch.full((len(level),), float(stride)))
    return torch.cat(centres), torch.cat(strides)
