"""Export a checkpoint's running mean as ONNX: `python export.py --run out/run --onnx ../street-v2.onnx`.

Checks the file against torch with ONNX Runtime, and writes its SHA-256 into the model card beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from detector.network import STRIDES, Exported, Network
from world.label import NAMES

WIDTH, HEIGHT = 512, 288
OPSET = 17
TOLERANCE = 1e-3


def trained(run: Path) -> tuple[Network, int, int]:
    """The running mean of the weights, and the steps and samples that it has seen."""
    state = torch.load(run / "state.pt", weights_only=True)
    network = Network(len(NAMES))
    network.load_state_dict(state["mean"])
    return network.eval(), state["steps"], state["samples"]


def export(network: Network, path: Path, halved: bool) -> None:
    model = Exported(network, HEIGHT, WIDTH, halved).eval()
    example = torch.rand(1, 3, HEIGHT, WIDTH)
    torch.onnx.export(
        model,
        (example,),
        str(path),
        opset_version=OPSET,
        input_names=["images"],
        output_names=["output0"],
        dynamo=False,
    )
    written = onnx.load(str(path))
    describe(written, HEIGHT, WIDTH, path.stem)
    onnx.checker.check_model(written)
    onnx.save(written, str(path))


def describe(written: onnx.ModelProto, height: int, width: int, name: str) -> None:
    """What a reader of the file can learn from it without its card."""
    written.ir_version = min(written.ir_version, 8)
    facts = {
        "names": "{" + ", ".join(f"{i}: '{name}'" for i, name in enumerate(NAMES)) + "}",
        "stride": str(max(STRIDES)),
        "imgsz": f"[{height}, {width}]",
        "task": "detect",
        "batch": "1",
        "license": "Apache-2.0",
        "description": f"gridwatch {name}",
    }
    onnx.helper.set_model_props(written, facts)


def sealed(path: Path) -> None:
    """Print the file's SHA-256 and write it into the model card beside it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f'sha256 = "{digest}"')
    card = path.with_suffix(".toml")
    if card.exists():
        card.write_text(re.sub(r'(?m)^sha256 = ".*?"', f'sha256 = "{digest}"', card.read_text()))


def difference(network: Network, path: Path, halved: bool) -> float:
    """The largest disagreement between torch and ONNX Runtime on noise."""
    image = np.random.default_rng(5).random((1, 3, HEIGHT, WIDTH), np.float32)
    with torch.no_grad():
        ours = Exported(network, HEIGHT, WIDTH, halved).eval()(torch.from_numpy(image)).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(["output0"], {"images": image})[0]
    assert theirs.shape == (1, 4 + len(NAMES), ours.shape[2])
    return float(np.abs(ours - theirs).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path("out/run"))
    parser.add_argument("--onnx", type=Path, default=Path(__file__).resolve().parents[1] / "street-v2.onnx")
    parser.add_argument("--halved", action="store_true", help="look at half size inside; see detector/network.py")
    arguments = parser.parse_args()
    network, steps, samples = trained(arguments.run)
    export(network, arguments.onnx, arguments.halved)
    off = difference(network, arguments.onnx, arguments.halved)
    print(f"steps {steps}, samples {samples}, {arguments.onnx.stat().st_size} bytes, largest difference {off:.2e}")
    if off > TOLERANCE * WIDTH:
        raise SystemExit("error: ONNX Runtime and torch disagree")
    sealed(arguments.onnx)


if __name__ == "__main__":
    main()
