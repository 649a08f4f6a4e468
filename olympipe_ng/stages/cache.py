"""Results on disk, one file per key, safe for many writers and after a crash at any byte.

    MAGIC | length of the payload, 8 bytes | blake2b of the payload, 16 bytes | payload: the pickled result

An entry is written aside, synced and renamed, so readers see all of it or nothing; where a crash or a full disk left less all the same,
length and checksum tell (``Torn``). Two workers that compute the same key both write; the later takes the place of the earlier.

Classes and functions of ``__main__`` are written by name and found again among what the cached function names: results of a later run,
and of workers whose ``__main__`` is not the user's, are instances of the user's own classes.

Considered and refused: one SQLite file (a lock for all workers, and it copies what is large); locks around a computation (a killed
worker leaves them behind).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pickle
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from ..lazy import lazy

__all__ = ["Folder", "Torn"]

cloudpickle = lazy("cloudpickle")

MAGIC = b"olympipe_ng cache 1\n"
HEADER = len(MAGIC) + 8 + 16
STALE = 3600.0  # seconds; an unfinished file this old has no writer any more


class Torn(Exception):
    """An entry cannot be used; the text says why."""


class Folder:
    """The entries of one cached function. ``names`` is where ``__main__``'s classes are looked for."""

    def __init__(self, path: str, names: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self._names = names

    def prepare(self) -> None:
        """Make the folder, and sweep what killed writers left in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        for unfinished in self.path.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if time.time() - unfinished.stat().st_mtime > STALE:
                    unfinished.unlink()

    def read(self, name: str) -> tuple[Any, ...]:
        """Return ``(result,)``, or nothing where there is no entry; ``Torn`` for one that is damaged."""
        try:
            data = (self.path / name).read_bytes()
        except FileNotFoundError:
            return ()
        return (self._load(_payload(data)),)

    def _load(self, payload: memoryview) -> Any:
        try:
            return _Unpickler(io.BytesIO(payload), self._names).load()
        except Exception as error:  # the border to the user's classes: they may have changed in any way since this was written
            raise Torn(f"it cannot be rebuilt: {type(error).__name__}: {error}") from error

    def write(self, name: str, result: Any) -> None:
        """Store a result: aside, synced, renamed."""
        payload = self._dump(result)
        aside = self.path / f".{name}.{secrets.token_hex(8)}.tmp"
        try:
            with open(aside, "xb") as file:
                file.write(MAGIC + len(payload).to_bytes(8, "little") + _checksum(payload))
                file.write(payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, self.path / name)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def _dump(self, result: Any) -> memoryview:
        buffer = io.BytesIO()
        _pickler_class()(buffer, protocol=5).dump(result)
        return buffer.getbuffer()


def _checksum(payload: memoryview) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()


def _payload(data: bytes) -> memoryview:
    """Check an entry's bytes and return what was pickled."""
    payload = memoryview(data)[HEADER:]
    if not data.startswith(MAGIC) or len(data) < HEADER:
        raise Torn("it has no header" if data else "it is empty")
    length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    if len(payload) != length:
        raise Torn(f"it has {len(payload)} bytes of {length}")
    if data[HEADER - 16 : HEADER] != _checksum(payload):
        raise Torn("its checksum is wrong")
    return payload


@functools.cache
def _pickler_class() -> Any:
    class Pickler(cloudpickle.Pickler):  # type: ignore[misc,name-defined,unused-ignore]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, (type, FunctionType)) and value.__module__ == "__main__" and "<" not in value.__qualname__:
                return _of_main, (value.__qualname__,)
            return super().reducer_override(value)

    return Pickler


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, names: Mapping[str, Any]) -> None:
        super().__init__(file)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (_of_main.__module__, _of_main.__name__):
            return functools.partial(_of_main, names=self._names)
        return super().find_class(module, name)


def _of_main(qualname: str, names: Mapping[str, Any]) -> Any:
    """Find a class or function of the user's ``__main__``."""
    first, *rest = qualname.split(".")
    found = names[first] if first in names else getattr(sys.modules["__main__"], first)
    for attribute in rest:
        found = getattr(found, attribute)
    return found
