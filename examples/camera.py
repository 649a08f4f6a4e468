"""A camera that nothing slows down, before a display that cannot keep up.

    python examples/camera.py [SECONDS]

    camera, 50 frames/s ─► detect motion ─► latest(1) ─► display, some 15 frames/s

``latest(1)`` keeps only the newest waiting frame: the display does not fall behind, it shows fewer frames, and the report counts the others
as dropped. The camera is a video file that the example writes; it is read at the speed it was filmed at, into one buffer that is used again
and again, as camera drivers do: what the stages get are snapshots. The display really draws and encodes each picture, and then waits for
its screen's next turn.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from olympipe_ng import Pipeline

Picture = np.ndarray[Any, Any]  # height x width x 3, bytes
WIDTH, HEIGHT, RATE = 320, 240, 50
SCREEN_TURN = 0.06  # seconds from one picture to the next


class Frame(NamedTuple):
    number: int
    taken: float  # time.perf_counter(), the same clock in all processes of a machine
    picture: Picture


class Shown(NamedTuple):
    number: int
    motion: float
    age: float  # seconds from the camera to the display
    jpeg_bytes: int


def draw_scene(number: int) -> Picture:
    """Draw a ball that crosses a textured table; its place tells the frame's number."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    table = (96 + 32 * np.sin(rows / 9) * np.cos(columns / 13)).astype(np.uint8)
    picture: Picture = np.dstack([table, table, table])
    cv2.circle(picture, (number * 7 % WIDTH, HEIGHT // 2), 20, (40, 60, 230), -1)
    return picture


def film(path: Path, frames: int) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    try:
        for number in range(frames):
            writer.write(draw_scene(number))
    finally:
        writer.release()


def camera(path: Path) -> Iterator[Frame]:
    """Yield the frames as they are due; each has the same buffer, which the next one overwrites."""
    capture = cv2.VideoCapture(str(path))
    buffer = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    started, number = time.perf_counter(), 0
    try:
        while capture.read(buffer)[0]:
            time.sleep(max(0.0, started + number / RATE - time.perf_counter()))
            yield Frame(number, time.perf_counter(), buffer)
            number += 1
    finally:
        capture.release()


class MotionDetector:
    """Compares each frame with the one before, so it needs every frame, in order, and is one instance."""

    def __init__(self) -> None:
        self.before: Picture | None = None

    def look(self, frame: Frame) -> tuple[Frame, float]:
        grey = cv2.cvtColor(frame.picture, cv2.COLOR_BGR2GRAY)
        motion = 0.0 if self.before is None else float(cv2.absdiff(grey, self.before).mean())
        self.before = grey
        return frame, motion


def show(seen: tuple[Frame, float]) -> Shown:
    """Draw the overlay, encode the picture as a screen at a distance would want it, wait for the screen."""
    (number, taken, picture), motion = seen
    age = time.perf_counter() - taken
    large = cv2.resize(picture, (WIDTH * 3, HEIGHT * 3), interpolation=cv2.INTER_CUBIC)
    cv2.putText(large, f"frame {number}, motion {motion:.2f}", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (255, 255, 255), 2)
    _, jpeg = cv2.imencode(".jpg", large)
    time.sleep(SCREEN_TURN)
    return Shown(number, motion, age, len(jpeg))


def watch(path: Path) -> list[Shown]:
    return (
        Pipeline(partial(camera, path), name="camera")
        .class_task(MotionDetector, MotionDetector.look, stateful=True)
        .latest(1)
        .task(show)
        .wait_for_result()
    )


def main(seconds: float = 4.0) -> list[Shown]:
    frames = int(seconds * RATE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "camera.avi"
        film(path, frames)
        started = time.perf_counter()
        shown = watch(path)
        took = time.perf_counter() - started
    print(f"{frames} frames filmed in {seconds:.1f} s, {len(shown)} shown in {took:.1f} s, {frames - len(shown)} dropped")
    ages = sorted(picture.age for picture in shown)
    print(f"a picture was {ages[len(ages) // 2] * 1000:.0f} ms old when it was shown, in the median")
    print("shown:", *[picture.number for picture in shown[:12]], "..." if len(shown) > 12 else "")
    return shown


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
