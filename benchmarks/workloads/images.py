"""Photographs: load, resize, save. As one step, and as three with 5.8 MB arrays between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Claim, Stage, Workload
from ..folder import data_folder

numpy = lazy("numpy")
Image = lazy("PIL.Image")

WIDTH, HEIGHT, SIDE = 1600, 1200, 224  # pixels
CIRCLES = 12  # more make larger files, slower to decode


def make_photographs(items: int) -> None:
    """Write JPEG files: colours that change slowly, shapes, and the noise of a camera."""
    folder = data_folder() / "photographs"
    folder.mkdir(exist_ok=True)
    for number in range(items):
        path = folder / f"{number:04d}.jpg"
        if not path.exists():
            Image.fromarray(_draw(number)).save(path, quality=88)


def _draw(number: int) -> Any:
    chance = numpy.random.default_rng(number)
    y, x = numpy.mgrid[:HEIGHT, :WIDTH].astype(numpy.float32)
    picture = numpy.stack([(x * k + y * (3 - k)) / 40 % 160 for k in range(3)], axis=-1)
    for _ in range(CIRCLES):
        inside = (x - chance.integers(WIDTH)) ** 2 + (y - chance.integers(HEIGHT)) ** 2 < chance.integers(40, 200) ** 2
        picture[inside] += chance.integers(0, 60, 3)
    return (picture + chance.integers(0, 30, picture.shape)).clip(0, 255).astype(numpy.uint8)


def paths(items: int) -> list[str]:
    folder = data_folder()
    (folder / "thumbnails").mkdir(exist_ok=True)
    return [str(folder / "photographs" / f"{number:04d}.jpg") for number in range(items)]


def load(path: str) -> tuple[str, Any]:
    with Image.open(path) as image:
        return path, numpy.asarray(image.convert("RGB"))


def resize(photo: tuple[str, Any]) -> tuple[str, Any]:
    path, pixels = photo
    return path, numpy.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def save(photo: tuple[str, Any]) -> tuple[str, int]:
    path, pixels = photo
    out = data_folder() / "thumbnails" / f"{Path(path).stem}-{os.getpid()}.png"
    Image.fromarray(pixels).save(out, compress_level=1)
    out.unlink()
    return Path(path).name, int(pixels.astype("int64").sum())


def all_at_once(path: str) -> tuple[str, int]:
    return save(resize(load(path)))


NEEDED = ("numpy", "PIL.Image")
WORKLOADS = (
    Workload(
        "images-1",
        "the image job as one stage, count=2",
        (Stage(all_at_once, 2),),
        paths,
        200,
        ("loop", "olympipe_ng", "queue_chain", "executor", "olympipe", "pypeln", "mpire", "joblib", "data_loader"),
        (Claim("against the plain loop", ("loop",), 1.85, 1.95),),
        few=8,
        modules=NEEDED,
        prepare=make_photographs,
    ),
    Workload(
        "images-3",
        "the image job as three stages",
        (Stage(load, 2), Stage(resize), Stage(save)),
        paths,
        200,
        ("loop", "olympipe_ng", "queue_chain", "olympipe", "pypeln"),
        (Claim("against the plain loop", ("loop",), 1.75, 1.9),),
        few=8,
        item_bytes=WIDTH * HEIGHT * 3,
        modules=NEEDED,
        prepare=make_photographs,
    ),
)
