"""What a program may have set for all of its process, or where it may stand: runs mind none of it."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from olympipe_ng import Pipeline

ALL = ["fork", "forkserver", "spawn"]


@pytest.fixture
def impatient_sockets():
    """As in programs that download: no socket made from here on waits for longer."""
    socket.setdefaulttimeout(0.001)
    yield
    socket.setdefaulttimeout(None)


def array(x):
    time.sleep(0.01)
    return np.full(1 << 15, x)


@pytest.mark.parametrize("method", ALL)
def test_a_default_timeout_of_sockets_is_none_of_a_runs(impatient_sockets, method):
    """Whoever has nothing to do waits as long as it takes, and whoever must not wait does not."""
    assert Pipeline(range(20), start_method=method).task(array, 2).task(len).wait_for_result() == [1 << 15] * 20
