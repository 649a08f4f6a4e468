"""One contestant does one job, in a process of its own: ``python -m benchmarks.child WORKLOAD CONTESTANT ITEMS OUT``.

Writes what it found to OUT as JSON: seconds, the figure, and fingerprints of the results, in their order and sorted.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .contract import Job, Workload, parse
from .peers import load_peer
from .workloads import find_workload

__all__ = ["fingerprint", "main"]


def fingerprint(results: Iterable[Any]) -> tuple[str, str]:
    """Return two digests of some results: in their order, and in any."""
    texts = [repr(result) for result in results]
    return _digest(texts), _digest(sorted(texts))


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def run(workload: Workload, contestant: str, items: int) -> dict[str, Any]:
    peer_name, options = parse(contestant)
    peer, job = load_peer(peer_name), Job(workload, options)
    for module in workload.modules:
        importlib.import_module(module)
    for _ in range(workload.warm_runs):
        list(peer.run(job, workload.source(items)))
        time.sleep(workload.rest)
    source = workload.source(items)
    started = time.perf_counter()
    kept = workload.finish([workload.keep(result) for result in peer.run(job, source)])
    seconds = time.perf_counter() - started
    in_order, in_any_order = fingerprint(map(workload.check, kept))
    figure = workload.measure.of(kept, seconds, items)
    return {"seconds": seconds, "figure": figure, "in_order": in_order, "in_any_order": in_any_order, "results": len(kept)}


def main(workload: str, contestant: str, items: str, out: str) -> None:
    found = run(find_workload(workload), contestant, int(items))
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
