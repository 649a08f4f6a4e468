"""PyTorch's ``DataLoader`` over all steps as one function; its input is inherited by fork, so items travel once, not twice.

``chunk=512`` items in a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from olympipe_ng.lazy import lazy

from ..contract import Job

MODULES = ("torch",)
data = lazy("torch.utils.data")


class _Set:
    """A data set whose items are what all steps make of the source's."""

    def __init__(self, items: list[Any], job: Job) -> None:
        self.items = items
        self.job = job

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.job.through(self.items[index])


def run(job: Job, source: Iterable[Any]) -> Iterator[Any]:
    items = _Set(list(source), job)
    size = int(job.options.get("chunk", 1))
    for batch in data.DataLoader(items, batch_size=size, num_workers=job.pool_size, collate_fn=_as_list, multiprocessing_context="fork"):
        yield from batch


def _as_list(batch: list[Any]) -> list[Any]:
    return batch
