"""Render the demo clips and their truth: `python render_clips.py [name …]`; `--look DIR`: single pictures instead.

Everything is seeded: the same sources give the same pictures. About four minutes for a street clip of 60 s on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from clip import facade, fire_lane, quiet_street, vending
from clip.story import HEIGHT, WIDTH, Film, Projector
from video import Encoder
from world.renderer import Renderer

ROOT = Path(__file__).resolve().parents[2]
FILMS: dict[str, Callable[[], Film]] = {
    "fire-lane-day": fire_lane.day,
    "fire-lane-night": fire_lane.night,
    "vending-day": vending.day,
    "vending-night": vending.night,
    "facade-day": facade.facade,
    "quiet-street": quiet_street.street,
}


def render(film: Film, path: Path) -> None:
    projector = Projector(film, Renderer(WIDTH, HEIGHT, 2048))
    encoder = Encoder(path, (WIDTH, HEIGHT), film.fps, film.gop_s, film.kbps, film.codec)
    for number in range(round(film.seconds * film.fps)):
        encoder.write(projector.picture(number / film.fps)[0])
    encoder.close()
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def look(film: Film, folder: Path, seconds: list[float]) -> None:
    projector = Projector(film, Renderer(WIDTH, HEIGHT, 2048))
    zone = np.array(film.corners(film.truth["zone"])) * [WIDTH, HEIGHT] if film.truth.get("zone") else None
    sheet = []
    for second in seconds:
        picture, owners, scene = projector.picture(second, ids=True)
        picture = np.ascontiguousarray(picture[..., ::-1])
        if zone is not None:
            inside = np.zeros((HEIGHT, WIDTH), np.uint8)
            cv2.fillPoly(inside, [zone.astype(np.int32)], 1)
            taken = (owners > 0) & (inside > 0)
            cv2.polylines(picture, [zone.astype(np.int32)], True, (0, 200, 255), 1)
            print(
                f"{film.name} {second:5.1f} s: {taken.sum() / inside.sum():.0%} of the zone hidden by something",
                flush=True,
            )
        sheet.append(picture)
    rows = [np.hstack(sheet[i : i + 3]) for i in range(0, len(sheet) // 3 * 3, 3)]
    cv2.imwrite(str(folder / f"{film.name}.png"), np.vstack(rows))


def truth_of(film: Film) -> dict:
    """The film's entry of truth.json."""
    zones = [film.truth, *film.truth.get("more_zones", [])] if film.truth.get("zone") else []
    entry = {
        "clip": f"clips/{film.name}.mp4",
        "codec": film.codec,
        "fps": film.fps,
        "seconds": film.seconds,
        "zones": [
            {"scenario": zone["scenario"], "polygon": film.corners(zone["zone"]), "expected": zone["expected"]}
            for zone in zones
        ],
    }
    return entry | film.truth.get("facade", {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[], help="which clips; all when none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "config/demo")
    parser.add_argument("--look", type=Path, help="write a sheet of single pictures to this folder instead")
    parser.add_argument("--at", type=float, nargs="+", default=[0.2, 5, 9, 10.5, 12, 18, 25, 30, 39, 43, 52, 59.8])
    parser.add_argument("--truth-only", action="store_true")
    arguments = parser.parse_args()
    films = [FILMS[name]() for name in arguments.names or FILMS]
    if arguments.look:
        for film in films:
            look(film, arguments.look, arguments.at)
        return
    (arguments.out / "clips").mkdir(parents=True, exist_ok=True)
    if not arguments.truth_only:
        for film in films:
            render(film, arguments.out / "clips" / f"{film.name}.mp4")
    about = "Rendered clips. Zones: polygons in ratios of the picture. Times: seconds from the first picture."
    truth = {"about": about, "clips": [truth_of(make()) for make in FILMS.values()]}
    (arguments.out / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")


if __name__ == "__main__":
    main()
