from __future__ import annotations

import doctest
import json
from importlib import import_module
from typing import Any

import pytest

from olympipe_ng import Pipeline, RunReport
from olympipe_ng.failures import Note
from olympipe_ng.scheduler.messages import Counts
from tests.seeing.hand_made import StillRun, failure, load, record, resize


def photographs(**options: Any) -> StillRun:
    """Say what a run of 12.5 seconds did: 1 000 files, of which some are broken and some too small; resizing holds it up."""
    pipeline = Pipeline(range(1000)).task(load).filter(bool, name="keep").task(resize).batch(8)
    loaded, kept = Counts(passed=980, failed=20), Counts(passed=800, filtered=180)
    records = [
        record(0, 1000, 1000),
        record(1, 1000, 980, counts=loaded, busy=3.8, moving=0.4, slowest=0.12),
        record(2, 980, 800, counts=kept, busy=0.001, moving=0.1, slowest=1e-6),
        record(3, 800, 800, busy=11.75, moving=0.05, slowest=0.2),
        record(4, 800, 100, moving=0.05),
        record(5, 100, 100),
    ]
    return StillRun([pipeline], *records, elapsed=12.5, **options)


def report(run: StillRun, *, cores: int = 8) -> RunReport:
    statistics = run.statistics()._replace(cores=cores)  # those of the machine would decide the hint
    return RunReport(statistics)


def text(run: StillRun) -> str:
    return str(report(run))


TABLE = """\
stage        in    out  failed  rate  busy  function  moving  waiting  per item
0 source  1 000  1 000       -  80/s     -         -       -        -         -
1 load    1 000    980      20  80/s  30 %     3.8 s  400 ms    8.3 s    3.8 ms
2 keep      980    800       -  78/s   0 %      1 ms  100 ms     12 s      1 us
3 resize    800    800       -  64/s  94 %      12 s   50 ms   700 ms     15 ms
4 batch     800    100       -  64/s   0 %       0 s   50 ms     12 s       0 s"""


def test_the_table_splits_the_time_of_each_stage() -> None:
    """In, out and failed; in the user's function, moving items, waiting."""
    assert f"\n\n{TABLE}\n\n" in text(photographs())


def test_columns_are_aligned_and_narrow() -> None:
    """Every line is as long as the others, within 100 characters."""
    [length] = {len(line) for line in TABLE.splitlines()}
    assert length <= 100


def test_long_names_and_large_numbers_stay_within_a_hundred_columns() -> None:
    """A name is cut, a number beyond a million has three digits."""
    pipeline = Pipeline(range(9)).task(load, 16, threads=32, name="a very long name of a stage, with words\nand lines")
    counts = Counts(passed=123_456_789, failed=999_999)
    lines = text(StillRun([pipeline], record(0, 124_456_788), record(1, 124_456_788, 10**11, counts=counts, busy=1e5))).splitlines()
    assert max(map(len, lines[2:5])) <= 100
    assert "a very long ... x16x32" in lines[4]


def test_the_headline_says_how_much_and_how_long() -> None:
    """A run that still goes on says so."""
    assert text(photographs().finish()).startswith("12 s: 1 000 items read, 100 results, 20 items failed\n")
    assert text(photographs()).startswith("12 s so far: ")


def test_the_error_of_the_run_is_in_the_headline() -> None:
    """One need not look for it above."""
    run = photographs().finish()
    run.note = Note("too many", summary="20 of 1000 items failed")
    assert "; ended by an error: 20 of 1000 items failed\n" in text(run)


# -------------------------------------------------------------------------------------------------------------- bottleneck


def test_the_bottleneck_is_named_with_what_would_help() -> None:
    """How busy, how much more than the next, and how many workers would even that out."""
    assert "bottleneck: resize: 94 % busy, 2.8x the next - try count=3\n" in text(photographs())


