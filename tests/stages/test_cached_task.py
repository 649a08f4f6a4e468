from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from olympipe_ng.drop import DROP
from olympipe_ng.options import StageConfig
from olympipe_ng.stages import CachedTask, cache
from olympipe_ng.stages.cache import MAGIC, STALE
from olympipe_ng.stages.contract import Arity, ItemTransform
from tests.fakes import FakeContext
from tests.stages.driving import applied, refused


class Counted:
    """Functions of one text whose calls are counted, outside what a fingerprint sees."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __reduce__(self) -> Any:
        return (Counted, ())

    def double(self, item: Any) -> Any:
        self.calls.append(item)
        return item * 2


def cached(fn: Any, folder: Path, context: FakeContext | None = None, **fields: Any) -> ItemTransform:
    transform = CachedTask(fn, folder, **fields).make(context or FakeContext())
    assert isinstance(transform, ItemTransform)
    transform.setup()
    return transform


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_a_result_is_computed_once(tmp_path: Path) -> None:
    """The next worker, or the next run, finds it; the folder is made where there is none."""
    counted = Counted()
    folder = tmp_path / "deep" / "cache"
    assert [cached(counted.double, folder).apply(item) for item in ["a", "b", "a"]] == ["aa", "bb", "aa"]
    assert counted.calls == ["a", "b"]
    assert len(entries(folder)) == 2


def test_a_function_that_changes_the_working_folder_is_cached_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative ``cache_dir`` is one folder, that of the beginning."""
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    transform = cached(os.chdir, Path("cache"))
    assert [transform.apply(str(elsewhere)) for _ in range(2)] == [None, None]
    assert len(entries(tmp_path / "cache")) == 1
    assert not entries(elsewhere)


def test_results_are_plain_values(tmp_path: Path) -> None:
    """``None`` and ``DROP`` are results like any other."""
    for result in (None, DROP, [1, {"a": (2,)}]):
        values = applied(CachedTask(lambda item, r=result: r, tmp_path), [1, 1], Arity.ONE)
        assert values == [result, result]
    assert applied(CachedTask(lambda item: DROP, tmp_path), [1, 1], Arity.ONE)[1] is DROP


def test_an_async_function_is_cached(tmp_path: Path) -> None:
    """An ``async def`` is awaited only where there is no entry."""
    calls: list[int] = []

    async def fetch(item: int) -> int:
        calls.append(item)
        return -item

    stage = CachedTask(fetch, tmp_path, key=str)
    assert stage.is_async
    assert [asyncio.run(awaitable) for awaitable in applied(stage, [1, 1], Arity.ONE)] == [-1, -1]
    assert len(calls) == 1


def test_a_key_stands_for_the_item(tmp_path: Path) -> None:
    """Items with equal keys share a result."""
    counted = Counted()
    transform = cached(counted.double, tmp_path, key=lambda item: item[0])
    assert transform.apply("ab") == "abab"
    assert transform.apply("ac") == "abab"


def test_a_version_begins_anew(tmp_path: Path) -> None:
    """For what the fingerprint cannot see, such as a model file."""
    counted = Counted()
    for version in (None, 2, None, 2):
        cached(counted.double, tmp_path, version=version).apply("a")
    assert counted.calls == ["a", "a"]


def test_a_changed_function_is_computed_anew(tmp_path: Path) -> None:
    """Two functions never share results."""
    assert applied(CachedTask(lambda item: item + 1, tmp_path), [1], Arity.ONE) == [2]
    assert applied(CachedTask(lambda item: item + 2, tmp_path), [1], Arity.ONE) == [3]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: data[: len(data) // 2], "it has"),
        (lambda data: data[:-1], "it has"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "its checksum is wrong"),
        (lambda data: b"\x80\x05N.", "it has no header"),
        (lambda data: MAGIC, "it has no header"),
    ],
)
def test_a_torn_entry_is_computed_again_with_a_warning(tmp_path: Path, damage: Any, why: str) -> None:
    """After a crash at any byte the result is right, and the entry is mended."""
    counted, context = Counted(), FakeContext()
    transform = cached(counted.double, tmp_path, context)
    transform.apply("some text")
    (entry,) = entries(tmp_path)
    entry.write_bytes(damage(entry.read_bytes()))
    assert [transform.apply("some text") for _ in range(2)] == ["some textsome text"] * 2
    assert len(counted.calls) == 2
    (warning,) = context.warnings
    assert why in warning
    assert entry.name in warning


