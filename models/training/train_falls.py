"""Train the network for thrown objects: `python train_falls.py --set out/falls-train --run out/falls --minutes 55`.

Stopped at any time, the same command goes on from the last checkpoint (`run/state.pt`, every 100 steps); the learning
rate follows the share of the CPU minutes used over all starts. Clips that are rendered meanwhile are taken in.
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

from falls.network import Network, loss
from falls.samples import Samples

BATCH = 16
RATE = 2.5e-3
WARM_UP_STEPS = 200
CHECKPOINT_STEPS = 100


class Trainer:
    """The network, its running mean, the optimiser, and what is needed to go on after a stop."""

    def __init__(self, run: Path) -> None:
        torch.manual_seed(3)
        self.run = run
        self.network = Network()
        self.mean = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), RATE, weight_decay=1e-4)
        self.steps, self.cpu_s = 0, 0.0
        if (run / "state.pt").exists():
            state = torch.load(run / "state.pt", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.mean.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.steps, self.cpu_s = state["steps"], state["cpu_s"]

    def step(self, batch: list[torch.Tensor], share: float) -> tuple[float, float]:
        warm = min(1.0, (self.steps + 1) / WARM_UP_STEPS)
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, share))) + 1e-5
        heat_part, off_part = loss(self.network(batch[0]), *batch[1:])
        self.optimiser.zero_grad()
        (heat_part + off_part).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self.optimiser.step()
        self.steps += 1
        self._follow(min(0.997, (1 + self.steps) / (10 + self.steps)))
        return heat_part.item(), off_part.item()

    @torch.no_grad()
    def _follow(self, keep: float) -> None:
        for slow, fast in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
            if slow.dtype.is_floating_point:
                slow.mul_(keep).add_(fast, alpha=1 - keep)
            else:
                slow.copy_(fast)

    def save(self) -> None:
        state = {"network": self.network.state_dict(), "mean": self.mean.state_dict()}
        state |= {"optimiser": self.optimiser.state_dict(), "steps": self.steps, "cpu_s": self.cpu_s}
        torch.save(state, self.run / "state.part")
        (self.run / "state.part").replace(self.run / "state.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", type=Path, default=Path("out/falls-train"))
    parser.add_argument("--run", type=Path, default=Path("out/falls"))
    parser.add_argument("--minutes", type=float, default=55, help="of CPU time")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    arguments.run.mkdir(parents=True, exist_ok=True)
    trainer, samples = Trainer(arguments.run), Samples(arguments.set)
    rng = np.random.default_rng([7, trainer.steps])
    recent: list[tuple[float, float]] = []
    while (share := trainer.cpu_s / (arguments.minutes * 60)) < 1:
        began = time.process_time()
        drawn = [samples.draw(rng) for _ in range(BATCH)]
        batch = [torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)]
        recent.append(trainer.step(batch, share))
        trainer.cpu_s += time.process_time() - began
        if trainer.steps % CHECKPOINT_STEPS == 0:
            heat, off = np.mean(recent, 0)
            line = {"step": trainer.steps, "cpu_s": round(trainer.cpu_s), "clips": samples.refresh()}
            line |= {"heat_loss": round(float(heat), 3), "off_loss": round(float(off), 3)}
            print(json.dumps(line), flush=True)
            with (arguments.run / "curve.jsonl").open("a") as curve:
                curve.write(json.dumps(line) + "\n")
            recent.clear()
            trainer.save()
    trainer.save()


if __name__ == "__main__":
    main()
