"""``repeat`` runs upstream again, epoch after epoch."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading

import pytest

from olympipe_ng import Pipeline, SourceConsumed, SourceError, StageError, TooManyFailures, current_item, run

ENGINES = ["inline", "thread", "process"]
TIMEOUT = 30


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


CHAINS = {
    "a source": (lambda p: p, [0, 1, 2]),
    "batches": (lambda p: p.batch(2), [[0, 1], [2]]),
    "a task": (lambda p: p.task(lambda x: x * 10), [0, 10, 20]),
    "two branches": (lambda p: p.filter(lambda x: x < 1).gather(p.filter(lambda x: x > 1)), [0, 2]),
    "nothing": (lambda p: p.filter(lambda x: x > 5), []),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("times", [0, 1, 3])
def test_repeat_gives_upstream_so_many_times(engine, name, times):
    """Every epoch is whole and in order; none at all for 0."""
    build, once = CHAINS[name]
    results = build(Pipeline(range(3), engine=engine)).repeat(times).wait_for_result()
    assert sorted(results) == sorted(once * times) if name == "two branches" else results == once * times


def test_an_endless_repeat_is_ended_downstream(engine):
    """Without ``times`` it goes on until nobody wants more."""
    assert Pipeline([1, 2], engine=engine).task(abs).repeat().limit(5).wait_for_result() == [1, 2, 1, 2, 1]


def test_an_endless_repeat_of_nothing_ends(engine):
    """An empty stream repeated for ever is empty, as with ``itertools.cycle``."""
    assert Pipeline([], engine=engine).repeat().wait_for_result() == []
    assert Pipeline([1], engine=engine).filter(lambda x: False).repeat().wait_for_result() == []


def test_upstream_is_really_run_again(engine):
    """A source function is called once per epoch, and what follows sees the items of its own epoch."""
    epochs = itertools.count(1)

    def source():
        yield next(epochs)

    assert Pipeline(source, engine=engine).task(abs).repeat(3).wait_for_result() == [1, 2, 3]


@pytest.mark.parametrize("build", [lambda p: p, lambda p: p.batch(1), lambda p: p.task(abs)])
def test_a_one_shot_source_has_one_epoch(engine, build):
    """The second epoch of an iterator is ``SourceConsumed``, after the items of the first, and not wrapped in another error."""
    given = []
    with pytest.raises(SourceConsumed, match="already consumed"):
        given.extend(build(Pipeline(iter([1, 2]), engine=engine)).repeat(2))
    assert len(given) == len(build(Pipeline([1, 2], engine="inline")).wait_for_result())


def test_an_error_of_an_epoch_is_raised_as_it_is(engine):
    """The failing stage upstream is named, not the repeat around it; what came before is given."""

    def fail(x):
        if x == 2:
            raise OSError("disk")
        return x

    given = []
    with pytest.raises(StageError, match=r"'fail'.*disk") as caught:
        given.extend(Pipeline([1, 2], engine=engine).task(fail).repeat(2))
    assert given == [1]
    assert isinstance(caught.value.__cause__, OSError)


def test_an_error_of_the_repeated_source_is_a_source_error(engine):
    """A source that raises in its epoch is the source's failure."""

    def broken():
        yield 1
        raise OSError("disk")

    with pytest.raises(SourceError, match="disk"):
        Pipeline(broken, engine=engine).repeat(2).wait_for_result()


def test_each_epoch_of_a_seeded_pipeline_has_its_own_randomness_that_can_be_had_again(engine):
    """Epochs differ, runs do not."""
    pipeline = Pipeline(range(3), engine=engine, seed=5).task(lambda x: current_item().rng.random()).repeat(2)
    results = pipeline.wait_for_result()
    assert len(set(results)) == 6
    assert pipeline.wait_for_result() == results


def test_a_shuffle_before_a_repeat_gives_every_item_in_each_epoch(engine):
    """Each epoch is a permutation."""
    results = Pipeline(range(50), engine=engine, seed=5).shuffle().repeat(2).wait_for_result()
    assert sorted(results[:50]) == sorted(results[50:]) == list(range(50))
    assert results[:50] != results[50:]


