"""A small network that marks falling things in five pictures: heat, offset and speed at a quarter of the size."""

from __future__ import annotations

import torch
from torch import nn

INPUTS, OUTPUTS = 6, 5


def _layer(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    padding = 1 if kernel > 1 else 0
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Network(nn.Module):
    """(n, 6, h, w) to (n, 5, h/4, w/4): heat as a logit, dx and dy in cells, vx and vy in eighths of pixels a picture.

    Channels are multiples of 16, which processors like; an eighth-size branch sees the surroundings.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_layer(INPUTS, 16, 4, 2), _layer(16, 32, 3, 2))
        self.near = nn.Sequential(_layer(32, 32), _layer(32, 32))
        back = (nn.Conv2d(48, 32, 1), nn.Upsample(scale_factor=2))
        self.far = nn.Sequential(_layer(32, 48, 3, 2), _layer(48, 48), *back)
        self.answer = nn.Sequential(_layer(32, 32), _layer(32, 32), nn.Conv2d(32, OUTPUTS, 1))
        last = self.answer[-1]
        nn.init.zeros_(last.bias)
        last.bias.data[0] = -4.0  # nearly all cells are empty

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        near = self.near(self.stem(pictures))
        return self.answer(near + self.far(near))


def loss(
    answer: torch.Tensor, heat: torch.Tensor, weight: torch.Tensor, regression: torch.Tensor, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Focal loss of the heat (CenterNet, arXiv 1904.07850) and L1 of offset and speed, per thing."""
    chance = torch.sigmoid(answer[:, 0]).clamp(1e-4, 1 - 1e-4)
    there = (heat > 0.99).float()
    found = -(torch.log(chance) * (1 - chance) ** 2 * there * weight).sum()
    false = -(torch.log(1 - chance) * chance**2 * (1 - heat) ** 4 * (1 - there) * weight).sum()
    off = ((answer[:, 1:] - regression).abs() * counts[:, None]).sum()
    things = there.sum().clamp(min=4)
    return (found + false) / things, off / things
