"""What ``transport`` uses of cloudpickle beyond its interface: a release that changes one of these fails here, by name.

Classes by value are numbered by cloudpickle's own tracker, which no public function gives access to; ``pyproject.toml`` bounds the version.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from cloudpickle import cloudpickle

import olympipe_ng

TRANSPORT = Path(olympipe_ng.__file__).parent / "transport"
USED = sorted({name for file in TRANSPORT.glob("*.py") for name in re.findall(r"\bcloudpickle\.(\w+)", file.read_text())} - {"cloudpickle"})


class Sample:
    """A class to be numbered."""


@pytest.mark.parametrize("name", USED)
def test_cloudpickle_has_what_the_transport_names(name):
    """Every name of cloudpickle's that stands in the source is there."""
    assert hasattr(cloudpickle, name), f"cloudpickle has no {name} any more: see olympipe_ng/transport/by_value.py"


def test_the_names_were_found():
    """The tracker and the reduction are among them: else the test above looks at nothing."""
    assert {"_get_or_create_tracker_id", "_DYNAMIC_CLASS_TRACKER_BY_ID", "_dynamic_class_reduce", "Pickler"} <= set(USED)


def test_the_tracker_gives_a_class_one_number_and_finds_it_by_that():
    """A second question has the same answer, and the number leads back to the class."""
    uid = cloudpickle._get_or_create_tracker_id(Sample)
    assert isinstance(uid, str)
    assert cloudpickle._get_or_create_tracker_id(Sample) == uid
    assert cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID[uid] is Sample


def test_a_class_is_reduced_to_a_skeleton_with_its_number_and_a_state():
    """Constructor, name, bases, keywords and number; and the attributes first in the state: where slots are put right."""
    make, args, state, *_ = cloudpickle._dynamic_class_reduce(Sample)
    assert make is cloudpickle._make_skeleton_class
    assert args[:4] == (type, "Sample", (object,), {"__module__": __name__})
    assert args[4] == cloudpickle._get_or_create_tracker_id(Sample)
    assert state[0]["__doc__"] == Sample.__doc__


def test_the_pickler_has_the_parts_that_ours_builds_on():
    """The namespaces that it remembers by id, and the reduction of functions."""
    pickler = cloudpickle.Pickler(io.BytesIO(), 5, buffer_callback=None)
    assert pickler.globals_ref == {}
    assert callable(pickler._dynamic_function_reduce)
