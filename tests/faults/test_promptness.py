"""How soon a death is noticed and mended. The times are those of the processes themselves: one clock, ``time.monotonic``, serves all."""

from __future__ import annotations

from tests.faults.helpers import Script

BOUND = 0.1  # seconds, for the median

KILLING = """
import os, signal, statistics, time
from olympipe_ng import Pipeline

KILLS = 15
BIRTH = {"at": 0.0}

def take_note():
    BIRTH["at"] = time.monotonic()

def stamp(x):
    began = time.monotonic()
    while time.monotonic() < began + 0.001:
        pass
    return os.getpid(), BIRTH["at"], began

born, worked, came, killed_at, victim, mended_at = [], [], [], 0.0, 0, 0
items = Pipeline(range(1_000_000), start_method="fork", queue_size=4, retries=3, progress=False).task(stamp, initializer=take_note)
with items.start() as run:
    for k, (pid, birth, began) in enumerate(run):
        if killed_at and pid != victim:
            born.append(birth - killed_at)
            worked.append(began - killed_at)
            came.append(time.monotonic() - killed_at)
            killed_at, mended_at = 0.0, k
            if len(born) == KILLS:
                break
        if not killed_at and k >= mended_at + 50:
            victim, killed_at = pid, time.monotonic()
            os.kill(pid, signal.SIGKILL)
print("medians", *map(statistics.median, (born, worked, came)))
"""


def test_f01_a_death_is_noticed_and_the_next_item_comes_within_a_tenth_of_a_second(tmp_path):
    """From SIGKILL to the birth of the successor, to the item that it begins with, and to that item's arrival: medians of many kills.

    In a process of its own: what a fork costs is a matter of the caller's size, and that of a long test run is no user's.
    """
    with Script(tmp_path, KILLING) as script:
        born, worked, came = map(float, script.line("medians").split())
        script.end()
    print(f"replaced after {born * 1000:.1f} ms, at work after {worked * 1000:.1f} ms, its first item here after {came * 1000:.1f} ms")
    assert born < BOUND
    assert worked < BOUND
    assert came < BOUND
