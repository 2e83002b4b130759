"""A network's weights from its exported file, so that training can begin where no checkpoint is at hand."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from .network import Block, Network


def from_onnx(path: Path, classes: int) -> Network:
    """The network that `export.py` wrote. Export folds batch norms into convolutions; here they become additions.

    Raises ValueError if the file holds another network.
    """
    graph = onnx.load(str(path)).graph
    held = {each.name: numpy_helper.to_array(each).copy() for each in graph.initializer}
    if any(node.op_type == "AveragePool" for node in graph.node):
        raise ValueError(f"{path.name} looks at half size: fine-tuning such a network is not provided for")
    written = [[held.get(name) for name in node.input[1:]] for node in graph.node if node.op_type == "Conv"]
    network = Network(classes).eval()
    layers = _in_order(network)
    if len(layers) != len(written):
        raise ValueError(f"{path.name}: {len(written)} convolutions, expected {len(layers)}: not a file of export.py")
    with torch.no_grad():
        for (convolution, norm), values in zip(layers, written, strict=True):
            if len(values) != 2 or any(value is None for value in values):
                raise ValueError(f"{path.name}: a convolution without weights of its own (an 8-bit twin?)")
            weight, bias = (torch.from_numpy(value) for value in values)
            if weight.shape != convolution.weight.shape:
                raise ValueError(f"{path.name}: weights {tuple(weight.shape)}, expected {convolution.weight.shape}")
            convolution.weight.copy_(weight)
            if norm is None:
                convolution.bias.copy_(bias)
            else:
                norm.running_mean.zero_()
                norm.running_var.fill_(1 - norm.eps)
                norm.weight.fill_(1)
                norm.bias.copy_(bias)
    return network


def unfold(network: Network, images: Tensor) -> None:
    """Give the batch norms the statistics of these pictures; what the network computes stays as it is.

    Without it a network of `from_onnx` would change its output at the first step in training mode.
    """

    def measure(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        mean, var = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), correction=0)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_((mean - norm.running_mean) * gain)
        norm.weight.copy_(gain * (var + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)

    hooks = [each.register_forward_pre_hook(measure) for each in network.modules() if isinstance(each, nn.BatchNorm2d)]
    network.eval()
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _in_order(network: Network) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution in the order of its use, which is the order of the exported file, with its batch norm."""
    norms = {block[0]: block[1] for block in network.modules() if isinstance(block, Block)}
    used: list[nn.Conv2d] = []
    hooks = [
        each.register_forward_hook(lambda module, *_: used.append(module))
        for each in network.modules()
        if isinstance(each, nn.Conv2d)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return [(each, norms.get(each)) for each in used]
