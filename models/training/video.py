"""FFmpeg as a child process: raw RGB pictures in, a compressed stream out, and back."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np


class Encoder:
    """Writes an MP4 as cameras send it: no B-frames, a fixed closed group of pictures, no scene-cut key pictures."""

    def __init__(
        self, path: Path, size: tuple[int, int], fps: float, gop_s: float, kbps: int, codec: str, preset: str = ""
    ) -> None:
        group = round(fps * gop_s)
        if codec == "h264":
            coder = ["-c:v", "libx264", "-preset", preset or "medium", "-profile:v", "high", "-bf", "0"]
            coder += ["-x264-params", f"keyint={group}:min-keyint={group}:scenecut=0:open-gop=0:threads=1"]
        else:
            coder = ["-c:v", "libx265", "-preset", preset or "fast", "-tag:v", "hvc1"]
            options = f"keyint={group}:min-keyint={group}:scenecut=0:open-gop=0:bframes=0"
            options += ":pools=1:frame-threads=1:log-level=error"
            coder += ["-x265-params", options]
        command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "-", *coder]
        command += ["-b:v", f"{kbps}k", "-maxrate", f"{kbps * 2}k", "-bufsize", f"{kbps * 4}k"]
        command += [
            "-pix_fmt",
            "yuv420p",
            "-movflags",
            "+faststart",
            "-map_metadata",
            "-1",
            "-fflags",
            "+bitexact",
            str(path),
        ]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE)

    def write(self, picture: np.ndarray) -> None:
        self._child.stdin.write(np.ascontiguousarray(picture).tobytes())

    def close(self) -> None:
        self._child.stdin.close()
        if self._child.wait():
            raise RuntimeError(f"ffmpeg ended with {self._child.returncode}")


def through_h264(pictures: np.ndarray, crf: int, group: int) -> np.ndarray:
    """What RGB pictures (n, height, width, 3) look like after H.264; unrelated pictures: `group` should be 1."""
    _, height, width, _ = pictures.shape
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    quiet = ["ffmpeg", "-loglevel", "error", "-threads", "1"]
    coded = subprocess.run(
        [
            *quiet,
            *raw,
            "-i",
            "-",
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-crf",
            str(crf),
            "-g",
            str(group),
            "-threads",
            "1",
            "-pix_fmt",
            "yuv420p",
            "-f",
            "h264",
            "-",
        ],
        input=pictures.tobytes(),
        capture_output=True,
        check=True,
    ).stdout
    plain = subprocess.run(
        [*quiet, "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        input=coded,
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(plain, np.uint8).reshape(pictures.shape)


def read_pictures(path: Path, every_s: float, size: tuple[int, int], skip_s: float = 0.0) -> np.ndarray:
    """One RGB picture each `every_s` seconds of a file from `skip_s` on, scaled to `size` (width, height)."""
    command = ["ffmpeg", "-loglevel", "error", "-threads", "1", "-i", str(path), "-ss", str(skip_s)]
    command += [
        "-vf",
        f"fps={1 / every_s},scale={size[0]}:{size[1]}:flags=area",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    plain = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(plain, np.uint8).reshape(-1, size[1], size[0], 3)
