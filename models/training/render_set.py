"""Render a data set in shards: `python render_set.py --out out/set --first-seed 1000000 --pictures 6000`.

Finished shards are kept, so a run that was stopped goes on where it was. A shard is an .npz of JPEG bytes and boxes.
Every other shard has gone through H.264 before, as the pictures of real cameras have.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from video import through_h264
from world.renderer import Renderer
from world.sampling import random_picture
from world.sensor import jpeg

PICTURES_PER_SHARD = 100


def render_shard(draw: Callable[[int], tuple[np.ndarray, np.ndarray]], seeds: range, path: Path) -> None:
    """One shard of what `draw` makes of each seed."""
    rng = np.random.default_rng([seeds.start, 264])
    pictures, boxes = [], []
    for index, seed in enumerate(seeds):
        picture, found = draw(seed)
        pictures.append(picture)
        boxes.append(np.concatenate([np.full((len(found), 1), index, np.float32), found], 1))
    if (seeds.start // len(seeds)) % 2:
        # Twice each, with other noise: the second one is a predicted picture, as nearly all of a camera's are.
        noise = rng.normal(0, 4, pictures[0].shape)
        before = [np.clip(picture + noise, 0, 255).astype(np.uint8) for picture in pictures]
        pairs = np.stack([each for pair in zip(before, pictures, strict=True) for each in pair])
        seen = through_h264(pairs, int(rng.integers(22, 40)), 2)[1::2]
        coded = [jpeg(picture, 92) for picture in seen]
    else:
        coded = [jpeg(picture, int(rng.integers(25, 93))) for picture in pictures]
    ends = np.cumsum([len(data) for data in coded])
    partial = path.with_suffix(".part.npz")
    np.savez(partial, jpeg=np.frombuffer(b"".join(coded), np.uint8), ends=ends, boxes=np.concatenate(boxes))
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/set"))
    parser.add_argument("--first-seed", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=6000)
    parser.add_argument("--held-out", action="store_true", help="with the distractors that training never sees")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(640, 360, 1024, samples=0)
    started, done = time.monotonic(), 0
    for shard in range(arguments.pictures // PICTURES_PER_SHARD):
        seed = arguments.first_seed + shard * PICTURES_PER_SHARD
        path = arguments.out / f"shard_{seed:08d}.npz"
        if path.exists():
            continue
        render_shard(
            lambda each: random_picture(renderer, each, arguments.held_out),
            range(seed, seed + PICTURES_PER_SHARD),
            path,
        )
        done += PICTURES_PER_SHARD
        print(f"{path.name} {done / (time.monotonic() - started):.2f} pictures/s", flush=True)


if __name__ == "__main__":
    main()
