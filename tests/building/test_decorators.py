"""olympipe's decorators and its helper: they register, and change nothing."""

from __future__ import annotations

import json
import socket

import pytest

from olympipe_ng import GraphError, decorators
from olympipe_ng.helpers.server import send_json_response


@pytest.fixture(autouse=True)
def _empty_registry():
    decorators.clear_registry()
    yield
    decorators.clear_registry()


@pytest.mark.parametrize("kind", ["source", "task", "filter", "splitter"])
def test_a_decorator_registers_its_argument_and_returns_it(kind):
    """The function is what it was, and is found under its name."""

    def function(x):
        return x

    assert getattr(decorators, kind)(function) is function
    assert decorators.registered(kind) == {"function": function}


def test_source_from_registers_any_iterable():
    """A list is registered by a given name, by its own, or by a number."""
    primes = [2, 3, 5]
    assert decorators.source_from(primes, name="primes") is primes
    assert decorators.source_from(primes) is primes
    assert decorators.registered("source") == {"primes": primes, "source_1": primes}


def test_a_numbered_source_takes_nobodys_name():
    """A source that was called as the next number would be stays registered."""
    first, second = [1], [2]
    decorators.source_from(first, name="source_1")
    decorators.source_from(second)
    assert decorators.registered("source") == {"source_1": first, "source_2": second}


def test_class_task_registers_a_class_with_its_methods():
    """The names of the methods are kept with the class."""

    @decorators.class_task("run", close="release", name="model")
    class Model: ...

    assert decorators.registered("class_task") == {"model": (Model, "run", "release")}


def test_a_filter_that_is_annotated_to_return_something_else_is_a_type_error():
    """A filter returns ``bool``, said as a type or as a string."""

    def count(x) -> int:
        return 1

    def unknown(x) -> Missing:  # noqa: F821
        return 1

    for wrong in (count, unknown):
        with pytest.raises(TypeError, match=f"@filter: '{wrong.__name__}' must return bool"):
            decorators.filter(wrong)

    def is_even(x) -> bool:
        return True

    assert decorators.filter(is_even) is is_even


def test_what_is_registered_cannot_be_changed_from_outside():
    """The registry is looked at, not written to; an unknown kind names the known ones."""
    with pytest.raises(TypeError):
        decorators.registered("task")["x"] = 1
    with pytest.raises(GraphError, match="kind must be one of 'source', 'task'"):
        decorators.registered("tasks")


def test_a_json_response_is_whole_and_closes_the_connection():
    """The client gets a status line, the length and the body, and then the end."""
    ours, client = socket.socketpair()
    send_json_response(ours, {"größe": 1}, status=201, reason="Created")
    with client:
        answer = b"".join(iter(lambda: client.recv(100), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"größe": 1}


def test_a_client_that_went_away_is_logged_and_no_error(caplog):
    """The work for a request is done, whether or not somebody waits for the answer."""
    ours, client = socket.socketpair()
    client.close()
    send_json_response(ours, {"x": "y" * 1_000_000})
    assert "the client went away" in caplog.text
    assert ours.fileno() == -1


def test_a_response_that_json_cannot_hold_raises_and_closes():
    """The mistake is the caller's, and the client is not left waiting."""
    ours, client = socket.socketpair()
    with client, pytest.raises(TypeError, match="not JSON serializable"):
        send_json_response(ours, {1, 2})
    assert ours.fileno() == -1
