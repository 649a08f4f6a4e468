"""For every test: nothing is left behind, and the same examples are drawn in every run."""

from __future__ import annotations

import signal
import tempfile

import pytest
from hypothesis import settings

from tests.leaks import left_behind, look

settings.register_profile("olympipe_ng", deadline=None, derandomize=True)
settings.load_profile("olympipe_ng")

for ignored in ("SIGHUP", "SIGQUIT", "SIGTERM"):  # by nohup, or a shell's background: each script of a test would ignore them, too
    if hasattr(signal, ignored):
        signal.signal(getattr(signal, ignored), signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory):
    """Give the session a temporary folder of its own, so that whatever appears in it was made by a test."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("temporary")
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(autouse=True)
def nothing_left_behind(request, own_temporary_folder):
    """Fail a test that leaves a child process, a thread, a descriptor, a temporary file or shared memory."""
    if request.node.get_closest_marker("no_leak_check"):
        yield
        return
    before = look()
    yield
    left = left_behind(before)
    if left:
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)
