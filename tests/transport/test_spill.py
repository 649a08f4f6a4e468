"""Encoded items on disk and back."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from olympipe_ng.transport import spill
from olympipe_ng.transport.by_value import ByValue
from olympipe_ng.transport.encoding import BufferRef, Encoder, decode
from olympipe_ng.transport.importable import take_stock
from olympipe_ng.transport.spill import Spool


def encode(*items):
    encoder = Encoder(ByValue(stock=take_stock()))
    for item in items:
        encoder.add(item)
    return encoder.take()


def decoded(payload, lo=0, hi=None):
    opened = decode(payload.at_hand(), lo, payload.count if hi is None else hi)
    return [opened[k] for k in range(len(opened))]


@pytest.fixture
def spool():
    spool = Spool()
    yield spool
    spool.close()


@pytest.mark.parametrize("items", [[1, 2.5, None, "text"], [{"a": 1}, (), "x" * 5000], [b"b" * 200_000, {"k": b"c" * 100_000}]])
def test_items_come_back_as_they_were(spool, items):
    spilled = spool.write(encode(*items))
    assert (spilled.count, decoded(spilled)) == (len(items), items)
    assert decoded(spilled.cut(1, 3)) == items[1:3]


def test_large_arrays_come_back_writable(spool):
    (array,) = decoded(spool.write(encode(np.arange(100_000))))
    array[0] = 7
    assert array.sum() == 100_000 * 99_999 // 2 + 7


def test_it_says_the_same_of_itself_as_what_was_written(spool):
    payload = encode({"a": 1}, b"b" * 200_000)
    spilled = spool.write(payload)
    assert spilled.nbytes == payload.nbytes
    assert spilled.header() == payload.header()
    assert list(map(bytes, spilled.segments())) == list(map(bytes, payload.segments()))
    assert spilled.refs() == []


def test_what_lay_in_shared_memory_is_written_out(spool):
    class Memory:
        def put(self, data):
            self.data = bytes(data)
            return BufferRef(1, 2, 3, len(data))

        def free(self, ref):
            raise AssertionError("nothing is thrown away")

    memory = Memory()
    encoder = Encoder(ByValue(stock=take_stock()), memory)
    encoder.add(b"x" * 200_000)
    payload = encoder.take()
    assert payload.refs()
    assert decoded(spool.write(payload.inlined(lambda ref: memory.data))) == [b"x" * 200_000]


def test_space_is_used_again_and_given_back(spool):
    kept = [spool.write(encode({"number": k}, "x" * 10_000)) for k in range(20)]
    full = spool.size
    del kept[:10]
    kept += [spool.write(encode({"number": k}, "x" * 10_000)) for k in range(10)]
    assert spool.size <= full + 100
    assert [decoded(each)[0]["number"] for each in kept] == [*range(10, 20), *range(10)]
    kept.clear()
    assert spool.size == 0
    assert os.fstat(spool._file.fileno()).st_size == 0


def test_the_file_has_no_name(spool, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spilled = spool.write(encode("text"))
    assert list(tmp_path.iterdir()) == []
    assert decoded(spilled) == ["text"]


def test_a_full_disk_is_an_error_and_takes_no_space(spool, monkeypatch):
    def full(fd, data, offset):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(spill.os, "pwrite", full)
    with pytest.raises(OSError, match="no space"):
        spool.write(encode("text"))
    assert spool.size == 0
