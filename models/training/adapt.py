"""Fit the street detector to one camera: `python adapt.py --site DIR --base ../street-v2.onnx`.

`gridwatch adapt` collects the folder and calls this; it can also be called on another machine to which the folder was
copied. Rendered objects are pasted on that camera's own empty place, the exported model's weights are tuned on them,
with plain renders among them against forgetting, and both models are judged on composites and on renders that were kept
apart. Writes `BASE-CAMERA.onnx` with its card; the last line of stdout is the result as JSON. Stopped at any time, the
same command goes on where it was. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from detector.data import Shards
from detector.judge import average_precision
from detector.network import places
from detector.weights import from_onnx, unfold
from evaluate import Detector
from export import HEIGHT, TOLERANCE, WIDTH, difference, export
from onsite import site as onsite
from train import BATCH, CHECKPOINT_STEPS, Trainer, batch_of
from world.label import NAMES

PLAIN, PLAIN_JUDGED = 300, 100  # plain renders, in shards of a hundred
RATE = 5e-4
PLAIN_OF_BATCH = 3  # of 8: keeps what the model knew of other places
STAGE = (0.0, 512, (384, 224))
SIDE_MIN_PX = 16.0  # of pictures 512 wide; smaller truth counts neither way
BOXES_MIN = 10  # a class with fewer says nothing
UNFOLD_PICTURES = 24
# Seeds of their own; plain held-out pictures are those that every shipped model is judged on.
SEED_TRAIN, SEED_JUDGE, SEED_PLAIN, SEED_PLAIN_JUDGE = 30_000_000, 39_000_000, 33_000_000, 9_100_000


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def drawn(script: str, out: Path, first_seed: int, count: int, *options: str) -> Shards:
    """What a rendering command makes; those pictures that are there already are kept.

    In a process of its own: the LLVM of Mesa's renderer and the one that PyTorch brings do not bear each other.
    """
    command = [sys.executable, str(Path(__file__).with_name(script)), "--out", str(out), "--pictures", str(count)]
    subprocess.run([*command, "--first-seed", str(first_seed), *options], check=True, stdout=sys.stderr)
    return Shards(out)


def tuned(run: Path, base: Path, own: Shards, plain: Shards, minutes: float, seed: int, share: float) -> Trainer:
    """The base's weights after `minutes` of CPU time; `share` of each batch are composites."""
    network = from_onnx(base, len(NAMES))
    rng = np.random.default_rng([seed, 3])
    both = (own, plain)
    calm = [both[i % 2].read(int(rng.integers(len(both[i % 2])))) for i in range(UNFOLD_PICTURES)]
    resized = [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for picture, _ in calm]
    unfold(network, torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255)
    run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(run, network, seed, RATE)
    rng = np.random.default_rng([seed, 7, trainer.steps])
    composites = round(BATCH * share)
    while trainer.seconds < minutes * 60:
        began = time.process_time()
        images, targets = batch_of(
            _Mixed(own, plain, composites), [int(v) for v in rng.integers(0, 2**31, BATCH)], STAGE, rng
        )
        centres, _ = places(images.shape[2], images.shape[3])
        parts = trainer.step(images, targets, centres, trainer.seconds / (minutes * 60), False)
        trainer.seconds += time.process_time() - began
        if trainer.steps % 50 == 0:
            say(f"step {trainer.steps}, {trainer.seconds:.0f} s, loss {parts[0]:.2f} {parts[1]:.2f}")
        if trainer.steps % CHECKPOINT_STEPS == 0:
            trainer.save()
    trainer.save()
    return trainer


class _Mixed:
    """Shards that answer the first `composites` questions from one set and the others of a batch from another."""

    def __init__(self, own: Shards, plain: Shards, composites: int) -> None:
        self._sets, self._composites, self._asked = (own, plain), composites, 0

    def read(self, index: int, halved: bool = False) -> tuple[np.ndarray, np.ndarray]:
        chosen = self._sets[self._asked >= self._composites]
        self._asked += 1
        return chosen.read(index % len(chosen), halved)


def judged(detector: Detector, shards: Shards, most: int) -> dict:
    """AP50 of each class that occurs often enough, their mean, and the counts."""
    found, truth = [], []
    for i in range(min(most, len(shards))):
        picture, boxes = shards[i]
        scale = WIDTH / picture.shape[1]
        boxes = boxes * np.array([1, scale, scale, scale, scale], np.float32)
        rows = detector.find(picture, 0.02)
        rows[:, :4] *= scale
        found.append(rows)
        truth.append(boxes[:, [1, 2, 3, 4, 0]])
    values = {name: average_precision(found, truth, label, SIDE_MIN_PX) for label, name in enumerate(NAMES)}
    classes = {name: [round(ap, 3), count] for name, (ap, count) in values.items() if count >= BOXES_MIN}
    if not classes:
        raise ValueError("too few objects are visible in the pictures kept apart: is the background a street?")
    return {"mean": round(float(np.mean([ap for ap, _ in classes.values()])), 3), "classes": classes}


def false_boxes(detector: Detector, site: onsite.Site) -> float:
    """Boxes from 0.5 a picture of the empty place."""
    found = [len(detector.find(each.picture, 0.5)) for each in site.backgrounds]
    return round(float(np.mean(found)), 2)


def compared(before: Detector, after: Detector, judge: Callable[[Detector], object]) -> dict:
    return {"before": judge(before), "after": judge(after)}


