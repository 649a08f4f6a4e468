"""``latest`` before a slow stage: what the stage is given was the newest a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from olympipe_ng import Pipeline, SourceError
from olympipe_ng.options import run_config
from olympipe_ng.plan import make_plan


def test_nothing_waits_behind_latest() -> None:
    """The edge behind ``latest`` holds one item, unless the stage behind it asks for more."""
    fresh = Pipeline(range(3)).latest(1)
    for pipeline, bound in ((fresh, 1), (fresh.task(str), 1), (fresh.task(str, queue_size=7), 7)):
        plan, nodes = make_plan([pipeline.outlet], run_config({}))
        latest = next(number for number, node in enumerate(nodes) if node.stage.label == "latest")
        assert [edge.queue_size for edge in plan.edges if edge.producer == latest] == [bound]


@pytest.mark.parametrize("engine", ["inline", "thread", "process"])
def test_the_newest_item_is_never_dropped(engine: Literal["inline", "thread", "process"]) -> None:
    """Whatever is dropped, the last item of the stream comes out, and order is kept."""
    seen = Pipeline(range(200), engine=engine, progress=False).task(abs).latest(1).wait_for_result()
    assert seen[-1] == 199
    assert seen == sorted(seen)


@pytest.mark.parametrize("engine", ["inline", "thread", "process"])
def test_what_latest_holds_comes_before_an_error_that_stands_behind_it(engine: Literal["inline", "thread", "process"]) -> None:
    """It was not overtaken by newer items: it only waited for downstream to take it."""
    def source() -> Iterator[int]:
        yield from range(10)
        raise OSError("the camera is gone")

    results = iter(Pipeline(source, engine=engine, progress=False).latest(10))
    assert [next(results) for _ in range(10)] == list(range(10))
    with pytest.raises(SourceError, match="the camera is gone"):
        next(results)
