"""Rendered objects on a camera's own background, in shards: `python render_site.py --site DIR --out FOLDER`.

`--site` is a folder that `gridwatch adapt` wrote. Finished shards are kept, as in `render_set.py`. How the camera seems
to stand is written beside the folder, into `view.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2

from onsite.composite import Composer
from onsite.site import read
from render_set import render_shard

PICTURES_PER_SHARD = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first-seed", type=int, default=30_000_000)
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1, help="of the guesses at how the camera stands")
    parser.add_argument("--held-out", action="store_true", help="with the distractors that training never sees")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    composer = Composer(read(arguments.site), arguments.seed)
    (arguments.out.parent / "view.json").write_text(json.dumps(composer.views.described()))
    for done in range(0, arguments.pictures, PICTURES_PER_SHARD):
        seed = arguments.first_seed + done
        path = arguments.out / f"shard_{seed:08d}.npz"
        if not path.exists():
            render_shard(
                lambda each: composer.picture(each, arguments.held_out), range(seed, seed + PICTURES_PER_SHARD), path
            )
            print(f"{arguments.out.name}: {done + PICTURES_PER_SHARD} of {arguments.pictures}", flush=True)


if __name__ == "__main__":
    main()
