"""Judge an exported detector: `python evaluate.py --set out/held-out` on unseen seeds, `--clips` on the clips.

With `--films FILE …` it looks at other footage, where nothing is known, and says what it finds (`--draw`: pictures).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from clip.story import HEIGHT, WIDTH, Projector
from detector.data import Shards, letterbox
from detector.judge import Found, average_precision, decode, overlaps
from render_clips import FILMS, ROOT
from video import read_pictures
from world.label import NAMES, Label
from world.renderer import Renderer

EVERY_S = 2.0
# When the thing that the clip is about stands still, and what it is.
STILL = {
    "fire-lane-day": (Label.CAR, 12.0, 37.5),
    "fire-lane-night": (Label.BOX, 13.0, 39.0),
    "vending-day": (Label.STALL, 9.0, 41.5),
    "vending-night": (Label.STALL, 9.5, 41.0),
}


class Detector:
    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._height, self._width = self._session.get_inputs()[0].shape[2:]

    def find(self, picture: np.ndarray, score_min: float = 0.05) -> Found:
        """Boxes in pixels of the RGB picture that was given."""
        canvas, scale, left, top = letterbox(picture, self._height, self._width)
        image = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], np.float32) / 255
        found = decode(self._session.run(None, {"images": image})[0][0], score_min)
        found[:, :4] = (found[:, :4] - [left, top, left, top]) / scale
        return found


def on_set(detector: Detector, folder: Path) -> None:
    """AP50 on rendered pictures of unseen seeds; with sides counted from 20 pixels of the 640-wide picture, and all."""
    shards, found, truth = Shards(folder), [], []
    for i in range(len(shards)):
        picture, boxes = shards[i]
        found.append(detector.find(picture, 0.02))
        truth.append(boxes[:, [1, 2, 3, 4, 0]])
    for side in (20.0, 0.0):
        result = {name: average_precision(found, truth, label, side) for label, name in enumerate(NAMES)}
        mean = float(np.mean([value for value, _ in result.values()]))
        print(f"AP50, {len(shards)} pictures, sides from {side:.0f} px: mean {mean:.3f}")
        print("  " + ", ".join(f"{name} {value:.3f} ({count})" for name, (value, count) in result.items()), flush=True)


def on_clips(detector: Detector, folder: Path) -> None:
    """How often the thing that stands still is found (score and IoU >= 0.5), and what is found without being there."""
    for name, make in FILMS.items():
        if name == "facade-day" or not (folder / f"{name}.mp4").exists():
            continue
        film = make()
        pictures = read_pictures(folder / f"{name}.mp4", EVERY_S, (WIDTH, HEIGHT))
        projector = Projector(film, Renderer(WIDTH, HEIGHT, 512, samples=0))
        label, start, end = STILL.get(name, (None, 0, 0))
        seen, hit, loose, false, false_labels = 0, 0, 0, 0, {}
        for index, picture in enumerate(pictures):
            second = (index + 0.5) * EVERY_S
            found = detector.find(picture, 0.5)
            real = projector.boxes(second) * [1, WIDTH, HEIGHT, WIDTH, HEIGHT]
            if label is not None and start <= second <= end:
                mine, theirs = found[found[:, 5] == label], real[real[:, 0] == label][:, 1:]
                best = overlaps(mine, theirs).max() if len(mine) and len(theirs) else 0
                seen, hit, loose = seen + 1, hit + (best >= 0.5), loose + (best >= 0.3)
            for box in found:
                near = overlaps(box[None], real[:, 1:])[0] if len(real) else np.zeros(1)
                if near.max() < 0.3:
                    false += 1
                    false_labels[NAMES[int(box[5])]] = false_labels.get(NAMES[int(box[5])], 0) + 1
        line = f"{name}: {len(pictures)} pictures, {false} boxes >= 0.5 where nothing is {false_labels}"
        if label is not None:
            line += f"; {NAMES[label]} standing still found in {hit} of {seen} (loosely {loose})"
        print(line, flush=True)


def on_films(detector: Detector, films: list[Path], draw: Path | None) -> None:
    for path in films:
        pictures = read_pictures(path, 4.0, (WIDTH, HEIGHT))[:8]
        counts: dict[str, int] = {}
        drawn = []
        for picture in pictures:
            image = np.ascontiguousarray(picture[..., ::-1])
            for left, top, right, bottom, score, label in detector.find(picture, 0.5):
                name = NAMES[int(label)]
                counts[name] = counts.get(name, 0) + 1
                cv2.rectangle(image, (int(left), int(top)), (int(right), int(bottom)), (0, 255, 0), 1)
                cv2.putText(
                    image,
                    f"{name} {score:.2f}",
                    (int(left), int(top) - 3),
                    cv2.FONT_HERSHEY_SIMPLEX,
                    0.4,
                    (0, 255, 0),
                    1,
                )
            drawn.append(image)
        print(f"{path.name}: {len(pictures)} pictures, boxes >= 0.5: {json.dumps(counts)}", flush=True)
        if draw is not None and drawn:
            cv2.imwrite(str(draw / f"{path.stem}.jpg"), np.hstack(drawn[:3]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, default=ROOT / "models/street-v2.onnx")
    parser.add_argument("--set", type=Path)
    parser.add_argument("--clips", nargs="?", type=Path, const=ROOT / "config/demo/clips")
    parser.add_argument("--films", type=Path, nargs="+", default=[])
    parser.add_argument("--draw", type=Path)
    arguments = parser.parse_args()
    detector = Detector(arguments.onnx)
    if arguments.set:
        on_set(detector, arguments.set)
    if arguments.clips:
        on_clips(detector, arguments.clips)
    on_films(detector, arguments.films, arguments.draw)


if __name__ == "__main__":
    main()
