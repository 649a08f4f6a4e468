"""From a folder of photographs to a data set: load, keep what is large enough, resize, save, write a manifest.

    python examples/image_dataset.py [FOLDER] [--out OUT] [--workers N]

    paths ─► load ─┬─► large enough? ─► resize ─► save ─► manifest rows ─┐
     (N processes) │                  (N processes)                      ├─► OUT/manifest.csv
                   └─► damaged files ─► manifest rows ───────────────────┘

A damaged file does not end the run: it is a row of the manifest. Afterwards the same job is done by a plain loop in this process, to show
how much faster the pipeline is, and that its data set is the same, byte for byte. Without FOLDER some hundreds of JPEG files are made from
photographs that ship inside scikit-learn, scikit-image and matplotlib, with a few damaged ones among them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from olympipe_ng import Pipeline

SIDE = 224  # pixels: what most image models were trained with
SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


class Job(NamedTuple):
    number: int
    path: Path


class Photo(NamedTuple):
    job: Job
    pixels: np.ndarray[Any, Any]  # height x width x 3, bytes: arrays go from process to process through shared memory


class Row(NamedTuple):
    number: int
    source: str
    status: str  # "saved" or "damaged"; what was too small has no row
    output: str
    sha256: str
    reason: str


# The work itself: ordinary functions that know of no pipeline.


def load(job: Job) -> Photo:
    with Image.open(job.path) as image:
        return Photo(job, np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


def is_large_enough(photo: Photo) -> bool:
    height, width, _ = photo.pixels.shape
    return bool(min(height, width) >= SIDE)


def resize(photo: Photo) -> Photo:
    square = ImageOps.fit(Image.fromarray(photo.pixels), (SIDE, SIDE), Image.Resampling.LANCZOS)
    return Photo(photo.job, np.asarray(square))


def save(photo: Photo, folder: Path) -> Row:
    number, path = photo.job
    name = f"{number:06d}-{path.stem}.jpg"
    Image.fromarray(photo.pixels).save(folder / name, quality=90)
    return Row(number, str(path), "saved", name, hashlib.sha256((folder / name).read_bytes()).hexdigest(), "")


def damaged_row(job: Job, error: BaseException) -> Row:
    return Row(job.number, str(job.path), "damaged", "", "", f"{type(error).__name__}: {error}")


# The same job twice: with a pipeline, and with a loop.


def with_pipeline(jobs: list[Job], folder: Path, workers: int) -> list[Row]:
    photos, failures = Pipeline(jobs, name="image data set", progress=2).task(load, count=workers, on_error="branch")
    saved = photos.filter(is_large_enough).task(resize, count=workers).task(partial(save, folder=folder))
    damaged = failures.task(lambda failure: damaged_row(failure.item, failure.exception))
    results = Pipeline.wait_for_all_results([saved, damaged])
    print(results.report)
    return sorted(row for rows in results for row in rows)


def with_plain_loop(jobs: list[Job], folder: Path) -> list[Row]:
    rows = []
    for job in jobs:
        try:
            photo = load(job)
        except Exception as error:  # any reason for which a file cannot be read is one for the manifest
            rows.append(damaged_row(job, error))
            continue
        if is_large_enough(photo):
            rows.append(save(resize(photo), folder))
    return rows


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    images = prepare(options.out)
    if options.folder is None:
        options.folder = options.out / "photographs"
        print(f"making {options.number} photographs in {options.folder}")
        make_photographs(options.folder, options.number, options.workers)
    jobs = find_jobs(options.folder, options.out)
    if not jobs:
        print(f"no image files in {options.folder}", file=sys.stderr)
        return 2

    started = time.perf_counter()
    rows = with_pipeline(jobs, images, options.workers)
    seconds = time.perf_counter() - started
    write_manifest(options.out / "manifest.csv", rows)
    count = {status: sum(row.status == status for row in rows) for status in ("saved", "damaged")}
    print(f"{len(jobs)} files: {count['saved']} saved, {count['damaged']} damaged, {len(jobs) - len(rows)} too small, in {seconds:.1f} s")
    print(f"data set: {images}, manifest: {options.out / 'manifest.csv'}")
    return 0 if options.no_comparison else compare(jobs, rows, images, seconds)


def compare(jobs: list[Job], rows: list[Row], images: Path, seconds: float) -> int:
    """Do the job again with a plain loop (second, so that the disk's cache favours the loop) and look for a difference."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        expected = with_plain_loop(jobs, Path(folder))
        plain = time.perf_counter() - started
        same_manifest = rows == expected
        same_images = read_folder(images) == read_folder(Path(folder))
    print(f"plain loop: {plain:.1f} s; the pipeline was {plain / seconds:.2f} times as fast on {usable_cpus()} CPUs")
    if same_manifest and same_images:
        print("identical to the plain loop's output: every image and the manifest, byte for byte")
        return 0
    print(f"NOT identical to the plain loop's output (manifest: {same_manifest}, images: {same_images})", file=sys.stderr)
    return 1


# Files and arguments.


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make an image data set from a folder of photographs.")
    parser.add_argument("folder", nargs="?", type=Path, help="photographs, in any depth (without it, some are made)")
    parser.add_argument("--out", type=Path, default=Path("image_dataset"), help="folder for the data set (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=usable_cpus(), help="processes that load, and that resize (default: %(default)s)")
    parser.add_argument("--number", type=int, default=400, help="how many photographs to make without FOLDER (default: %(default)s)")
    parser.add_argument("--no-comparison", action="store_true", help="do not do it all again with a plain loop")
    return parser.parse_args(arguments)


def usable_cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prepare(out: Path) -> Path:
    """Return the folder for the images, without those that an earlier run's manifest names; other files there are not touched."""
    images = out / "images"
    images.mkdir(parents=True, exist_ok=True)
    if (out / "manifest.csv").exists():
        with (out / "manifest.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["output"]:
                    (images / Path(row["output"]).name).unlink(missing_ok=True)
    return images


def find_jobs(folder: Path, out: Path) -> list[Job]:
    """Return the image files in sorted order; an earlier data set is not its own source."""
    images = (out / "images").resolve()
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [Job(number, path) for number, path in enumerate(sorted(p for p in paths if images not in p.resolve().parents))]


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows(rows)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Photographs for a first try.

REAL_PHOTOGRAPHS = {
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "skimage": ("data/astronaut.png", "data/chelsea.png", "data/coffee.png", "data/motorcycle_left.png", "data/rocket.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}
SIDES = (180, 640, 1024, 1600, 2000)  # pixels of the longer side; the first is too small for the data set
DAMAGED_EVERY = 25


def find_real_photographs() -> Iterator[Path]:
    for package, names in REAL_PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        folders = spec.submodule_search_locations if spec else None
        paths = (Path(folder) / name for folder in folders or () for name in names)
        yield from (path for path in paths if path.exists())


def make_photographs(folder: Path, number: int, workers: int) -> None:
    """Write ``number`` different JPEG files (crops, mirrored, of several sizes), one in 25 of them damaged."""
    originals = list(find_real_photographs())
    if not originals:
        raise SystemExit("no photographs found: pip install scikit-learn scikit-image, or name a FOLDER of your own")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("photograph-*.jpg"):
        old.unlink()
    Pipeline(range(number)).task(partial(make_photograph, folder=folder, originals=originals), count=workers).wait_for_completion()


def make_photograph(number: int, folder: Path, originals: list[Path]) -> None:
    """Write the file of this number: always the same for the same number."""
    chance = random.Random(number)
    with Image.open(originals[number % len(originals)]) as original:
        width, height = original.size
        share = chance.uniform(0.5, 1.0)
        left, top = chance.uniform(0, 1 - share) * width, chance.uniform(0, 1 - share) * height
        image = original.convert("RGB").crop((int(left), int(top), int(left + share * width), int(top + share * height)))
    if chance.random() < 0.5:
        image = ImageOps.mirror(image)
    side = chance.choice(SIDES)
    path = folder / f"photograph-{number:05d}.jpg"
    ImageOps.contain(image, (side, side)).save(path, quality=chance.randint(80, 95))
    if number % DAMAGED_EVERY == DAMAGED_EVERY - 1:
        damage(path, kind=number // DAMAGED_EVERY % 3)


def damage(path: Path, kind: int) -> None:
    content = path.read_bytes()
    path.write_bytes((b"", content[: len(content) // 2], b"This is a text, whatever its name says.\n")[kind])


if __name__ == "__main__":
    sys.exit(main())
