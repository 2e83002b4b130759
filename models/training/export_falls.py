"""Export the network for thrown objects: `python export_falls.py --run out/falls --set out/falls-train`.

Writes `falls-v1.onnx` and its 8-bit twin (static, QDQ, weights per channel and of seven bits: without VNNI the sums of
eight-bit products saturate; the last layer stays in floats), checks both against torch, and writes their SHA-256 into
the cards beside them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from export import OPSET, sealed
from falls.network import INPUTS, OUTPUTS, Network
from falls.samples import Samples
from falls.view import HEIGHT, WIDTH

PIECES = 160  # that the ranges of the 8-bit twin are taken from


class Calibration(CalibrationDataReader):
    """Pieces of the training set, set into a picture of the full size."""

    def __init__(self, folder: Path) -> None:
        rng, samples = np.random.default_rng(11), Samples(folder)
        self._pieces: Iterator = (samples.draw(rng)[0] for _ in range(PIECES))

    def get_next(self) -> dict | None:
        rows = [piece for _, piece in zip(range(8), self._pieces, strict=False)]
        if len(rows) < 8:
            return None
        tiled = np.concatenate([np.concatenate(rows[:4], 2), np.concatenate(rows[4:], 2)], 1)
        picture = np.zeros((1, INPUTS, HEIGHT, WIDTH), np.float32)
        picture[0, :, : tiled.shape[1], : tiled.shape[2]] = tiled
        return {"pictures": picture}


def trained(run: Path) -> tuple[Network, int]:
    """The running mean of the weights, and the steps that it has seen."""
    state = torch.load(run / "state.pt", weights_only=True)
    network = Network()
    network.load_state_dict(state["mean"])
    return network.eval(), state["steps"]


def export(network: Network, path: Path) -> None:
    example = torch.rand(1, INPUTS, HEIGHT, WIDTH)
    names = {"input_names": ["pictures"], "output_names": ["falls"]}
    torch.onnx.export(network, (example,), str(path), opset_version=OPSET, dynamo=False, **names)
    described(path)


def described(path: Path) -> None:
    """What a reader of the file can learn from it without its card."""
    written = onnx.load(str(path))
    written.ir_version = min(written.ir_version, 8)
    facts = {"task": "falls", "stride": "4", "license": "Apache-2.0", "description": f"gridwatch {path.stem}"}
    onnx.helper.set_model_props(written, facts)
    onnx.checker.check_model(written)
    onnx.save(written, str(path))


def quantise(path: Path, twin: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        ready = Path(scratch) / "ready.onnx"
        quant_pre_process(str(path), str(ready))
        nodes = onnx.load(str(ready)).graph.node
        last = [node.name for node in nodes if node.op_type == "Conv"][-1]
        quantize_static(
            str(ready),
            str(twin),
            Calibration(folder),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Resize"],
            nodes_to_exclude=[last],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    described(twin)


def difference(network: Network, path: Path, folder: Path) -> float:
    """The mean disagreement of the heat, as a probability, where torch sees something (0.2 and more)."""
    samples, rng = Samples(folder), np.random.default_rng(12)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    off = []
    for _ in range(40):
        picture = np.zeros((1, INPUTS, HEIGHT, WIDTH), np.float32)
        piece = samples.draw(rng)[0]
        picture[0, :, : piece.shape[1], : piece.shape[2]] = piece
        with torch.no_grad():
            ours = torch.sigmoid(network(torch.from_numpy(picture))[0, 0]).numpy()
        theirs = session.run(None, {"pictures": picture})[0]
        assert theirs.shape == (1, OUTPUTS, HEIGHT // 4, WIDTH // 4)
        heat = 1 / (1 + np.exp(-theirs[0, 0]))
        off.append(np.abs(ours - heat)[ours > 0.2])
    return float(np.concatenate(off).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("out/falls"))
    parser.add_argument("--set", type=Path, default=Path("out/falls-train"))
    parser.add_argument("--onnx", type=Path, default=Path(__file__).resolve().parents[1] / "falls-v1.onnx")
    arguments = parser.parse_args()
    network, steps = trained(arguments.run)
    twin = arguments.onnx.with_name(arguments.onnx.stem + "-int8.onnx")
    export(network, arguments.onnx)
    quantise(arguments.onnx, twin, arguments.set)
    for path in (arguments.onnx, twin):
        off = difference(network, path, arguments.set)
        print(f"{path.name}: {steps} steps, {path.stat().st_size} bytes, heat differs by {off:.4f}")
        sealed(path)


if __name__ == "__main__":
    main()
