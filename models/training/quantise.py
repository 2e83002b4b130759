"""An 8-bit twin of an exported detector: `python quantise.py --set out/set --onnx ../street-v2.onnx`.

Static, QDQ, weights per channel. The last layer of each head and the decoding after it stay in floats: their sides
reach hundreds of pixels, where eight bits would cost more than they save. Weights have seven bits: without VNNI the
sums of eight-bit products saturate.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from detector.data import Shards, letterbox
from export import describe, sealed

PICTURES = 96


class Calibration(CalibrationDataReader):
    """Letterboxed pictures of the training set, spread over all its shards."""

    def __init__(self, folder: Path, height: int, width: int) -> None:
        shards = Shards(folder)
        chosen = np.linspace(0, len(shards) - 1, min(PICTURES, len(shards))).astype(int)
        self._pictures: Iterator = (letterbox(shards[int(i)][0], height, width)[0] for i in chosen)

    def get_next(self) -> dict | None:
        picture = next(self._pictures, None)
        if picture is None:
            return None
        return {"images": np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32) / 255}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=Path("out/set"))
    parser.add_argument("--onnx", type=Path, default=Path(__file__).resolve().parents[1] / "street-v2.onnx")
    arguments = parser.parse_args()
    twin = arguments.onnx.with_name(arguments.onnx.stem + "-int8.onnx")
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(arguments.onnx), str(ready))
        model = onnx.load(str(ready))
        height, width = (each.dim_value for each in model.graph.input[0].type.tensor_type.shape.dim[2:])
        kept = [
            node.name
            for node in model.graph.node
            if node.op_type != "Conv"
            and node.op_type not in ("Add", "Resize")
            or "/scores" in node.name
            or "/distances" in node.name
            or not node.name.startswith("/network/")
        ]
        quantize_static(
            str(ready),
            str(twin),
            Calibration(arguments.set, height, width),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Add", "Resize"],
            nodes_to_exclude=kept,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
    written = onnx.load(str(twin))
    describe(written, height, width, twin.stem)
    onnx.save(written, str(twin))
    print(f"{twin.name}: {twin.stat().st_size} bytes")
    sealed(twin)


if __name__ == "__main__":
    main()
