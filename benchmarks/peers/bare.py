"""Nothing but the processes that a run of ours needs, started and awaited: the base against which our start is measured.

``fork``: one process more than workers. ``interpreter``: one clean interpreter that imports what a run needs. ``spawn``: as many as
``fork``, by ``multiprocessing``.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from ..contract import Job

MODULES = ()
IMPORTS = "import olympipe_ng, cloudpickle"


def run(job: Job, source: Iterable[Any]) -> Iterable[Any]:
    number = 1 + sum(stage.workers for stage in job.stages)
    if "fork" in job.options:
        _fork(number)
    elif "interpreter" in job.options:
        subprocess.run([sys.executable, "-c", IMPORTS], check=True)
    else:
        _spawn(number)
    return [job.through(item) for item in source]


def _fork(number: int) -> None:
    for pid in [os.fork() or _leave() for _ in range(number)]:
        os.waitpid(pid, 0)


def _leave() -> int:
    os._exit(0)


def _spawn(number: int) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_import) for _ in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def _import() -> None:
    exec(IMPORTS, {})