def begun_anew(work: Path, facts: dict) -> None:
    """Another base, seed or place than the last time: what was made then is of no use."""
    record = work / "begun.json"
    if record.exists() and json.loads(record.read_text()) != facts:
        say("another place, base or seed than last time: beginning anew")
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(facts))


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def card(base: Path, model: Path, result: dict, about: dict) -> str:
    """The model card: what the base's card says of input and classes, what happened here as `[about]`."""
    of_base = tomllib.loads(base.with_suffix(".toml").read_text())
    head = {"name": model.stem, "file": model.name, "sha256": result["sha256"]}
    head |= {key: of_base[key] for key in ("family", "classes", "licence")}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines += ["", "[input]"] + [f"{key} = {json.dumps(value)}" for key, value in of_base["input"].items()]
    lines += ["", "[about]"] + [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in about.items()]
    for name in ("composites", "renders"):
        for when in ("before", "after"):
            lines += ["", f"[about.ap50_{name}_{when}]", f"mean = {result[name][when]['mean']}"]
            lines += [f"{each} = {ap}  # of {count}" for each, (ap, count) in result[name][when]["classes"].items()]
    return "\n".join(lines) + "\n"


def work(arguments: argparse.Namespace) -> dict:
    began = time.process_time()
    site = onsite.read(arguments.site)
    base, seed = arguments.base, arguments.seed
    folder = arguments.site / "work"
    pictures = [arguments.site / each.file for each in site.backgrounds]
    facts = {"base": digest(base), "site": digest(arguments.site / "site.json", *pictures), "seed": seed}
    begun_anew(folder, facts)
    options = ("--site", str(arguments.site), "--seed", str(seed))
    own = drawn("render_site.py", folder / "composites", SEED_TRAIN, arguments.pictures, *options)
    kept = drawn("render_site.py", folder / "judged", SEED_JUDGE, arguments.judged, *options, "--held-out")
    view = json.loads((folder / "view.json").read_text())
    say(f"the camera as it seems to stand: {json.dumps(view)}")
    if arguments.plain:
        plain, plain_kept = (Shards(each) for each in arguments.plain)
    else:
        plain = drawn("render_set.py", folder / "plain", SEED_PLAIN, PLAIN)
        plain_kept = drawn("render_set.py", folder / "plain-judged", SEED_PLAIN_JUDGE, PLAIN_JUDGED, "--held-out")
    share = (BATCH - PLAIN_OF_BATCH) / BATCH if arguments.share is None else arguments.share
    trainer = tuned(folder / "run", base, own, plain, arguments.minutes, seed, share)
    model = (arguments.out or arguments.site) / f"{base.stem}-{site.camera}.onnx"
    network = trainer.mean.eval()
    export(network, model, halved=False)
    off = difference(network, model, halved=False)
    if off > TOLERANCE * WIDTH:
        raise ValueError(f"ONNX Runtime and torch disagree about {model.name} by {off:.3f}")
    before, after = Detector(base), Detector(model)
    count = arguments.judged
    result = {
        "camera": site.camera,
        "base": base.stem,
        "model": str(model.resolve()),
        "sha256": digest(model),
        "pictures": count,
        "composites": compared(before, after, lambda each: judged(each, kept, count)),
        "renders": compared(before, after, lambda each: judged(each, plain_kept, count)),
        "false_boxes": compared(before, after, lambda each: false_boxes(each, site)),
    }
    about = {
        "in_short": f"{base.stem}, fitted to camera {site.camera} alone: not for any other camera.",
        "in_short_zh": f"{base.stem} 针对摄像机 {site.camera} 微调，仅用于该摄像机。",
        "base_sha256": facts["base"],
        "site_sha256": facts["site"],
        "backgrounds": [f"{each.file} ({each.light})" for each in site.backgrounds],
        "source": str(site.facts.get("source", "")),
        "view": json.dumps(view),
        "training": f"{trainer.steps} steps of {BATCH}, {share:.0%} composites, seed {seed}, {trainer.seconds:.0f} s",
        "training_data": f"{len(own)} composites (seeds from {SEED_TRAIN}), {len(plain)} plain renders",
        "judged_on": f"{count} composites (seeds from {SEED_JUDGE}), {min(count, len(plain_kept))} plain renders; "
        f"AP50, sides from {SIDE_MIN_PX:.0f} of {WIDTH} pixels",
        "false_boxes_of_the_empty_place_from_half": f"{result['false_boxes']['before']} before, "
        f"{result['false_boxes']['after']} after, a picture",
        "cpu_s": round(time.process_time() - began),
    }
    model.with_suffix(".toml").write_text(card(base, model, result, about))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--site", type=Path, required=True, help="the folder with site.json")
    parser.add_argument("--base", type=Path, default=Path(__file__).resolve().parents[1] / "street-v2.onnx")
    parser.add_argument("--out", type=Path, help="where the model goes [default: the site's folder]")
    parser.add_argument("--pictures", type=int, default=600, help="composites to learn from")
    parser.add_argument("--judged", type=int, default=120, help="pictures of each kind to judge on")
    parser.add_argument("--minutes", type=float, default=4.0, help="CPU minutes of tuning")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", type=Path, nargs=2, metavar=("SET", "HELD_OUT"), help="sets of render_set.py to use")
    parser.add_argument("--share", type=float, help="of composites in a batch; 0 is the control")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result = work(arguments)
    except (ValueError, OSError, KeyError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"error: {error}") from error
    print(json.dumps(result))


if __name__ == "__main__":
    main()
