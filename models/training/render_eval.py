"""Render labelled clips for `gridwatch eval`: `python render_eval.py --out out/eval --incidents 100 --quiet 120`.

One picture every two seconds, which is what dwell rules are given on the street; every picture is a key picture. A case
is an .mp4 and a .json beside it. Cases that are there already are kept, so a run that was stopped goes on.

Seeds: from 7,000,000 for development (tuning is allowed), from 8,000,000 for evaluation (it is not). The distractors
of `world/distractor.py` that are held out of training appear in both.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from clip import lane_episode, pavement_episode
from clip.episode import Episode, Incident
from clip.story import HEIGHT, WIDTH, Film, Projector
from video import Encoder
from world.mesh import Mesh
from world.optics import barrel
from world.renderer import Renderer
from world.scene import Scene

# Shares of the lane: under the first nothing blocks it, under the second opinions differ.
COVERAGE_MIN, COVERAGE_OPTIONAL = 0.10, 0.14
# Where trees and passers leave less than this share of a situation to be seen, nobody can be asked to tell what it is.
SEEN_OPTIONAL = 0.4
TRIES = 5
MAKERS: dict[tuple[str, str], Callable[[int], Episode]] = {
    ("fire_lane", "incident"): lane_episode.incident_clip,
    ("fire_lane", "quiet"): lane_episode.quiet_clip,
    ("street_vending", "incident"): pavement_episode.incident_clip,
    ("street_vending", "quiet"): pavement_episode.quiet_clip,
    ("street_vending", "permitted"): pavement_episode.breakfast_clip,
}


def seen(
    film: Film, renderer: Renderer, actors: list[int], polygon: np.ndarray, second: float
) -> tuple[float, list, float]:
    """How much of the zone these actors hide at this second, the box round what is visible of them, in ratios, and the
    share of them that nothing hides."""
    scene = Scene(np.random.default_rng(0), film.light.night, film.varied)
    scene.labels, parts, mine = list(film.standing_labels), [], []
    for number, actor in enumerate(film.actors):
        scene.rng, scene.mesh = np.random.default_rng(actor.seed), Mesh()
        first = len(scene.labels)
        actor.build(scene, second)
        parts.append(scene.mesh.vertices())
        if number in actors:
            mine += list(range(first + 1, len(scene.labels) + 1))
    light = film.light_at(film.light, second)
    focus = np.array(film.focus)
    _, owners = renderer.draw(np.concatenate(parts), film.camera, light, focus)
    owners = barrel(owners.astype(np.float32), film.bend, nearest=True).astype(int)
    zone = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(zone, [(polygon * [WIDTH, HEIGHT]).astype(np.int32)], 1)
    hidden = np.isin(owners, mine)
    rows, columns = np.nonzero(hidden)
    if not len(rows):
        return 0.0, [], 0.0
    alone = renderer.owners(np.concatenate([parts[actor] for actor in actors]), film.camera)
    shown = len(rows) / max(1, np.count_nonzero(barrel(alone.astype(np.float32), film.bend, nearest=True)))
    box = [columns.min() / WIDTH, rows.min() / HEIGHT, (columns.max() + 1) / WIDTH, (rows.max() + 1) / HEIGHT]
    return float((hidden & (zone > 0)).sum() / max(1, zone.sum())), [round(float(v), 4) for v in box], shown


def truth_of(incident: Incident, film: Film, renderer: Renderer, polygon: np.ndarray) -> dict | None:
    """The case's entry; nothing if the situation is too small or too hidden to be one."""
    found = [
        seen(film, renderer, incident.actors, polygon, incident.start + share * (incident.end - incident.start))
        for share in (0.25, 0.75)
    ]
    coverage = min(each[0] for each in found)
    if not all(box for _, box, _ in found):
        return None
    entry = {
        "zone": "zone",
        "kind": incident.kind,
        "from_s": round(incident.start, 2),
        "to_s": round(incident.end, 2),
        "strata": {"object": incident.what},
        "optional": incident.optional,
        "coverage": round(coverage, 3),
        "box": found[1][1],
    }
    if incident.kind == "fire_lane":
        if coverage < COVERAGE_MIN:
            return None
        entry["optional"] = coverage < COVERAGE_OPTIONAL
    else:
        tall = min(box[3] - box[1] for _, box, _ in found)
        if tall < 0.06 or coverage < 0.02:
            return None
        entry["optional"] = tall < 0.08
    entry["optional"] |= bool(min(shown for *_, shown in found) < SEEN_OPTIONAL)
    return entry


def render(make: Callable[[int], Episode], seed: int, path: Path, scenario: str) -> dict | None:
    episode = make(seed)
    film = episode.film
    projector = Projector(film, renderer_once())
    polygon = np.array(film.corners(episode.setting.corners))
    incidents = [truth_of(each, film, renderer_once(), polygon) for each in episode.incidents]
    if any(each is None for each in incidents):
        return None
    part = path.with_suffix(".part.mp4")
    encoder = Encoder(
        part,
        (WIDTH, HEIGHT),
        film.fps,
        film.gop_s,
        film.kbps,
        film.codec,
        "ultrafast" if film.codec == "hevc" else "veryfast",
    )
    for number in range(round(film.seconds * film.fps)):
        encoder.write(projector.picture(number / film.fps)[0])
    encoder.close()
    os.replace(part, path.with_suffix(".mp4"))
    strata = {key: value for key, value in episode.setting.strata.items() if key != "quality"}
    return {
        "format": "gridwatch-eval/1",
        "clip": path.with_suffix(".mp4").name,
        "seconds": film.seconds,
        "notes": {"seed": seed, "clock": film.begins.strftime("%Y-%m-%d %H:%M:%S")},
        "strata": strata | episode.strata,
        "zones": [{"id": "zone", "scenario": scenario, "polygon": polygon.tolist()} | episode.zone_keys],
        "incidents": incidents,
    }


@functools.cache
def renderer_once() -> Renderer:
    return Renderer(WIDTH, HEIGHT, 1024, samples=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/eval"))
    parser.add_argument("--first-seed", type=int, default=8_000_000)
    parser.add_argument("--incidents", type=int, default=100, help="clips with an incident, of each scenario")
    parser.add_argument("--quiet", type=int, default=120, help="clips of five minutes without one, of each scenario")
    parser.add_argument("--permitted", type=int, default=6, help="clips of vending in permitted hours")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    wanted = {"incident": arguments.incidents, "quiet": arguments.quiet, "permitted": arguments.permitted}
    # By turns, so that a run that is cut short leaves some of everything.
    work = []
    for (scenario, kind), make in MAKERS.items():
        count = wanted[kind]
        work += [((i + 0.5) / max(1, count), scenario, kind, make, i) for i in range(count)]
    for _, scenario, kind, make, i in sorted(work, key=lambda each: each[0]):
        path = arguments.out / f"{scenario}-{kind}-{i:04d}.json"
        if path.exists():
            continue
        began = time.process_time()
        for attempt in range(TRIES):
            first = {"incident": 0, "quiet": 300_000, "permitted": 600_000}[kind]
            case = render(make, arguments.first_seed + first + i * TRIES + attempt, path.with_suffix(""), scenario)
            if case is not None:
                path.write_text(json.dumps(case, indent=1) + "\n")
                break
        print(f"{path.name} {case is not None} {time.process_time() - began:.1f} s CPU", flush=True)


if __name__ == "__main__":
    main()
