"""How soon a death is noticed and mended. The times are those of the processes themselves: one clock, ``time.monotonic``, serves all."""

from __future__ import annotations

import os
import signal
import statistics
import time

from olympipe_ng import Pipeline

KILLS = 15
BOUND = 0.1  # seconds, for the median
BIRTH = {"at": 0.0}


def take_note():
    BIRTH["at"] = time.monotonic()


def stamp(x):
    """Say who worked, since when it is there, and when it began with this item."""
    began = time.monotonic()
    while time.monotonic() < began + 0.001:
        pass
    return os.getpid(), BIRTH["at"], began


def test_f01_a_death_is_noticed_and_the_next_item_comes_within_a_tenth_of_a_second():
    """From SIGKILL to the birth of the successor, and to the first item that it begins with: both medians of many kills."""
    born, worked, came, killed_at, victim = [], [], [], 0.0, 0
    items = Pipeline(range(1_000_000), start_method="fork", queue_size=4, retries=3).task(stamp, initializer=take_note)
    with items.start() as run:
        for k, (pid, birth, began) in enumerate(run):
            if killed_at and pid != victim:
                born.append(birth - killed_at)
                worked.append(began - killed_at)
                came.append(time.monotonic() - killed_at)
                killed_at, mended_at = 0.0, k
                if len(born) == KILLS:
                    break
            if not killed_at and (not born or k > mended_at + 50):
                victim, killed_at = pid, time.monotonic()
                os.kill(pid, signal.SIGKILL)
    print(f"replaced after {statistics.median(born) * 1000:.1f} ms, at work after {statistics.median(worked) * 1000:.1f} ms")
    print(f"its first item came out after {statistics.median(came) * 1000:.1f} ms")
    assert statistics.median(born) < BOUND, born
    assert statistics.median(worked) < BOUND, worked
    assert statistics.median(came) < BOUND, came
