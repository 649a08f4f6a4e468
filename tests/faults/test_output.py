"""F38: what workers print and log arrives whole, and never holds up data."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import sys
import threading

import pytest

from olympipe_ng import Pipeline
from tests.faults.helpers import Script, wait_until

METHODS = ["fork", "forkserver"]
ALL = ["fork", "forkserver", "spawn"]


@pytest.mark.parametrize("method", ALL)
def test_f38_printed_lines_arrive_whole(tmp_path, method):
    """10 000 lines of two workers, in each worker's order, none torn."""
    code = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    for k in range(100):
        print("worker", os.getpid(), "line", x * 100 + k, "x" * (k % 50), "end")
Pipeline(range(100), start_method=sys.argv[1]).task(say, 2).wait_for_completion()
"""
    with Script(tmp_path, code, method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    lines = output.splitlines()
    assert len(lines) == 10_000
    assert all(line.startswith("worker ") and line.endswith(" end") for line in lines)
    for pid in {line.split()[1] for line in lines}:
        mine = [int(line.split()[3]) for line in lines if line.split()[1] == pid]
        assert all(mine[at : at + 100] == list(range(mine[at], mine[at] + 100)) for at in range(0, len(mine), 100))


@pytest.mark.parametrize("method", ALL)
def test_f38_records_reach_the_callers_handlers(method, caplog):
    """Under every start method, with text, level, process and traceback."""

    def work(x):
        try:
            1 // x
        except ZeroDivisionError:
            logging.getLogger("mine.deep").exception("failed for %s", x)
        return x

    with caplog.at_level(logging.INFO):
        Pipeline(range(2), start_method=method).task(work).wait_for_completion()
    (record,) = [record for record in caplog.records if record.name == "mine.deep"]
    assert record.getMessage() == "failed for 0"
    assert record.process != os.getpid()
    assert "ZeroDivisionError" in record.exc_text


def test_f38_prints_reach_a_redirected_stream():
    """redirect_stdout, capsys and notebooks see what workers print."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(3), start_method="fork").task(print).wait_for_completion()
    assert target.getvalue() == "0\n1\n2\n"


async def print_a_piece_async(x):
    print(x, end="")


def reconfigure(x):
    sys.stdout.reconfigure(encoding="utf-8", line_buffering=True)
    print("é", x)


def test_f38_a_worker_may_reconfigure_its_streams():
    """As modules do that want UTF-8, or lines at once."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(2), start_method="fork").task(reconfigure).wait_for_completion()
    assert target.getvalue() == "é 0\né 1\n"


class Bare:
    """All that ``print`` asks of a stream."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


def replace_the_stream(x):
    sys.stdout = Bare()
    return x


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_worker_ends_as_a_worker_whatever_its_task_made_of_the_streams(tmp_path, method):
    """It never goes on as a copy of the caller's program, though what stands for ``sys.stdout`` cannot be flushed."""
    here, caller = tmp_path / "who is here", os.getpid()
    try:
        Pipeline(range(4), start_method=method).task(replace_the_stream).wait_for_completion()
    finally:
        with here.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if os.getpid() != caller:
            os._exit(1)
    assert here.read_text() == f"{caller}\n"


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_program_may_print_to_an_object_that_cannot_be_flushed(monkeypatch, caplog, method):
    """As one that writes to two streams; the lines of workers are among the others, and none is said to be lost."""
    stream = Bare()
    monkeypatch.setattr(sys, "stdout", stream)
    Pipeline(range(2), start_method=method).task(print).wait_for_completion()
    assert stream.text == "0\n1\n"
    assert not caplog.messages


def print_a_piece(x):
    print(x, end="")


@pytest.mark.parametrize(
    ("function", "options"),
    [(print_a_piece, {}), (print_a_piece, {"threads": 2}), (print_a_piece_async, {})],
    ids=["one lane", "threads", "async"],
)
def test_f38_what_never_became_a_line_is_printed_in_the_end(function, options):
    """Whichever of the worker's threads printed it."""
    target = io.StringIO()
    with contextlib.redirect_stdout(target):
        Pipeline(range(5), start_method="fork").task(function, **options).wait_for_completion()
    assert sorted(target.getvalue()) == list("01234")


def test_f38_a_slow_handler_never_holds_up_data(caplog):
    """A handler that blocks loses records, which are counted; the items go on."""
    release = threading.Event()

    class Blocked(logging.Handler):
        def emit(self, record):
            release.wait(30)

    handler = Blocked()
    noisy = logging.getLogger("noisy")
    noisy.propagate = False
    noisy.addHandler(handler)

    def work(x):
        for k in range(200):
            logging.getLogger("noisy").warning("%d %d %s", x, k, "x" * 100)
        return x

    try:
        assert list(Pipeline(range(100), start_method="fork").task(work, 2)) == list(range(100))
    finally:
        release.set()
        wait_until(lambda: "olympipe_ng log" not in [thread.name for thread in threading.enumerate()])
        noisy.removeHandler(handler)
        noisy.propagate = True
    assert "dropped" in caplog.text


