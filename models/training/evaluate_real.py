"""How street detectors do on real footage: `python evaluate_real.py --onnx … --reference yolox_nano.onnx CLIP …`.

The reference's boxes stand in for the truth, so this tells agreement, not accuracy. Pictures are taken every `--every`
seconds; person, and vehicle (car, truck, bus together), AP at IoU 0.5; its doubtful boxes count neither way.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from detector.judge import Found, average_precision, overlaps, suppressed
from evaluate import Detector
from video import read_pictures

SIZE = (640, 360)
SURE, DOUBTFUL = 0.4, 0.2
PERSON, VEHICLE = 0, 1
_OURS = {0: PERSON, 1: VEHICLE, 2: VEHICLE}  # person; car, truck
_COCO = {0: PERSON, 2: VEHICLE, 5: VEHICLE, 7: VEHICLE}  # person; car, bus, truck


class Yolox:
    """A YOLOX model as its authors ship it: raw BGR from 0 to 255, top-left letterbox, grid offsets to be added."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name
        self._side = self._session.get_inputs()[0].shape[2]

    def find(self, picture: np.ndarray, score_min: float) -> Found:
        side = self._side
        scale = min(side / picture.shape[0], side / picture.shape[1])
        inner = (int(picture.shape[1] * scale), int(picture.shape[0] * scale))
        canvas = np.full((side, side, 3), 114, np.uint8)
        canvas[: inner[1], : inner[0]] = cv2.resize(picture, inner)
        image = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        raw = self._session.run(None, {self._name: image})[0][0]
        cells = []
        for stride in (8, 16, 32):
            y, x = np.mgrid[0 : side // stride, 0 : side // stride]
            cells.append(np.stack([x, y, np.full_like(x, stride)], -1).reshape(-1, 3))
        cell = np.concatenate(cells)
        centre, half = (raw[:, :2] + cell[:, :2]) * cell[:, 2:], np.exp(raw[:, 2:4]) * cell[:, 2:] / 2
        scores = raw[:, 4:5] * raw[:, 5:]
        label, score = scores.argmax(1), scores.max(1)
        boxes = np.concatenate([centre - half, centre + half], 1) / scale
        kept = score > score_min
        return suppressed(np.concatenate([boxes, score[:, None], label[:, None]], 1)[kept], 0.5)


def merged(found: Found, labels: dict[int, int]) -> Found:
    """Only what both sides have a name for; a car and a truck in one place are one vehicle."""
    kept = np.array([row for row in found if int(row[5]) in labels]).reshape(-1, 6)
    kept[:, 5] = [labels[int(label)] for label in kept[:, 5]]
    return suppressed(kept, 0.6)


def without_doubtful(found: Found, doubtful: np.ndarray) -> Found:
    """Found boxes that lie on a doubtful one of the reference are neither right nor wrong."""
    if not len(found) or not len(doubtful):
        return found
    shared = overlaps(found, doubtful[:, :4]) * (found[:, 5:6] == doubtful[None, :, 5])
    return found[shared.max(1) < 0.5]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, nargs="+", required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--skip", type=float, default=0.0, help="seconds at the beginning of each clip")
    parser.add_argument("--most", type=int, default=10, help="pictures of each clip")
    parser.add_argument("clips", type=Path, nargs="+")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    reference = Yolox(arguments.reference)
    detectors = {path.stem: Detector(path) for path in arguments.onnx}
    truth, doubtful, pictures = [], [], []
    for clip in arguments.clips:
        for picture in read_pictures(clip, arguments.every, SIZE, arguments.skip)[: arguments.most]:
            found = merged(reference.find(picture, DOUBTFUL), _COCO)
            sure = found[:, 4] >= SURE
            truth.append(found[sure][:, [0, 1, 2, 3, 5]])
            doubtful.append(found[~sure])
            pictures.append(picture)
    print(f"{len(pictures)} pictures of {len(arguments.clips)} clips, {arguments.reference.stem} as the reference")
    for name, detector in detectors.items():
        found = [
            without_doubtful(merged(detector.find(picture, 0.02), _OURS), doubt)
            for picture, doubt in zip(pictures, doubtful, strict=True)
        ]
        parts = []
        for label, word in ((PERSON, "person"), (VEHICLE, "vehicle")):
            value, count = average_precision(found, truth, label)
            parts.append(f"{word} {value:.3f} ({count})")
        sure = sum(int((each[:, 4] >= 0.5).sum()) for each in found)
        print(f"  {name}: AP50 {', '.join(parts)}; {sure / len(pictures):.2f} boxes a picture from 0.5", flush=True)


if __name__ == "__main__":
    main()
