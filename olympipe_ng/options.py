"""The keywords users give: checked once, on the user's line, and frozen.

``StageOptions`` and ``RunOptions`` are the ``TypedDict``s that every signature unpacks, so that editors complete them and a wrong one is
a type error; ``StageConfig`` and ``RunConfig`` are the same, resolved and validated (a ``GraphError`` where no type checker ran).

Considered and refused: nineteen parameters on each of thirty methods.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypedDict

from .callables import check_plain
from .checks import set_int, set_number
from .errors import GraphError
from .lazy import lazy

if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from .statistics import Statistics

    OnError: TypeAlias = Literal["raise", "skip", "collect", "branch"] | Callable[[Any, Exception], Any]
    RunOnError: TypeAlias = Literal["raise", "skip", "collect"] | Callable[[Any, Exception], Any]
    RetryOn: TypeAlias = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
    Count: TypeAlias = int | Literal["auto"]
    BlasThreads: TypeAlias = int | Literal["auto"] | None
    EngineName: TypeAlias = Literal["process", "thread", "inline", "ray"]
    Progress: TypeAlias = bool | float | Literal["auto"] | Callable[[Statistics], object]
    StartMethod: TypeAlias = Literal["auto", "fork", "forkserver", "spawn"]

__all__ = [
    "CommonOptions",
    "RunConfig",
    "RunOptions",
    "StageConfig",
    "StageOptions",
    "run_config",
    "stage_config",
]

difflib = lazy("difflib")

NOT_YET = ("trace", "resume", "dashboard", "metrics")  # options that an issue to come will bring


class CommonOptions(TypedDict, total=False):
    """``StageOptions`` without ``on_error``, which decides what type a method returns."""

    name: str | None
    ordered: bool
    threads: int
    concurrency: int
    max_failures: float | None
    retries: int | None
    backoff: float
    max_backoff: float
    retry_on: RetryOn
    timeout: float | None
    setup_timeout: float | None
    redeliver: bool
    initializer: Callable[[], object] | None
    queue_size: int | None
    zero_copy: bool | None
    blas_threads: BlasThreads
    max_items_per_worker: int | None
    max_rss_per_worker: float | None


class StageOptions(CommonOptions, total=False):
    """The keywords that every stage with a function takes, beside ``count``.

    ``name``: in errors, logs and ``top``. ``ordered=False``: give items up as they finish. ``threads``: in each worker, for functions that
    wait. ``concurrency``: coroutines of an ``async def`` at once in each worker. ``initializer``: called once in each worker.

    ``on_error``: ``"raise"``, ``"skip"``, ``"collect"``, ``"branch"`` or a function ``(item, exception) -> replacement``. (A result that
    cannot be *loaded* is found where it is read, and what it was made of is gone by then: it is skipped, collected or raised.)
    ``max_failures``: how many are too many, a fraction if below 1. ``retries``, ``backoff``, ``max_backoff``, ``retry_on``: how often,
    after how many seconds, for what. ``timeout``: seconds for one item; of an ``explode``, until its next result. ``setup_timeout``: for
    initializer and constructor. (``inline`` has one thread, which waits for what is slow: only an ``async def`` is cut there, by
    ``timeout``.) ``redeliver=False``: never call the function again for an item that a dead worker held.

    ``queue_size``: items that may wait before it. ``zero_copy``: read large arrays where they lie, read-only; a worker of one lane also
    gives them on from there, where it returns them as they are. ``blas_threads``: of each worker.
    ``max_items_per_worker``, ``max_rss_per_worker`` (bytes): when to replace a worker. ``None`` is always: as the pipeline says.
    """

    on_error: OnError | None


class RunOptions(TypedDict, total=False):
    """The keywords of ``Pipeline(...)`` and ``Pipeline.options(...)``.

    ``name``: of the run. ``total``: how many items are to come, for the display. ``engine``, ``start_method``: what runs it, and how
    workers begin. ``queue_size``, ``queue_bytes``: items between two stages, bytes in the whole run. ``on_error``, ``max_failures``,
    ``retries``, ``initializer``, ``blas_threads``, ``zero_copy``: for every stage that does not say otherwise. ``seed``: makes random
    numbers those of (seed, stage, item). ``copy_items=False``: let threads share items.

    ``frame_pickling="list"``: pickle up to 64 items together instead of each by itself, which makes small dicts and objects about twice as
    cheap to move. It is not the default because of what it changes: an item is copied some milliseconds after it was handed over, so a
    re-used object is seen as it is by then; an object that two items share is shared by their copies; an item that cannot be *loaded* fails
    with those it was pickled with; and when one cannot be *pickled* it alone fails, but by then the function was called for others too.

    ``stall_timeout``: seconds without movement until a stall is logged. ``close_timeout``: seconds for a ``close_method``.
    ``progress``: ``"auto"``, ``True``, ``False``, seconds between lines, or a function of ``Statistics``.
    ``trace``, ``resume``, ``dashboard``, ``metrics``: not available yet.
    """

    name: str | None
    total: int | None
    engine: EngineName
    start_method: StartMethod
    queue_size: int | None
    queue_bytes: int | None
    on_error: RunOnError
    max_failures: float | None
    retries: int
    seed: int | None
    initializer: Callable[[], object] | None
    blas_threads: BlasThreads
    copy_items: bool
    zero_copy: bool
    frame_pickling: Literal["item", "list"]
    stall_timeout: float | None
    close_timeout: float
    progress: Progress
    trace: str | None
    resume: str | None
    dashboard: bool
    metrics: bool


@dataclass(frozen=True)
class StageConfig:
    """``StageOptions``, resolved. ``None`` means: as the pipeline says."""

    count: Count = 1
    name: str | None = None
    ordered: bool = True
    threads: int = 1
    concurrency: int = 64
    on_error: OnError | None = None
    max_failures: float | None = None
    retries: int | None = None
    backoff: float = 0.0
    max_backoff: float = 60.0
    retry_on: RetryOn = Exception
    timeout: float | None = None
    setup_timeout: float | None = None
    redeliver: bool = True
    initializer: Callable[[], object] | None = None
    queue_size: int | None = None
    zero_copy: bool | None = None
    blas_threads: BlasThreads = None
    max_items_per_worker: int | None = None
    max_rss_per_worker: float | None = None

    def __post_init__(self) -> None:
        _keep_plain_texts(self)
        if not _is_word(self.count, "auto"):
            set_int(self, "count", minimum=1, also='or "auto"')
        set_int(self, "threads", minimum=1)
        set_int(self, "concurrency", minimum=1)
        _check_on_error(self.on_error, ("raise", "skip", "collect", "branch"), none=True)
        set_number(self, "max_failures", minimum=0.0, none=True)
        set_int(self, "retries", minimum=0, none=True)
        set_number(self, "backoff", minimum=0.0)
        set_number(self, "max_backoff", minimum=0.0)
        _check_retry_on(self.retry_on)
        set_number(self, "timeout", above=0.0, none=True)
        set_number(self, "setup_timeout", above=0.0, none=True)
        _check_callable("initializer", self.initializer)
        set_int(self, "queue_size", minimum=1, none=True)
        _check_blas(self)
        set_int(self, "max_items_per_worker", minimum=1, none=True)
        set_number(self, "max_rss_per_worker", above=0.0, none=True)
        _check_bool("ordered", self.ordered)
        _check_bool("redeliver", self.redeliver)
        _check_bool("zero_copy", self.zero_copy, none=True)
        _check_name(self.name)


@dataclass(frozen=True)
class RunConfig:
    """``RunOptions``, resolved."""

    name: str | None = None
    total: int | None = None
    engine: EngineName = "process"
    start_method: StartMethod = "auto"
    queue_size: int | None = None
    queue_bytes: int | None = None
    on_error: RunOnError = "raise"
    max_failures: float | None = None
    retries: int = 0
    seed: int | None = None
    initializer: Callable[[], object] | None = None
    blas_threads: BlasThreads = "auto"
    copy_items: bool = True
    zero_copy: bool = False
    frame_pickling: Literal["item", "list"] = "item"
    stall_timeout: float | None = 60.0
    close_timeout: float = 30.0
    progress: Progress = "auto"
    trace: str | None = None
    resume: str | None = None
    dashboard: bool = False
    metrics: bool = False

    def __post_init__(self) -> None:
        _keep_plain_texts(self)
        _check_name(self.name)
        set_int(self, "total", minimum=0, none=True)
        _check_choice("engine", self.engine, ("process", "thread", "inline", "ray"))
        _check_choice("start_method", self.start_method, ("auto", "fork", "forkserver", "spawn"))
        set_int(self, "queue_size", minimum=1, none=True)
        set_int(self, "queue_bytes", minimum=1, none=True)
        _check_on_error(self.on_error, ("raise", "skip", "collect"), none=False)
        set_number(self, "max_failures", minimum=0.0, none=True)
        set_int(self, "retries", minimum=0)
        set_int(self, "seed", minimum=None, none=True)
        _check_callable("initializer", self.initializer)
        _check_blas(self)
        _check_choice("frame_pickling", self.frame_pickling, ("item", "list"))
        set_number(self, "stall_timeout", above=0.0, none=True)
        set_number(self, "close_timeout", minimum=0.0)
        for option in ("copy_items", "zero_copy", "dashboard", "metrics"):
            _check_bool(option, getattr(self, option))
        _check_progress(self)
        if self.engine == "ray":
            raise GraphError('engine="ray": not available yet')
        for option in NOT_YET:
            if getattr(self, option):
                raise GraphError(f"{option}=: not available yet")

    def changed(self, changes: Mapping[str, Any]) -> RunConfig:
        """Return the same with other values."""
        _check_names(RunConfig, changes)
        return replace(self, **changes)


def stage_config(count: Count = 1, **options: Any) -> StageConfig:
    """Check what a stage was given; a misspelt name is a ``GraphError`` that proposes the right one."""
    _check_names(StageConfig, options)
    return StageConfig(count=count, **options)


def run_config(options: Mapping[str, Any]) -> RunConfig:
    """Check what a pipeline was given, over its environment variables, over the defaults."""
    _check_names(RunConfig, options)
    return RunConfig(**{**_environment(options), **options})


def _environment(given: Container[str]) -> dict[str, Any]:
    """Read the options that environment variables give, and no argument; a wrong one is blamed by the variable's name."""
    values = {}
    for field in fields(RunConfig):
        variable = f"OLYMPIPE_NG_{field.name.upper()}"
        text = os.environ.get(variable)
        if text is not None and field.name not in given:
            values[field.name] = _parse(field.name, text)
            try:
                RunConfig(**{field.name: values[field.name]})
            except GraphError as error:
                raise GraphError(f"environment variable {variable}={text!r}: {error}") from None
    return values