class Broken(Bare):
    """A pipe that nobody reads any more, as behind ``| head``."""

    def write(self, text):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize("method", METHODS)
def test_f38_lines_that_the_stream_refuses_are_told_with_what_it_raised(monkeypatch, caplog, method):
    """Not as too slow: it is a full disk that is to be found, or a pipe without a reader."""
    monkeypatch.setattr(sys, "stdout", Broken())
    assert Pipeline(range(3), start_method=method).task(lambda x: print(x) or x).wait_for_result() == [0, 1, 2]
    (told,) = caplog.messages
    assert told.endswith("of workers were dropped: the handler or the stream raised BrokenPipeError: [Errno 32] Broken pipe")


FULL = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    for k in range(100):
        print("x" * 100)
    return x
print("ready", flush=True)
results = Pipeline(range(100), start_method=sys.argv[1], progress=False).task(say, 2).wait_for_result()
with open(sys.argv[2], "w") as file:
    file.write(str(len(results)))
os._exit(0)
"""


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_standard_output_that_nobody_reads_never_holds_up_data(tmp_path, method):
    """A megabyte is printed into a pipe that takes 64 KiB: the run ends all the same."""
    with Script(tmp_path, FULL, method, str(tmp_path / "result")) as script:
        script.line("ready")  # and nothing is read any more
        wait_until((tmp_path / "result").exists)


LONG = """
import os, sys
from olympipe_ng import Pipeline
def say(x):
    print("worker", os.getpid(), "x" * 20_000, "end")
Pipeline(range(200), start_method=sys.argv[1], progress=False).task(say, 4).wait_for_completion()
"""


@pytest.mark.parametrize("stream", ["pipe", "file"])
@pytest.mark.parametrize("method", METHODS)
def test_f38_long_lines_arrive_whole(tmp_path, method, stream):
    """Lines of 20 KB, which a pipe would tear, from four workers at once."""
    with open(tmp_path / "printed", "w") as file, Script(
        tmp_path, LONG, method, **({"stdout": file} if stream == "file" else {})
    ) as script:
        status, output, errors = script.end()
    assert status == 0, errors
    lines = (output if stream == "pipe" else (tmp_path / "printed").read_text()).splitlines()
    assert len(lines) == 200
    assert all(re.fullmatch(r"worker \d+ x{20000} end", line) for line in lines)


@pytest.mark.parametrize("method", ALL)
def test_f38_lines_have_the_encoding_of_the_callers_stream(tmp_path, method):
    """One file, one encoding; and a task may ask which."""
    code = """
import sys
from olympipe_ng import Pipeline
def say(x):
    print("\u00e9", sys.stdout.encoding)
print("\u00e9", sys.stdout.encoding)
Pipeline([1], start_method=sys.argv[1]).task(say).wait_for_completion()
"""
    with open(tmp_path / "printed", "w") as file, Script(
        tmp_path, code, method, stdout=file, env={"PYTHONIOENCODING": "latin-1"}
    ) as script:
        status, _, errors = script.end()
    assert status == 0, errors
    assert (tmp_path / "printed").read_bytes() == b"\xe9 iso8859-1\n" * 2


@pytest.mark.parametrize("method", METHODS)
def test_f38_a_letter_that_the_callers_stream_cannot_write_costs_no_line(monkeypatch, caplog, method):
    """An ASCII terminal or pipe shows it as a file does: escaped, as ``sys.stdout.errors`` of the worker says."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
    Pipeline(["caf\u00e9", "\udce9"], start_method=method).task(print).wait_for_completion()
    assert written.getvalue() == b"caf\\xe9\n\\udce9\n"
    assert not caplog.messages


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_closed_standard_streams(tmp_path, method, closed):
    """A caller without standard streams runs all the same."""
    code = """
import os, sys
for fd in sys.argv[2]:
    os.close(int(fd))
from olympipe_ng import Pipeline
def work(x):
    print("out", x)
    return x
try:
    results = Pipeline(range(5), start_method=sys.argv[1]).task(work, 2).wait_for_result()
except BaseException as error:
    results = repr(error)
with open(sys.argv[3], "w") as file:
    file.write(repr(list(results)))
os._exit(0)
"""
    with Script(tmp_path, code, method, closed, str(tmp_path / "result")) as script:
        script.end()
        assert not script.left()
    assert (tmp_path / "result").read_text() == "[0, 1, 2, 3, 4]"
