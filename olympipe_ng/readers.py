"""The open end of a source, for one run: what the source thread reads from.

    for item in reader          every item; the quickest way for what may wait
    reader.take(n)              the next items that are there without waiting, at most n; none at the end
    reader.close()              runs a generator's ``finally``; on the same thread
    reader.interrupt()          from any thread: an async source stops waiting and ends (a blocking one cannot be stopped)
    reader.drain()              likewise; where a run is inside, what that has drawn is still to be taken

Items that were put back come first, and an error that was put back comes after them, where it stood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Generator, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count, islice
from typing import Any

from .lazy import lazy
from .loops import complete, new_loop

asyncio = lazy("asyncio")
futures = lazy("concurrent.futures")

__all__ = ["AsyncReader", "IteratorReader", "LoopReader", "Reader", "SliceReader"]

NEVER_WAIT = frozenset(map(type, map(iter, ([], (), {}, {}.values(), {}.items(), set(), "", b"", range(0), range(1 << 70), count()))))
"""Iterators of which several items can be taken at once; of any other the next item may be late, and would hold back its elders."""


class Reader(Iterator[Any]):
    """The base: what was put back, and then what the subclass draws."""

    def __init__(self) -> None:
        self._again: deque[Any] = deque()
        self._error: BaseException | None = None

    def __next__(self) -> Any:
        if self._again:
            return self._again.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._draw()

    def take(self, n: int) -> Sequence[Any]:
        """Return the next items, as many as are there without waiting but at least one, at most ``n``; none at the end."""
        try:
            return (next(self),)
        except StopIteration:
            return ()

    def put_back(self, items: Sequence[Any], error: BaseException | None = None) -> None:
        """Give ``items`` first the next time, and then raise ``error``."""
        self._again.extendleft(reversed(items))
        if error is not None:
            self._error = error

    def news(self) -> Sequence[Any]:
        """Give what a run inside this source recorded since it was last asked: ``Note``s of failures, and warnings."""
        return ()

    @property
    def failed(self) -> int:
        """Count the items that failed in runs inside this source."""
        return 0

    def interrupt(self) -> None:
        """Make an async source end where it waits; from any thread."""

    def drain(self) -> bool:
        """Interrupt; say whether what a run inside this source has drawn is still to be taken, which ends by itself then."""
        self.interrupt()
        return False

    def close(self) -> None:
        """Close what was opened."""

    def _draw(self) -> Any:
        raise NotImplementedError


class SliceReader(Reader):
    """Reads an exact ``list``, ``tuple`` or ``range``, in slices."""

    def __init__(self, data: Sequence[Any]) -> None:
        super().__init__()
        self._data, self._at = data, 0

    def take(self, n: int) -> Sequence[Any]:
        items = self._data[self._at : self._at + n]
        self._at += len(items)
        return items

    def _draw(self) -> Any:
        items = self.take(1)
        if not items:
            raise StopIteration
        return items[0]


class IteratorReader(Reader):
    """Reads an iterator; ``ours``: we opened it, so we close it."""

    def __init__(self, iterator: Iterator[Any], *, ours: bool) -> None:
        super().__init__()
        self._iterator: Iterator[Any] = iterator
        self._ours = ours

    def __iter__(self) -> Iterator[Any]:
        if self._error is not None:
            return self
        return chain(self._given_back(), self._iterator) if self._again else self._iterator

    def take(self, n: int) -> Sequence[Any]:
        if self._again or self._error is not None:
            return super().take(n)
        if type(self._iterator) in NEVER_WAIT:
            return tuple(islice(self._iterator, n))
        try:
            return (next(self._iterator),)  # no ``for``: what ``iter`` returned need not be iterable itself
        except StopIteration:
            return ()

    def _given_back(self) -> Iterator[Any]:
        while self._again:
            yield self._again.popleft()

    def close(self) -> None:
        iterator, self._iterator = self._iterator, iter(())
        if self._ours or isinstance(iterator, Generator):
            close = getattr(iterator, "close", None)
            if callable(close):
                close()

    def _draw(self) -> Any:
        return next(self._iterator)


class _AwaitingReader(Reader):
    """The base of those that await an async iterable, on an event loop."""

    def __init__(self, data: Any, loop: Any = None) -> None:
        super().__init__()
        self._data, self._loop = data, loop
        self._iterator: AsyncIterator[Any] | None = None
        self._task: Any = None  # that awaits the next item
        self._interrupted = False

    def interrupt(self) -> None:
        self._interrupted = True
        if self._loop is not None:
            with suppress(RuntimeError):  # it was closed meanwhile: nothing waits any more
                self._loop.call_soon_threadsafe(self._cancel)

    async def _anext(self) -> Any:
        if self._interrupted:  # before there was anything to cancel
            raise StopAsyncIteration
        if self._iterator is None:
            self._iterator = self._data.__aiter__()
        self._task = asyncio.current_task()
        try:
            return await self._iterator.__anext__()
        finally:
            self._task = None

    def _cancel(self) -> None:
        task, self._task = self._task, None  # once: a second time would tear its ``finally``
        if task is not None:
            task.cancel()


class AsyncReader(_AwaitingReader):
    """Reads an async iterable on an event loop of its own, which runs only while an item is awaited."""

    def put_back(self, items: Sequence[Any], error: BaseException | None = None) -> None:
        super().put_back(items, error)
        self._interrupted = False

    def close(self) -> None:
        if self._loop is None:
            return
        try:
            if isinstance(self._iterator, AsyncGenerator):
                self._complete(_close(self._iterator))
            self._complete(_finish(self._loop))
        finally:
            self._loop.close()

    def __del__(self) -> None:
        if self._loop is not None and not self._loop.is_running():
            self._loop.close()

    def _draw(self) -> Any:
        if self._interrupted:
            raise StopIteration
        try:
            return self._complete(self._anext())
        except StopAsyncIteration:
            raise StopIteration from None
        except asyncio.CancelledError:
            if not self._interrupted:
                raise
            raise StopIteration from None

    def _complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = new_loop()
        return complete(self._loop, self._loop.create_task(coroutine))


class LoopReader(_AwaitingReader):
    """Reads an async iterable on the user's own loop, from another thread (``async for item in pipeline``)."""

    def close(self) -> None:
        if isinstance(self._iterator, AsyncGenerator) and not self._loop.is_closed():
            self._complete(_close(self._iterator))

    def _draw(self) -> Any:
        if self._interrupted:
            raise StopIteration
        try:
            return self._complete(self._anext())
        except StopAsyncIteration:
            raise StopIteration from None
        except futures.CancelledError:
            if not self._interrupted:
                raise
            raise StopIteration from None

    def _complete(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Wait for something on the user's loop, to its very end: what was cancelled may still have a ``finally`` to run."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


async def _close(generator: AsyncGenerator[Any, Any]) -> None:
    """Close it, in a coroutine of its own: as a task that is cancelled before it begins, it leaves nothing that was never awaited."""
    await generator.aclose()


async def _finish(loop: Any) -> None:
    """Do what ``asyncio.run`` does at the end: what the source started in its loop ends with it."""
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()