def test_no_more_workers_are_proposed_than_there_are_cores() -> None:
    """A machine of two cores is not helped by three workers."""
    assert str(report(photographs(), cores=2).bottleneck).endswith("try count=2")
    assert "it has a worker for each of the 1 cores" in str(report(photographs(), cores=1).bottleneck)


def test_a_stage_of_coroutines_is_given_more_of_them() -> None:
    """Workers are not what an ``async def`` lacks."""

    async def fetch(url: int) -> int:
        return url

    run = StillRun([Pipeline(range(9)).task(fetch, concurrency=4)], record(0, 9, 9), record(1, 9, 9, busy=39.0))
    assert str(report(run).bottleneck) == "fetch: 98 % busy - try concurrency=8"


def test_a_stage_that_mostly_moves_items_is_told_so() -> None:
    """More workers would not help where the time goes into copying."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 9, busy=1.0, moving=8.0))
    assert "moving items takes longer" in str(report(run).bottleneck)


def test_a_fold_is_not_told_to_take_more_workers() -> None:
    """What holds one state has one worker."""
    run = StillRun([Pipeline(range(9)).reduce(0, max)], record(0, 9, 9), record(1, 9, 1, busy=9.0))
    assert str(report(run).bottleneck) == "max: 90 % busy"


def test_the_inline_engine_is_its_own_bottleneck() -> None:
    """A count would change nothing in one thread."""
    assert str(report(photographs(engine="inline")).bottleneck).endswith('try engine="process"')


def test_no_stage_is_blamed_for_a_slow_source() -> None:
    """Where nobody is busy half the time there is no bottleneck among the stages."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 9, busy=1.0))
    assert report(run).bottleneck is None
    assert "bottleneck: no stage is busy half the time" in text(run)


def test_a_short_run_is_not_judged() -> None:
    """The start of workers hides what they would have done."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 9, busy=0.01), elapsed=0.1)
    assert "bottleneck" not in text(run)


# ------------------------------------------------------------------------------------------------------------------ ledger


def test_the_ledger_says_what_became_of_every_item() -> None:
    """A line for each stage, without what is zero."""
    assert (
        "ledger\n"
        "1 load    1 000 in = 980 out + 20 failed\n"
        "2 keep    980 in = 800 out + 180 filtered\n"
        "3 resize  800 in = 800 out\n"
        "4 batch   800 in = 800 out (which gave 100 items)\n"
    ) in text(photographs().finish()) + "\n"


def test_a_stage_that_gave_nothing_has_a_short_line() -> None:
    """Nothing in is nothing out; all filtered is all filtered."""
    records = [record(0, 4, 4), record(1, 4, 0, counts=Counts(filtered=4)), record(2)]
    lines = text(StillRun([Pipeline(range(4)).filter(load).task(load)], *records).finish()).splitlines()
    assert lines[-2:] == ["1 load  4 in = 4 filtered", "2 load  0 in = 0 out"]


def test_what_is_under_way_is_in_the_ledger_of_a_run_that_goes_on() -> None:
    """Before the end the sides differ by what is in the stage."""
    run = StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), record(1, 9, 5, counts=Counts(passed=5)))
    assert "9 in = 5 out + 4 under way" in text(run)


# ------------------------------------------------------------------------------------------------------ failures, warnings


def test_failures_are_shown_with_the_first_of_each_kind() -> None:
    """Grouped by stage and exception; the text of an exception may have several lines."""
    run = photographs()
    for index in range(20):
        run.record(failure(index=index, summary="OSError: truncated\nat byte 7"))
    assert (
        "failures\n"
        "  20 x OSError in stage 1 'load'; the first:\n"
        "    stage 1 'load' (app.py:41), item 0: OSError: truncated\n"
        "    at byte 7\n"
    ) in text(run) + "\n"


def test_it_says_when_only_some_failures_were_kept() -> None:
    """A group counts those whose texts were kept, which may be fewer than failed."""
    run = photographs()
    for _ in range(1000):
        run.record(failure())
    run.unaccounted = 1480  # beside the 20 of the stages
    assert "failures (the first 1 000 of 1 500)\n" in text(run)


def test_warnings_of_the_run_are_shown() -> None:
    """A stream that was cut says so where one looks."""
    run = photographs().finish()
    run.warnings.append("timeout: no item came for 2 s: cut after 17 items")
    assert text(run).endswith("warnings\n  timeout: no item came for 2 s: cut after 17 items")


def test_a_run_that_goes_on_shows_what_waits() -> None:
    """What waits before a stage, in its workers' hands, and whether it has room for its results."""
    waiting = record(1, 9, 5, counts=Counts(passed=5), waiting=1204, waiting_bytes=5_800_000, in_hand=2, blocked=True)
    shown = text(StillRun([Pipeline(range(9)).task(load)], record(0, 9, 9), waiting))
    assert shown.endswith("now\n  1 load: 1 204 items waiting (5.8 MB), 2 in hand, no room for results")


