"""Who still needs a block of shared memory, and what becomes of it when its producer or its consumer dies."""

from __future__ import annotations

import pytest

from olympipe_ng.transport.arena import Reader, arena_supported
from tests.transport.memory import MB, Trio

pytestmark = pytest.mark.skipif(not arena_supported(), reason="no memory by descriptor here")


def test_a_block_is_free_when_the_last_need_is_gone(trio):
    """Frames and lent views count alike; credit is told once."""
    one, two = trio.put(bytes(MB)), trio.put(bytes(MB))
    keeper = trio.keeper
    keeper.hold([one, two])
    keeper.hold([one])
    keeper.hold([two], "consumer")
    assert keeper.release([one, two]) == {}
    assert keeper.release([one]) == {7: [one]}
    assert keeper.release([two], "consumer") == {7: [two]}


def test_a_dead_consumers_views_are_released(trio):
    """What it was lent is free, what it says late changes nothing, and a successor is sent the descriptors anew."""
    ref = trio.put(bytes(MB))
    trio.keeper.hold([ref])
    trio.show([ref])
    trio.keeper.hold([ref, ref], "consumer")
    trio.keeper.release([ref])
    assert trio.keeper.consumer_gone("consumer") == {7: [ref]}
    assert trio.keeper.release([ref], "consumer") == {}
    assert [entry[:2] for entry in trio.keeper.missing("consumer", [ref])] == [(7, 0)]


def test_a_dead_producers_memory_goes_with_its_last_block():
    """Until then it can be mapped; then its descriptors are closed and the consumers told, and who asks for it late gets nothing."""
    retired = []
    trio = Trio()
    keeper = trio.keeper
    keeper._retired = lambda *args: retired.append(args)
    refs = [trio.put(bytes([n]) * MB) for n in range(2)]
    keeper.hold(refs)
    trio.arena.close()
    keeper.owner_gone(7)
    trio.show(refs)
    assert [trio.reader.view(ref)[5] for ref in refs] == [0, 1]
    assert keeper.release(refs[:1]) == {}
    assert retired == []
    assert keeper.release(refs[1:]) == {}
    assert retired == [(7, {"consumer"})]
    assert keeper.read(refs[0]) == b""
    trio.reader.forget(7)
    trio.close()


def test_a_producer_that_held_nothing_is_retired_at_once(trio):
    """Its descriptors are closed when it goes."""
    trio.arena.free(trio.put(bytes(MB)))
    trio.keeper.owner_gone(7)
    assert trio.keeper._fds == {}


def test_a_lost_descriptor_is_told(trio):
    """An empty tuple, as it comes at the descriptor limit, is a refusal here and a fetch there."""
    assert not trio.keeper.add(8, 0, ())
    ref = trio.put(b"abc" * MB)
    reader = Reader(trio.keeper.read)
    assert not reader.add(7, 0, ())
    assert reader.view(ref) == b"abc" * MB
    assert reader.lend(ref) == b"abc" * MB
    assert reader.take_lent() == []
    with pytest.raises(LookupError, match="could not map"):
        Reader().view(ref)
