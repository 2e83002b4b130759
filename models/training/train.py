"""Train the street detector: `python train.py --set out/set --run out/run --minutes 40`.

Stopped at any time, the same command goes on from the last checkpoint (`run/state.pt`, every 100 steps). The learning
rate follows the share of the minutes that were used over all starts. Pictures that are rendered meanwhile are taken in.
The network is fully convolutional: it learns on crops of pictures at a range of scales and runs on the whole picture.
For two cores start it twice, with `--worker 0 2` and `--worker 1 2` (remove `run/meeting` after a stop).
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as distributed

from detector.data import Shards, augmented
from detector.loss import Targets, loss
from detector.network import Network, places
from world.label import NAMES

# From which share of the time on, pictures are learned at about which width, in crops of which size. Whole pictures at
# half size cost a quarter, and most of what is to be learned can be seen in them; the end is learned at full size.
STAGES = ((0.0, 384, (320, 192)), (0.35, 576, (384, 224)))
BATCH = 8
RATE = 2e-3
AVERAGE_STEPS = 10  # workers train alone for so many steps, then take the mean of their weights
WARM_UP_STEPS = 80
CHECKPOINT_STEPS = 100


def batch_of(
    shards: Shards, indices: list[int], stage: tuple[float, int, tuple[int, int]], rng: np.random.Generator
) -> tuple[torch.Tensor, Targets]:
    images, boxes, labels = [], [], []
    _, scale_width, (width, height) = stage
    for index in indices:
        picture, found = shards.read(index, halved=scale_width <= 320)
        image, box, label = augmented(picture, found, height, width, scale_width / picture.shape[1], rng)
        images.append(image)
        boxes.append(torch.from_numpy(box.astype(np.float32)))
        labels.append(torch.from_numpy(label.astype(np.int64)))
    stack = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    return stack / 255.0, Targets(boxes, labels)


def begun(path: Path) -> Network:
    """The network of a checkpoint (its running mean)."""
    network = Network(len(NAMES))
    network.load_state_dict(torch.load(path, weights_only=True)["mean"])
    return network


class Trainer:
    """The network, its running mean, the optimiser, and what is needed to go on after a stop."""

    def __init__(self, run: Path, begin: Network | None = None, seed: int = 1, rate: float = RATE) -> None:
        torch.manual_seed(seed)
        self.run, self.rate = run, rate
        self.network = Network(len(NAMES)).to(memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.network).eval()
        weights = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": 0.02}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=rate)
        self.steps, self.seconds, self.samples = 0, 0.0, 0
        if (run / "state.pt").exists():
            state = torch.load(run / "state.pt", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.steps, self.seconds, self.samples = state["steps"], state["seconds"], state["samples"]
        elif begin is not None:
            self.network.load_state_dict(begin.state_dict())
            self.mean.load_state_dict(begin.state_dict())

    def step(
        self, images: torch.Tensor, targets: Targets, centres: torch.Tensor, share: float, bf16: bool
    ) -> tuple[float, float]:
        rate = (
            self.rate
            * min(1.0, (self.steps + 1) / WARM_UP_STEPS)
            * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
        )
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = self.network(images)
        total, score_part, box_part = loss(output, targets, centres, len(NAMES))
        self.optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        self.steps, self.samples = self.steps + 1, self.samples + len(images)
        self._follow(min(0.998, (1 + self.steps) / (10 + self.steps)))
        return score_part, box_part

    @torch.no_grad()
    def average(self, workers: int, finished: bool) -> bool:
        """The mean over all workers replaces each one's weights; true when any of them has used its time up."""
        for value in self.network.state_dict().values():
            if value.dtype.is_floating_point:
                mean = value.contiguous()
                distributed.all_reduce(mean)
                value.copy_(mean / workers)
        done = torch.tensor(float(finished))
        distributed.all_reduce(done)
        return bool(done > 0)

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        for slow, fast in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.mul_(keep).add_(fast.detach(), alpha=1 - keep)
            else:
                slow.copy_(fast)

    def save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
            "samples": self.samples,
        }
        torch.save(state, self.run / "state.part")
        (self.run / "state.part").replace(self.run / "state.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=Path("out/set"))
    parser.add_argument("--run", type=Path, default=Path("out/run"))
    parser.add_argument("--begin", type=Path, help="a checkpoint (state.pt) of another run whose weights to begin with")
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--worker", type=int, nargs=2, default=(0, 1), metavar=("NUMBER", "OF"))
    parser.add_argument("--bf16", action="store_true", help="helps on processors with AMX or AVX512-BF16 only")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    arguments.run.mkdir(parents=True, exist_ok=True)
    worker, workers = arguments.worker
    if workers > 1:
        meeting = (arguments.run / "meeting").resolve().as_uri()
        distributed.init_process_group("gloo", init_method=meeting, rank=worker, world_size=workers)
    trainer = Trainer(arguments.run, begun(arguments.begin) if arguments.begin else None)
    shards = Shards(arguments.set)
    rng = np.random.default_rng([7, trainer.steps, worker])
    order: list[int] = []
    recent = np.zeros(2)
    finished = False
    while not finished:
        began = time.monotonic()
        if len(order) < BATCH:
            shards.refresh()
            order = list(rng.permutation(len(shards)))
        share = trainer.seconds / (arguments.minutes * 60)
        stage = [each for each in STAGES if each[0] <= share][-1]
        images, targets = batch_of(shards, [order.pop() for _ in range(BATCH)], stage, rng)
        centres, _ = places(images.shape[2], images.shape[3])
        parts = trainer.step(images, targets, centres, share, arguments.bf16)
        recent = 0.97 * recent + 0.03 * np.array(parts)
        trainer.seconds += time.monotonic() - began
        finished = trainer.seconds >= arguments.minutes * 60
        if workers > 1:
            finished = trainer.average(workers, finished) if trainer.steps % AVERAGE_STEPS == 0 else False
        if worker > 0:
            continue
        if trainer.steps % 50 == 0:
            line = {
                "step": trainer.steps,
                "seconds": round(trainer.seconds),
                "samples": trainer.samples,
                "set": len(shards),
            }
            line |= {"score_loss": round(float(recent[0]), 3), "box_loss": round(float(recent[1]), 3)}
            print(json.dumps(line), flush=True)
            with (arguments.run / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps(line) + "\n")
        if trainer.steps % CHECKPOINT_STEPS == 0:
            trainer.save()
    if worker == 0:
        trainer.save()


if __name__ == "__main__":
    main()