# -------------------------------------------------------------------------------------------------------- other forms of it


def test_json_holds_all_that_the_dict_holds() -> None:
    """What is read back is what was written."""
    run = photographs().finish()
    run.record(failure())
    made = report(run)
    described = json.loads(made.to_json(indent=2))
    assert described == json.loads(json.dumps(made.to_dict()))
    assert [stage["name"] for stage in described["stages"]] == ["source", "load", "keep", "resize", "batch"]
    assert described["bottleneck"]["text"] == "resize: 94 % busy, 2.8x the next - try count=3"
    assert described["failures"][0]["exception"] == "OSError"
    assert described["elapsed"] == 12.5


def test_json_of_any_text_can_be_written_to_a_file() -> None:
    """A file name that is not UTF-8, in the text of an exception or of a source's item, is escaped as JSON does."""
    run = photographs().finish()
    run.record(failure(summary="ValueError: caf\u00e9 \udce9.jpg"))
    written = report(run).to_json().encode()
    assert "caf\u00e9".encode() in written
    assert json.loads(written)["failures"][0]["first"].endswith("caf\u00e9 \udce9.jpg")


def test_html_is_escaped() -> None:
    """A stage's name and an exception's text are text, whatever is in them."""
    run = StillRun([Pipeline(range(9)).task(load, name="<script>")])
    run.record(failure(summary="ValueError: <b>&"))
    shown = report(run)._repr_html_()
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "&lt;script&gt;" in shown
    assert "ValueError: &lt;b&gt;&amp;" in shown
    assert shown.count("<tr>") == 3


def test_attributes_give_what_is_printed() -> None:
    """One need not take the text apart."""
    run = photographs()
    run.record(failure())
    made = report(run)
    assert (made.elapsed, made.failed, len(made.errors), len(made.failures)) == (12.5, 20, 1, 1)
    assert made.stages[3].name == "resize"


@pytest.mark.parametrize("elapsed", [0.0, 5.0])
@pytest.mark.parametrize("finished", [True, False])
def test_an_empty_run_has_a_report(elapsed: float, finished: bool) -> None:
    """Nothing ran: every form of the report is there all the same."""
    run = StillRun([Pipeline([]).task(load).batch(2)], elapsed=elapsed)
    made = report(run.finish() if finished else run)
    assert "0 items read, 0 results" in str(made)
    assert made.bottleneck is None
    assert json.loads(made.to_json())["done"] == 0
    assert made._repr_html_().startswith("<p>")


def test_a_run_without_stages_has_a_report() -> None:
    """A source alone has a table of one line, and no ledger."""
    assert "ledger" not in text(StillRun([Pipeline([1])], record(0, 1, 1), record(1, 1, 1)).finish())


@pytest.mark.parametrize("module", ["statistics", "report", "units"])
def test_examples_in_docstrings_are_true(module: str) -> None:
    """What a docstring shows is what happens."""
    assert doctest.testmod(import_module(f"olympipe_ng.{module}")).failed == 0
