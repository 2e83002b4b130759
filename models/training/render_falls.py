"""Render façade clips: `python render_falls.py evaluate --out out/falls-evaluate --clips 200`.

`train` writes small pieces to learn from (.npy), `develop` and `evaluate` write labelled sets (mp4 and JSON, format
gridwatch-eval/1). Their seeds are disjoint; some kinds of distractor are in `evaluate` only. Every other clip of a
labelled set has no fall but one kind of distractor in plenty. Finished clips are kept, so a stopped run goes on, and
`--first` makes the rest later.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np

from falls.clip import Clip, Order
from falls.distractors import HELD_OUT, KINDS
from falls.samples import pieces
from falls.view import HEIGHT, WIDTH

FIRST_SEEDS = {"train": 21_000_000, "develop": 25_000_000, "evaluate": 29_000_000}
CALM = ["rain", "drip", "snow"]


def order_of(purpose: str, number: int) -> Order:
    """The `number`-th clip of a set."""
    seed = FIRST_SEEDS[purpose] + number
    if purpose == "train":
        themes = [None, None, *(kind for kind in KINDS if kind not in HELD_OUT), "rain"]
        return Order(seed, 5.0, 3 if number % 5 else 0, themes[number % len(themes)])
    held_out = purpose == "evaluate"
    if number % 2 == 0:
        return Order(seed, 30.0, 5 if held_out else 4, None, held_out)
    themes = [kind for kind in KINDS if held_out or kind not in HELD_OUT] + CALM
    return Order(seed, 60.0, 0, themes[number // 2 % len(themes)], held_out)


def encoder(clip: Clip, path: Path) -> subprocess.Popen:
    """FFmpeg, fed with grey pictures; as cameras send: no B-frames, a key picture every two seconds."""
    group, rate = 2 * clip.fps, f"{clip.kbps}k"
    if clip.codec == "h264":
        coder = ["-c:v", "libx264", "-preset", "superfast", "-bf", "0", "-threads", "1"]
        coder += ["-x264-params", f"keyint={group}:min-keyint={group}:scenecut=0"]
    else:
        options = f"keyint={group}:min-keyint={group}:scenecut=0:bframes=0:pools=1:frame-threads=1:log-level=error"
        coder = ["-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", options]
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(clip.fps), "-i", "-"]
    limits = ["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-pix_fmt", "yuv420p"]
    command = ["ffmpeg", "-y", "-loglevel", "error", *source, *coder, *limits, "-f", "mp4", str(path)]
    return subprocess.Popen(command, stdin=subprocess.PIPE)


def film(clip: Clip, path: Path) -> None:
    """Writes the clip to `path`."""
    child = encoder(clip, path)
    for picture in clip.pictures():
        child.stdin.write(picture.tobytes())
    child.stdin.close()
    if child.wait():
        raise RuntimeError(f"ffmpeg ended with {child.returncode}")


def decoded(path: Path) -> np.ndarray:
    """All pictures of a file, grey (n, height, width)."""
    command = ["ffmpeg", "-loglevel", "error", "-threads", "1", "-i", str(path)]
    command += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(plain, np.uint8).reshape(-1, HEIGHT, WIDTH)


def render(purpose: str, number: int, out: Path) -> bool:
    """Renders one clip unless it is there; says whether it did."""
    name = f"case-{number:05d}"
    done = out / (f"{name}.truth.npy" if purpose == "train" else f"{name}.json")
    if done.exists():
        return False
    clip = Clip(order_of(purpose, number))
    partial = out / f".{name}.mp4"
    film(clip, partial)
    if purpose == "train":
        views, truths = pieces(clip, decoded(partial))
        partial.unlink()
        np.save(out / f"{name}.npy", views)
        np.save(done, truths)
        return True
    os.replace(partial, out / f"{name}.mp4")
    tracks = [{"size": t.size, "terminal": t.terminal, "track": np.round(t.track, 2).tolist()} for t in clip.thrown]
    (out / "tracks").mkdir(exist_ok=True)
    about = {"present": clip.present, "shake": clip.sensor.shake, "kbps": clip.kbps, "thrown": tracks}
    (out / "tracks" / f"{name}.json").write_text(json.dumps(about))
    done.write_text(json.dumps(clip.case(f"{name}.mp4"), indent=1))
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("purpose", choices=FIRST_SEEDS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--clips", type=int, default=100)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    started, cpu = time.monotonic(), os.times()
    for number in range(arguments.first, arguments.first + arguments.clips):
        if render(arguments.purpose, number, arguments.out):
            now = os.times()
            spent = sum(now[:4]) - sum(cpu[:4])
            print(f"{number} {time.monotonic() - started:.0f} s, {spent:.0f} s CPU", flush=True)


if __name__ == "__main__":
    main()
