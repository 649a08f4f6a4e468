"""What the supervisor tells the caller, and when: results in groups only for one who wants everything."""

from __future__ import annotations

import pytest

from olympipe_ng.engines.process import outbox as module
from olympipe_ng.engines.process.outbox import GROUP, HOLD, Outbox
from olympipe_ng.transport.wire import channel_pair


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def box():
    mine, theirs = channel_pair()
    yield Outbox(mine)
    mine.close()
    theirs.close()


def flush(box):
    """Flush what is due; say whether that was everything."""
    for channel in box.take_due():
        assert channel.flush()
    return not box._channel.pending


def test_a_result_goes_at_once_to_one_who_iterates(box, clock):
    box.deliver(("result",), (), soon=False)
    assert box.wait() is None
    assert flush(box)


def test_results_wait_for_company_where_all_are_wanted(box, clock):
    """They go together when the first has waited long enough."""
    box.groups = True
    box.deliver(("result",), (), soon=False)
    clock.now += HOLD / 2
    box.deliver(("result",), (), soon=False)
    assert not flush(box)
    assert box.wait() == pytest.approx(HOLD / 2)
    clock.now += HOLD
    assert flush(box)
    assert box.wait() is None


@pytest.mark.parametrize("hurry", ["a word", "a word that others queue", "a result that is wanted soon", "much"])
def test_what_waits_goes_with_what_hurries(box, clock, hurry):
    """In its place: nothing overtakes it."""
    box.groups = True
    box.deliver(("result",), (), soon=False)
    if hurry == "a word":
        box._channel.queue(("word",))
    elif hurry == "a word that others queue":
        box._channel.queue(("word",))
        box.deliver(("result",), (), soon=False)
    else:
        box.deliver(("result",), [bytes(GROUP)] if hurry == "much" else (), soon=hurry != "much")
    assert flush(box)