def test_failures_of_every_epoch_are_recorded_in_the_run_around_them(engine, caplog):
    """``.errors``, the report and the one log line know what was collected upstream of a repeat."""
    inverse = Pipeline([1, 0, 2], engine=engine, on_error="collect").task(lambda x: 2 // x, name="inverse")
    for repeated in (inverse.repeat(2), inverse.repeat(2).repeat(1)):
        results = repeated.wait_for_result()
        assert results == [2, 1, 2, 1]
        assert len(results.errors) == 2
        assert all("stage 1 'inverse'" in error and "item 1 0" in error for error in results.errors)
        assert results.report.to_dict()["failed"] == 2
    assert [message[:15] for message in caplog.messages] == ["2 items failed;"] * 2


@pytest.mark.parametrize("policy", ["skip", "collect"])
def test_failures_of_all_epochs_are_one_budget(engine, policy):
    """``max_failures`` is what the whole run may lose, however small its epochs are."""
    inverse = Pipeline([1, 0, 2], engine=engine, on_error=policy).task(lambda x: 2 // x).repeat(3)
    assert inverse.options(max_failures=3).wait_for_result().report.failed == 3
    with pytest.raises(TooManyFailures, match=r"3 of .* items failed, more than max_failures=2 allows in the whole run"):
        inverse.options(max_failures=2).wait_for_result()


@pytest.mark.parametrize("policy", ["skip", "collect"])
def test_all_failures_of_an_epoch_are_counted(policy):
    """The report counts those, too, of which no text is kept."""
    failing = Pipeline(range(1200), engine="inline", on_error=policy).task(lambda x: 1 // 0).repeat(2)
    assert failing.wait_for_result().report.failed == 2400


def test_warnings_of_an_epoch_are_told_once_and_in_the_report(engine, caplog):
    """A branch upstream of a repeat that nobody awaits is named in the report of the whole."""
    even, _ = Pipeline([1, 2], engine=engine).split(lambda x: (x, None) if x % 2 == 0 else (None, x), 2)
    results = even.repeat(1).wait_for_result()
    assert results == [2]
    assert len(caplog.messages) == 1
    assert caplog.messages[0] in str(results.report)


def test_repeats_can_be_repeated(engine):
    """A repeat is a stage like any other."""
    assert Pipeline([1, 2], engine=engine).repeat(2).batch(3).repeat(2).wait_for_result() == [[1, 2, 1], [2]] * 2


def test_two_branches_behind_a_repeat_see_the_same_epochs(engine):
    """What is repeated is one source for all that is built on it."""
    epochs = itertools.count()
    repeated = Pipeline(lambda: [next(epochs)], engine=engine).repeat(3)
    assert Pipeline.wait_for_all_results([repeated.task(abs), repeated.task(str)]) == [[0, 1, 2], ["0", "1", "2"]]


def test_stopping_downstream_stops_the_epoch_and_closes_its_source(engine):
    """A run inside a run ends with it."""
    closed = threading.Event()
    threads = threading.active_count()

    def endless():
        try:
            yield from itertools.count()
        finally:
            closed.set()

    for build in (lambda p: p, lambda p: p.task(abs)):
        closed.clear()
        for item in build(Pipeline(endless, engine=engine)).repeat():
            if item == 3:
                break
        assert closed.wait(TIMEOUT)
    assert threading.active_count() == threads


def test_an_async_source_is_repeated(engine):
    """Each epoch iterates it anew."""

    async def numbers():
        for number in range(2):
            await asyncio.sleep(0)
            yield number

    assert Pipeline(numbers, engine=engine).repeat(2).wait_for_result() == [0, 1, 0, 1]
    assert Pipeline(numbers, engine=engine).task(abs).repeat(2).wait_for_result() == [0, 1, 0, 1]


def test_a_repeated_async_source_waits_on_the_users_loop_under_async_for():
    """The loop is found behind the repeat, too."""
    loops = set()

    async def numbers():
        loops.add(asyncio.get_running_loop())
        yield 1

    async def main():
        pipeline = Pipeline(numbers, engine="thread")
        items = [item async for item in pipeline.repeat(2)]
        items += [item async for item in pipeline.task(abs).repeat(2)]
        return items, asyncio.get_running_loop()

    items, loop = asyncio.run(main())
    assert items == [1, 1, 1, 1]
    assert loops == {loop}


def test_only_upstream_with_functions_needs_the_engine():
    """Batches of a list are repeated inline: no process is started to put items together."""
    seen = []
    start_run = run.start_run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "start_run", lambda sinks, config, **kw: seen.append(config.engine) or start_run(sinks, config, **kw))
        assert Pipeline([1, 2, 3], engine="thread").batch(2).repeat(2).wait_for_result() == [[1, 2], [3]] * 2
        assert Pipeline([1], engine="thread").task(abs).repeat(1).wait_for_result() == [1]
        assert Pipeline([1], engine="thread").repeat(1).wait_for_result() == [1]
    assert seen == ["thread", "inline", "inline", "thread", "thread", "thread"]


def test_options_behind_a_repeat_reach_what_stands_before_it():
    """``options`` says how the whole is run, wherever it is written: the engine, the seed and ``on_error`` too."""
    where = Pipeline(range(2)).task(lambda x: os.getpid()).repeat(2)
    assert set(where.options(engine="inline").wait_for_result()) == {os.getpid()}
    shuffled = Pipeline(range(50)).shuffle().repeat(1).options(seed=3)
    assert shuffled.wait_for_result() == shuffled.wait_for_result()
    numbers = Pipeline([1, "x"], engine="inline").task(int).repeat(1)
    assert numbers.options(on_error="skip").wait_for_result() == [1]


def test_a_preview_behind_a_repeat_starts_nothing():
    """What is repeated is looked at in this process, too, and so is what that repeats."""
    here = Pipeline(range(2)).task(lambda x: os.getpid()).repeat(1)
    assert set(here.preview(2)) == {os.getpid()}
    assert set(here.repeat(2).preview(4)) == {os.getpid()}


def test_functions_behind_two_repeats_are_run_by_the_engine(engine):
    """Batches between the two repeats do not bring what stands before them into the calling thread."""
    where = Pipeline([1], engine=engine).task(lambda x: (os.getpid(), threading.get_ident())).repeat(1).batch(1).repeat(1)
    [[(pid, thread)]] = where.wait_for_result()
    assert (pid == os.getpid()) is (engine != "process")
    assert ((pid, thread) == (os.getpid(), threading.get_ident())) is (engine == "inline")
