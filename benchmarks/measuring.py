"""Starts a contestant in a fresh process, watches its memory if asked, and ends whatever it left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from .child import fingerprint
from .contract import Workload

__all__ = ["Outcome", "expect", "measure"]

SAMPLE_SECONDS = 0.02  # a peak shorter than this may be missed; more often would cost the contestant time
ROOT = Path(__file__).resolve().parent.parent


class Outcome(NamedTuple):
    """What one run of one contestant gave."""

    seconds: float = 0.0
    figure: float = 0.0
    in_order: str = ""
    in_any_order: str = ""
    results: int = 0
    peak: int = 0  # bytes of the process tree (sum of PSS), where it was sampled
    trouble: str = ""

    def compared_with(self, reference: tuple[str, str]) -> Outcome:
        """Say so where the results are not the plain loop's."""
        if self.trouble or self.in_order == reference[0]:
            return self
        return self._replace(trouble="out of order" if self.in_any_order == reference[1] else "wrong results")


def measure(workload: Workload, contestant: str, items: int, *, memory: bool) -> Outcome:
    """Run a contestant once."""
    memory = memory or workload.measure.sampled
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "out.json"), Path(folder, "log")
        command = [sys.executable, "-m", "benchmarks.child", workload.name, contestant, str(items), str(out)]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)
            try:
                peak, in_time = _watch(process, workload.timeout, memory=memory)
            finally:
                _end(process)
        if not in_time:
            return Outcome(trouble=f"not ready after {workload.timeout:.0f} s")
        if not out.exists():
            return Outcome(trouble=_last_line(log))
        outcome = Outcome(**json.loads(out.read_text(encoding="utf-8")), peak=peak)
    return outcome._replace(figure=peak / 2**20) if workload.measure.sampled else outcome


def expect(workload: Workload, contestant: str, items: int, outcome: Outcome | None) -> tuple[str, str]:
    """Return the fingerprints that are right for a contestant: by arithmetic, or by a run of the plain loop."""
    if workload.expected is not None:
        return fingerprint(workload.expected(items))
    outcome = outcome or measure(workload, contestant, items, memory=False)
    if outcome.trouble:
        raise RuntimeError(f"the plain loop fails at {workload.name}: {outcome.trouble}")
    return outcome.in_order, outcome.in_any_order


def _watch(process: subprocess.Popen[bytes], timeout: float, *, memory: bool) -> tuple[int, bool]:
    """Wait for the end; return the peak of memory and whether it came in time."""
    deadline, peak = time.monotonic() + timeout, 0
    while time.monotonic() < deadline:
        wait = SAMPLE_SECONDS if memory else deadline - time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait)
            return peak, True
        peak = max(peak, _memory(process.pid)) if memory else 0
    return peak, False


def _memory(root: int) -> int:
    """Return the bytes that a process and its descendants hold; what they share is counted once (the sum of PSS)."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(root)
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a contestant's session, itself included."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:160] if lines else "ended without a result"
