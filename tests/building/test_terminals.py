"""What runs a pipeline: which run is made, what comes of it, and what is left behind."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading

import pytest

from olympipe_ng import GraphError, Pipeline, Results, SourceConsumed, StageError

ENGINES = ["inline", "thread", "process"]
TIMEOUT = 30


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


def fail_at_three(x):
    if x == 3:
        raise OSError("disk")
    return x


def test_wait_for_result_gives_everything_in_order_with_a_report(engine):
    """The results are a list, and know how the run went."""
    results = Pipeline(range(20), engine=engine).task(lambda x: x * x, count=3).wait_for_result()
    assert results == [x * x for x in range(20)]
    assert isinstance(results, Results)
    assert results.errors == []
    assert results.report is not None


def test_a_pipeline_can_be_run_again(engine):
    """Nothing of a run is left in the pipeline; each run of a re-iterable source is whole."""
    pipeline = Pipeline([1, 2], engine=engine).batch(2)
    assert [pipeline.wait_for_result(), list(pipeline), pipeline.wait_for_result()] == [[[1, 2]]] * 3


def test_several_pipelines_run_together_and_each_branch_sees_every_item(engine):
    """``wait_for_results`` and ``wait_for_all_results`` give a list of lists with one report."""
    numbers = Pipeline(range(6), engine=engine)
    even, odd = numbers.filter(lambda x: x % 2 == 0), numbers.filter(lambda x: x % 2)
    for results in (even.wait_for_results([odd]), Pipeline.wait_for_all_results([even, odd]), Pipeline.wait_for_all_results((even, odd))):
        assert results == [[0, 2, 4], [1, 3, 5]]
        assert isinstance(results, Results)
        assert results.report is not None
        assert results.errors == []
    assert even.wait_for_results() == [[0, 2, 4]]


def test_a_pipeline_may_be_awaited_twice(engine):
    """The same pipeline in two places gives its results in both."""
    numbers = Pipeline([1, 2], engine=engine).task(abs)
    assert numbers.wait_for_results([numbers]) == [[1, 2], [1, 2]]


def test_two_graphs_run_together(engine):
    """Pipelines of different sources need nothing in common but their options."""
    assert Pipeline.wait_for_all_results([Pipeline([1], engine=engine), Pipeline(["ab"], engine=engine)]) == [[1], ["ab"]]


def test_wait_for_completion_throws_the_output_away(engine):
    """It returns the report, after everything has run."""
    seen = []
    numbers = Pipeline(range(5), engine=engine)
    report = numbers.tap(seen.append).wait_for_completion([numbers.task(abs)])
    assert seen == ([] if engine == "process" else [0, 1, 2, 3, 4])  # a worker has a list of its own
    assert report is not None


def test_wait_and_reduce_gives_one_value(engine):
    """The item comes first, the accumulator second; an empty stream gives the accumulator."""
    assert Pipeline(["a", "b"], engine=engine).wait_and_reduce("", lambda item, text: text + item) == "ab"
    assert Pipeline([], engine=engine).wait_and_reduce(7, max) == 7


def test_a_loop_gives_the_items_before_the_error(engine):
    """An error stands where its item stands."""
    given = []
    with pytest.raises(StageError, match="disk"):
        given.extend(Pipeline(range(9), engine=engine).task(fail_at_three))
    assert given == [0, 1, 2]


def test_leaving_a_loop_stops_the_run_and_closes_the_source(engine):
    """``break`` runs the generator's ``finally`` and leaves no thread behind."""
    closed = threading.Event()
    threads = threading.active_count()

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    for item in Pipeline(endless, engine=engine).task(abs):
        if item == 3:
            break
    assert closed.wait(TIMEOUT)
    assert threading.active_count() == threads


def test_an_iterator_that_nobody_holds_stops_its_run(engine):
    """``next(iter(pipeline))`` leaves nothing running."""
    closed = threading.Event()

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    assert next(iter(Pipeline(endless, engine=engine))) == 0
    gc.collect()
    assert closed.wait(TIMEOUT)


def test_unpacking_and_builtins_take_a_pipeline(engine):
    """A pipeline is an iterable like any other."""
    numbers = Pipeline(iter([3, 1, 2]), engine=engine).task(abs)
    first, *rest = numbers
    assert (first, rest) == (3, [1, 2])
    with pytest.raises(SourceConsumed):
        list(numbers)


