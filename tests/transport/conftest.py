"""A producer, a keeper and a consumer of shared memory for every test that asks for a ``trio``."""

from __future__ import annotations

import pytest

from tests.transport.memory import Trio


@pytest.fixture
def trio():
    made = Trio()
    yield made
    made.close()