_NOTHING = ("", "none")
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_BOOLEAN = ("copy_items", "zero_copy", "dashboard", "metrics", "progress")
_NUMBERS = {"total": int, "queue_size": int, "queue_bytes": int, "max_failures": float, "retries": int, "seed": int, "stall_timeout": float}
_NUMBERS |= {"close_timeout": float, "blas_threads": int, "progress": float}


def _parse(option: str, text: str) -> Any:
    """Return a value as its option takes it; what is none is left to the option's own check."""
    word = text.strip().lower()
    if word in _NOTHING:
        return None
    if option in _BOOLEAN and word in _SWITCHES:
        return _SWITCHES[word]
    try:
        return _NUMBERS.get(option, str)(text)
    except ValueError:
        return text


def _check_names(kind: type, given: Mapping[str, Any]) -> None:
    known = [field.name for field in fields(kind)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise GraphError(f"unknown option {name!r}{hint}")


def _keep_plain_texts(described: object) -> None:
    """Make words and names Python's own: a member of an enumeration reaches no other process, one of NumPy's reaches it as bytes."""
    for name, value in vars(described).items():
        if isinstance(value, str):
            object.__setattr__(described, name, str.__str__(value))


def _check_name(value: Any) -> None:
    if value is not None and not isinstance(value, str):
        raise GraphError(f"name must be a string, got {value!r}")


def _check_bool(name: str, value: Any, *, none: bool = False) -> None:
    if not isinstance(value, bool) and not (none and value is None):
        raise GraphError(f"{name} must be True or False, got {value!r}")


def _check_callable(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise GraphError(f"{name} must be callable, got {value!r}")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not _is_word(value, *choices):
        raise GraphError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def _check_on_error(value: Any, words: tuple[str, ...], *, none: bool) -> None:
    if callable(value):
        check_plain("on_error", value)
    elif not (none and value is None) and not _is_word(value, *words):
        raise GraphError(f"on_error must be one of {', '.join(map(repr, words))} or a function, got {value!r}")


def _check_retry_on(value: Any) -> None:
    kinds = value if isinstance(value, tuple) else (value,)
    if not isinstance(value, tuple) and not isinstance(value, type) and callable(value):
        check_plain("retry_on", value)
        return
    if not kinds or not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
        raise GraphError(f"retry_on must be exception types or a function, got {value!r}")


def _check_blas(config: StageConfig | RunConfig) -> None:
    if not _is_word(config.blas_threads, "auto"):
        set_int(config, "blas_threads", minimum=1, none=True, also='or "auto" or None')


def _check_progress(config: RunConfig) -> None:
    value = config.progress
    if not _is_word(value, "auto") and not isinstance(value, bool) and not callable(value):
        set_number(config, "progress", above=0.0)


def _is_word(value: Any, *words: str) -> bool:
    """Say whether it is one of these words; an array has no truth to ask for."""
    return isinstance(value, str) and value in words