def test_start_gives_a_run_to_hold(engine):
    """The run is iterated for this pipeline's results, and by ``iterate`` for another's."""
    numbers = Pipeline(range(3), engine=engine)
    texts = numbers.task(str)
    with numbers.start([texts]) as run:
        mine, others = run.iterate(numbers), run.iterate(texts)
        assert list(zip(mine, others, strict=True)) == [(0, "0"), (1, "1"), (2, "2")]
        run.wait()


def test_async_for_gives_the_results(engine):
    """A pipeline is an async iterable too, whatever its source."""

    async def main():
        return [item async for item in Pipeline(range(4), engine=engine).task(lambda x: x + 1)]

    assert asyncio.run(main()) == [1, 2, 3, 4]


def test_async_for_iterates_an_async_source_on_the_users_loop():
    """What the source awaits belongs to the loop of the user's program."""
    loops = set()

    async def numbers():
        for number in range(3):
            loops.add(asyncio.get_running_loop())
            await asyncio.sleep(0)
            yield number

    async def main():
        items = [item async for item in Pipeline(numbers, engine="thread").task(lambda x: x * 2)]
        return items, asyncio.get_running_loop()

    items, loop = asyncio.run(main())
    assert items == [0, 2, 4]
    assert loops == {loop}


def test_async_for_raises_the_error_in_its_place(engine):
    """As in a plain loop."""

    async def main():
        async for item in Pipeline(range(9), engine=engine).task(fail_at_three):
            given.append(item)

    given = []
    with pytest.raises(StageError, match="disk"):
        asyncio.run(main())
    assert given == [0, 1, 2]


def test_leaving_an_async_loop_stops_the_run():
    """``break`` closes an async source on the user's loop."""
    closed = []

    async def endless():
        try:
            for number in itertools.count():
                await asyncio.sleep(0)
                yield number
        finally:
            closed.append(True)

    async def main():
        async for item in Pipeline(endless, engine="thread"):
            if item == 2:
                break
        while not closed:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))
    assert closed == [True]


def test_an_async_source_runs_without_async_for(engine):
    """Under a plain terminal it has a loop of its own."""

    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    assert Pipeline(numbers, engine=engine).task(abs).wait_for_result() == [0, 1, 2]


@pytest.mark.parametrize(
    ("suffix", "beginning"),
    [("", "digraph"), (".dot", "digraph"), (".mmd", "flowchart"), (".svg", "<svg"), (".html", "<svg"), (".txt", "0  source")],
)
def test_debug_graph_writes_the_graph(tmp_path, suffix, beginning):
    """Every terminal of olympipe that took ``debug_graph`` writes there, drawn by the path's suffix."""
    path = tmp_path / f"graph{suffix}"
    pipeline = Pipeline([1], engine="inline").task(abs)
    for wait in (pipeline.wait_for_result, pipeline.wait_for_results, pipeline.wait_for_completion):
        path.unlink(missing_ok=True)
        wait(debug_graph=path)
        assert path.read_text().startswith(beginning)
    Pipeline.wait_for_all_results([pipeline, pipeline.task(str)], debug_graph=str(path))
    assert "abs" in path.read_text()


def test_a_graph_is_not_written_as_what_it_is_not(tmp_path):
    """A suffix that nothing here draws is refused before anything runs, and the known ones are named."""
    path = tmp_path / "graph.png"
    with pytest.raises(GraphError, match=r"one of \.dot, \.gv, \.html, \.mmd, \.svg, \.txt"):
        Pipeline([1], engine="inline").wait_for_result(debug_graph=path)
    assert not path.exists()


@pytest.mark.parametrize("others", [Pipeline([2], engine="inline"), [3]])
def test_several_pipelines_come_in_a_list(others):
    """A pipeline in place of a list is iterable, and would be run: it is refused, as is what is no pipeline."""
    pipeline = Pipeline([1], engine="inline")
    for wait in (pipeline.wait_for_results, pipeline.wait_for_completion, Pipeline.wait_for_all_results, pipeline.start):
        with pytest.raises(GraphError, match="pipelines"):
            wait(others)


def test_pipelines_of_different_options_do_not_run_together():
    """Both values are named, at the terminal."""
    with pytest.raises(GraphError, match="engine='inline' and engine='thread'"):
        Pipeline([1], engine="inline").start([Pipeline([1], engine="thread")])