def test_every_cut_of_an_entry_is_noticed(tmp_path: Path) -> None:
    """No prefix of an entry passes for a result."""
    counted = Counted()
    transform = cached(counted.double, tmp_path)
    transform.apply("x")
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    for length in range(len(whole)):
        entry.write_bytes(whole[:length])
        assert transform.apply("x") == "xx"
    assert len(counted.calls) == 1 + len(whole)


def test_an_entry_that_cannot_be_read_is_computed_again_with_one_warning(tmp_path: Path) -> None:
    """Another user's, or of a disk that has errors: the cache does not help, and the item does not fail of that."""
    counted, context = Counted(), FakeContext()
    transform = cached(counted.double, tmp_path, context)
    transform.apply("a")
    (entry,) = entries(tmp_path)
    entry.unlink()
    entry.mkdir()
    assert [transform.apply("a") for _ in range(2)] == ["aa"] * 2
    assert len(counted.calls) == 3
    assert [warning.partition(" (")[0] for warning in context.warnings if "read" in warning] == ["double: stored results cannot be read"]


def test_an_entry_that_cannot_be_rebuilt_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that was renamed since is no reason to fail."""
    context = FakeContext()
    transform = cached(lambda item: Renamed(), tmp_path, context)
    transform.apply(1)
    monkeypatch.delattr(cache.sys.modules[__name__], "Renamed")
    with pytest.raises(NameError):
        transform.apply(1)
    assert "cannot be rebuilt" in context.warnings[0]


class Renamed:
    pass


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the entry and one warning, never the result."""
    context = FakeContext()
    transform = cached(Counted().double, tmp_path, context)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert [transform.apply(item) for item in (1, 2)] == [2, 4]
    assert entries(tmp_path) == []
    assert len(context.warnings) == 1
    assert "No space left" in context.warnings[0]


def test_what_killed_writers_left_is_swept(tmp_path: Path) -> None:
    """Unfinished files go once they are old; a living writer's stay."""
    old, young = tmp_path / ".a.pkl.1.tmp", tmp_path / ".a.pkl.2.tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    past = old.stat().st_mtime - 2 * STALE
    os.utime(old, (past, past))
    cached(Counted().double, tmp_path)
    assert entries(tmp_path) == [young]


def test_classes_of_main_come_back_as_the_users_own(tmp_path: Path) -> None:
    """Also in a worker whose ``__main__`` is another program's."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("class Point:\n    def __init__(self, x): self.x = x\ndef make(x):\n    return [Point(x), Point]", space)
    context = FakeContext()
    first, again = (cached(space["make"], tmp_path, context).apply(3) for _ in range(2))
    assert type(first[0]) is type(again[0]) is space["Point"]
    assert again[0].x == 3
    assert again[1] is space["Point"]
    assert len(entries(tmp_path)) == 1
    assert not context.warnings  # it was found, and not computed again


def test_local_classes_and_lambdas_can_be_results(tmp_path: Path) -> None:
    """What pickle refuses travels by value."""
    transform = cached(lambda item: lambda: item, tmp_path)
    assert [transform.apply(5)() for _ in range(2)] == [5, 5]


def test_an_item_without_content_asks_for_a_key(tmp_path: Path) -> None:
    """The error says what to do."""
    with pytest.raises(TypeError, match="give cached_task a key="):
        cached(Counted().double, tmp_path).apply(item for item in "ab")


def test_an_entrys_name_tells_whose_it_is(tmp_path: Path) -> None:
    """One folder may be shared, and looked at."""
    cached(Counted().double, tmp_path, config=StageConfig(name="my/stage ü")).apply(1)
    assert entries(tmp_path)[0].name.startswith("my_stage_ü-")
    assert CachedTask(len, tmp_path).kind == "cached_task"


def test_mistakes_are_refused(tmp_path: Path) -> None:
    """A mistake in the graph shows on the user's line."""

    async def later(item: Any) -> Any:
        return item

    with refused("cached_task needs a callable, got 3"):
        CachedTask(3, tmp_path)  # type: ignore[arg-type]
    with refused("cache_dir must be a folder's path, got None"):
        CachedTask(len, None)  # type: ignore[arg-type]
    with refused("key needs a plain function, 'later' is async"):
        CachedTask(len, tmp_path, later)


