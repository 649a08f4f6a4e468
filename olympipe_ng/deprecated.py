"""What olympipe 2.2 called otherwise, and what it had that is gone: each with the text that tells what to write now.

    .task(task=f)            works, with a DeprecationWarning on the user's line
    pipeline.queues          raises, naming the replacement
    OLYMPIPE_MONITORING=1    raises where a pipeline is built
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

from .errors import GraphError
from .graph import user_frame

__all__ = ["Gone", "refuse_attribute", "refuse_name", "refuse_options", "refuse_variables", "rename", "warn_user"]

LOOK = "use run.statistics() for what waits where, and .tap(fn) to look at items as they pass"

GONE: dict[str, str] = {
    "queues": f"there are no queues to look into: {LOOK}",
    "enable_monitoring": f"every run is counted: {LOOK}",
    "create_pipe": "stages are built by their methods: use .task(fn), or .class_task(Cls, Cls.method) for one with state",
    "get_new_queue": "there are no queues to be had: edges are made when the pipeline is run, bounded by queue_size= and queue_bytes=",
    "print_graph": "use explain(), to_mermaid() or to_dot()",
    "are_pipelines_running": "use run = pipeline.start(), and run.statistics()",
    "get_mp_context": "use start_method= of Pipeline(...)",
    "registry": "use olympipe_ng.decorators.registered(kind)",
}

GONE_OPTIONS: dict[str, str] = {
    "monitoring": f"every run is counted: {LOOK}",
    "inspect_messages": f"messages are not kept: {LOOK}",
    "output_queue": GONE["get_new_queue"],
    "father_process_dag": "the graph is pipeline.explain()",
    "manager": "there is no manager process any more",
    "queue_registry": GONE["queues"],
}

GONE_VARIABLES: dict[str, str] = {
    "OLYMPIPE_FORCE_FORK": 'set OLYMPIPE_NG_START_METHOD=fork, or Pipeline(..., start_method="fork")',
    "OLYMPIPE_FORCE_SPAWN": 'set OLYMPIPE_NG_START_METHOD=spawn, or Pipeline(..., start_method="spawn")',
    "OLYMPIPE_DISABLE_SHM": "remove it: where shared memory is short, items travel without it by themselves (options are OLYMPIPE_NG_*)",
    "OLYMPIPE_MONITORING": f"remove it: {LOOK} (options are OLYMPIPE_NG_*)",
}


class Gone(GraphError, AttributeError):
    """Something of olympipe's that is no more; an ``AttributeError``, so that ``hasattr`` says the truth."""


def refuse_attribute(owner: object, name: str) -> NoReturn:
    """Raise for an attribute that ``owner`` does not have, with the replacement if olympipe had it."""
    text = GONE["queues"] if name.startswith("peek_") else GONE.get(name)
    if text is None:
        raise AttributeError(f"{type(owner).__name__!r} object has no attribute {name!r}", name=name, obj=owner)
    raise Gone(f"{name!r} of olympipe is gone: {text}")


def refuse_name(module: str, name: str) -> NoReturn:
    """Raise for a name that ``module`` does not have; no ``AttributeError`` if olympipe had it, which ``from ... import`` would hide."""
    if name not in GONE:
        raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
    raise GraphError(f"{name!r} of olympipe is gone: {GONE[name]}")


def refuse_options(options: Mapping[str, Any]) -> None:
    """Raise for keywords of ``Pipeline(...)`` that are gone."""
    for name in options:
        if name in GONE_OPTIONS:
            raise GraphError(f"{name}= of olympipe is gone: {GONE_OPTIONS[name]}")


def refuse_variables() -> None:
    """Raise if an environment variable of olympipe's is set: it would be ignored without a word otherwise."""
    for name in GONE_VARIABLES.keys() & os.environ.keys():
        raise GraphError(f"the environment variable {name} of olympipe is gone: {GONE_VARIABLES[name]}")


def rename(old_names: Mapping[str, str], given: dict[str, Any]) -> None:
    """Give olympipe's keywords in ``given`` their new names, with a warning on the user's line."""
    for old, new in old_names.items():
        if old in given:
            if new in given:
                raise GraphError(f"{new} is given twice, as {new}= and by its old name {old}=")
            warn_user(f"{old}= is olympipe's name: give it by position, or as {new}=", DeprecationWarning)
            given[new] = given.pop(old)


def warn_user(text: str, kind: type[Warning]) -> None:
    """Warn on the user's line: the nearest one outside this package."""
    _, level = user_frame()
    warnings.warn(text, kind, stacklevel=level)
