"""Shared memory with all who have to do with it in one process: what its tests drive."""

from __future__ import annotations

import os

from olympipe_ng.transport.arena import Arena, Keeper, Reader

MB = 1 << 20


class Trio:
    """A producer, the supervisor's keeper and a consumer, in one process."""

    def __init__(self, **options):
        self.keeper = Keeper()
        self.reader = Reader()
        self.arena = Arena(7, self.announce, **options)

    def announce(self, segment, fd):
        assert self.keeper.add(7, segment, (os.dup(fd),))
        self.arena.accept(segment)

    def show(self, refs):
        for arena, segment, fd in self.keeper.missing("consumer", refs):
            assert self.reader.add(arena, segment, (os.dup(fd),))

    def put(self, data):
        """Put, once the first segment was announced."""
        return self.arena.put(data) or self.arena.put(data)

    def close(self):
        self.reader.close()
        self.arena.close()
        self.keeper.close()
