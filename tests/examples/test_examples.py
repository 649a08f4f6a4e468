"""Each example runs for real, at a small size, and gives what a plain loop over its own functions gives."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cv2", reason="the examples need olympipe_ng[examples]")

import numpy as np
import pandas as pd

from examples import camera, clients, csv_job, digits_model, http_fetch, image_dataset, train_validation

ROOT = Path(__file__).parents[2]
MADE = 60  # photographs: two of them damaged, some too small


def run_script(*arguments: str | Path, cwd: Path, **options: str) -> subprocess.CompletedProcess[str]:
    """Run an example as its user does: as a script, in a process of its own, from another folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options}
    name, *rest = map(str, arguments)
    command = [sys.executable, str(ROOT / "examples" / name), *rest]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    originals = list(image_dataset.find_real_photographs())
    for number in range(MADE):
        image_dataset.make_photograph(number, folder, originals)
    return folder


def read_manifest(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_image_job_writes_the_data_set_that_a_plain_loop_writes(photographs: Path, tmp_path: Path) -> None:
    done = run_script("image_dataset.py", photographs, "--out", "out", "--workers", "2", cwd=tmp_path)
    assert "identical to the plain loop's output" in done.stdout
    assert "times as fast" in done.stdout
    rows = read_manifest(tmp_path / "out" / "manifest.csv")
    saved = sorted(row["output"] for row in rows if row["status"] == "saved")
    assert saved == sorted(path.name for path in (tmp_path / "out" / "images").iterdir())
    assert [row["reason"].partition(":")[0] for row in rows if row["status"] == "damaged"] == ["UnidentifiedImageError", "OSError"]


def test_image_job_makes_its_own_photographs_without_a_folder(tmp_path: Path) -> None:
    done = run_script("image_dataset.py", "--number", "30", "--out", "out", cwd=tmp_path)
    assert len(list((tmp_path / "out" / "photographs").glob("*.jpg"))) == 30
    assert "identical to the plain loop's output" in done.stdout


def test_image_job_run_again_replaces_its_data_set(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "out" / "images" / "mine.jpg"
    (tmp_path / "few").mkdir()
    for path in sorted(photographs.iterdir())[:20]:
        shutil.copy(path, tmp_path / "few")
    assert image_dataset.main([str(photographs), "--out", str(tmp_path / "out"), "--workers", "1", "--no-comparison"]) == 0
    mine.touch()
    assert image_dataset.main([str(tmp_path / "few"), "--out", str(tmp_path / "out"), "--workers", "1", "--no-comparison"]) == 0
    saved = {row["output"] for row in read_manifest(tmp_path / "out" / "manifest.csv")} - {""}
    assert {path.name for path in mine.parent.iterdir()} == saved | {"mine.jpg"}
    assert "20 files" in capsys.readouterr().out


def test_image_job_says_when_there_is_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert image_dataset.main([str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no image files" in capsys.readouterr().err


def test_clients_each_record_is_in_exactly_one_list_in_file_order(tmp_path: Path) -> None:
    lists = clients.main(50_000)
    clients.write_clients(tmp_path / "clients.json", 50_000)
    tidied = [clients.tidy(client) for client in clients.read_clients(tmp_path / "clients.json")]
    assert list(lists[0]) == [client for client in tidied if not clients.has_email(client)]
    assert list(lists[1]) == [client for client in tidied if clients.has_email(client) and not clients.has_phone(client)]
    assert list(lists[2]) == [client for client in tidied if clients.has_email(client) and clients.has_phone(client)]


def test_clients_runs_as_a_script(tmp_path: Path) -> None:
    assert "in all 1000: nobody lost, nobody twice" in run_script("clients.py", "1000", cwd=tmp_path).stdout


def test_csv_files_are_put_together_in_order(tmp_path: Path) -> None:
    paths = [csv_job.write_sales(number, tmp_path, 300) for number in range(12)]
    expected = pd.concat([csv_job.read_sales(path) for path in paths], ignore_index=True)
    pd.testing.assert_frame_equal(csv_job.main(12, 300), expected)


def test_http_answers_come_in_order_and_only_what_failed_is_asked_twice() -> None:
    number = 1000
    answers, requests = http_fetch.main(number)
    assert list(answers) == [http_fetch.measurement(station) for station in range(number)]
    assert requests == number + sum(map(http_fetch.fails_at_first, range(number)))


def test_camera_is_never_slowed_and_the_display_shows_the_newest(tmp_path: Path) -> None:
    camera.film(tmp_path / "camera.avi", 100)
    expected = plain_motion(tmp_path / "camera.avi")
    shown = camera.watch(tmp_path / "camera.avi")
    numbers = [one.number for one in shown]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 99, "the newest frame is always kept"
    assert 2 <= len(numbers) < 100, "a display at a third of the camera's rate cannot show every frame"
    assert [one.motion for one in shown] == [expected[number] for number in numbers], "each frame is compared with the one before it"


def plain_motion(path: Path) -> list[float]:
    detector = camera.MotionDetector()
    return [detector.look(frame)[1] for frame in camera.camera(path)]


def test_every_batch_is_classified_as_by_one_model_and_tallied_in_order(tmp_path: Path) -> None:
    weights = tmp_path / "weights.npz"
    digits_model.train(weights)
    model, tally = digits_model.Model(weights), digits_model.Tally()
    pictures = list(digits_model.pictures(1000))
    expected = [tally.add(model.predict([picture])[0]) for picture in pictures]
    assert list(digits_model.main(1000)) == expected
    assert expected[-1][1] > 0.9


@pytest.mark.parametrize("start_method", ["fork", "forkserver", "spawn"])
def test_a_script_whose_items_are_of_its_own_classes_runs_with_each_start_method(start_method: str, tmp_path: Path) -> None:
    done = run_script("digits_model.py", "300", cwd=tmp_path, OLYMPIPE_NG_START_METHOD=start_method)
    assert "300 pictures classified" in done.stdout
    assert "of 300 right" in done.stdout, "what a worker prints as it closes is seen"


def test_training_sees_its_own_samples_in_a_new_order_each_epoch() -> None:
    outcome = train_validation.main(2)
    samples = [train_validation.normalise(sample) for sample in train_validation.samples()]
    validation = [train_validation.is_for_validation(sample) for sample in samples]
    digits = sorted(sample.digit for sample, held_out in zip(samples, validation, strict=True) if not held_out)
    assert outcome.validated == sum(validation)
    assert outcome.trained == len(samples) - sum(validation)
    assert [sorted(order) for order in outcome.orders] == [digits, digits]
    assert outcome.orders[0] != outcome.orders[1]
    assert outcome.accuracy > 0.8


def test_damaged_photographs_are_of_three_kinds(tmp_path: Path) -> None:
    originals = list(image_dataset.find_real_photographs())
    contents = []
    for number in (24, 49, 74):
        image_dataset.make_photograph(number, tmp_path, originals)
        contents.append((tmp_path / f"photograph-{number:05d}.jpg").read_bytes())
    assert contents[0] == b""
    assert contents[1].startswith(b"\xff\xd8")
    assert not contents[1].endswith(b"\xff\xd9"), "cut in the middle"
    assert contents[2].isascii()


def test_photographs_differ_and_are_the_same_each_time(tmp_path: Path) -> None:
    originals = list(image_dataset.find_real_photographs())
    image_dataset.make_photograph(1, tmp_path, originals)
    first = (tmp_path / "photograph-00001.jpg").read_bytes()
    image_dataset.make_photograph(1, tmp_path, originals)
    image_dataset.make_photograph(9, tmp_path, originals)
    assert (tmp_path / "photograph-00001.jpg").read_bytes() == first
    assert (tmp_path / "photograph-00009.jpg").read_bytes() != first


def test_camera_reuses_its_buffer_as_drivers_do(tmp_path: Path) -> None:
    camera.film(tmp_path / "camera.avi", 3)
    frames = list(camera.camera(tmp_path / "camera.avi"))
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert all(np.shares_memory(frame.picture, frames[0].picture) for frame in frames)
