"""Too little of something, for real: address space, file size, descriptors, ``/dev/shm``, the memory of a control group."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from olympipe_ng import Pipeline
from tests.faults.helpers import ROOT, Script

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]
ONCE = "no more shared memory can be had"
GROUPS = Path("/sys/fs/cgroup/memory")

ARRAYS = """
import resource, sys
import numpy as np
from olympipe_ng import Pipeline
LIMIT
source = Pipeline(range(30), start_method=sys.argv[1], progress=False)
results = source.task(lambda x: np.full(1 << 20, x)).task(lambda a: a + 1, 2).wait_for_result()
assert all((a == k + 1).all() for k, a in enumerate(results)), "corrupt"
print(len(results), "arrays")
"""
ADDRESSES = """
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), -1))
"""
FILE_SIZE = "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1))"


def run_limited(tmp_path, limit, method):
    """Run the arrays under a limit; return what was said on standard error."""
    with Script(tmp_path, ARRAYS.replace("LIMIT", limit), method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert output == "30 arrays\n"
    return errors


@pytest.mark.parametrize("method", METHODS)
def test_too_little_address_space_for_shared_memory(tmp_path, method):
    """Under RLIMIT_AS no segment can be mapped by the caller: arrays travel through the sockets, the last ones too."""
    run_limited(tmp_path, ADDRESSES, method)


@pytest.mark.parametrize("method", METHODS)
def test_shared_memory_that_cannot_be_had_is_told_once(tmp_path, method):
    """RLIMIT_FSIZE counts for it too: four processes find out, one line is logged, and no item is lost."""
    assert run_limited(tmp_path, FILE_SIZE, method).count(ONCE) == 1


def no_more_descriptors():
    """Let this worker get none that it does not have."""
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def numbered(count=3000):
    for k in range(count):
        yield k.to_bytes(8, "little") + bytes(20_000)


@pytest.mark.parametrize("options", [{"threads": 8}, {"count": 2}], ids=str)
def test_a_worker_at_its_descriptor_limit_is_sent_each_item_its_own(options):
    """It cannot map what others write: each block is fetched, and of several lanes each gets what it has asked for."""
    def read(data):
        time.sleep(0.0005)  # so that the lanes take turns
        return int.from_bytes(data[:8], "little")

    numbers = Pipeline(numbered, start_method="fork", initializer=no_more_descriptors).task(read, **options)
    assert numbers.wait_for_result() == list(range(3000))


def test_f39_a_missing_dev_shm_is_not_needed(tmp_path):
    """Where there is no /dev/shm at all, nothing is different."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to hide /dev/shm")
    (tmp_path / "arrays.py").write_text(ARRAYS.replace("LIMIT", "import os; assert not os.path.exists('/dev/shm')"))
    hide = f"mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec {sys.executable} {tmp_path / 'arrays.py'} fork"
    done = subprocess.run(["unshare", "-m", "sh", "-c", hide], text=True, capture_output=True, timeout=60, cwd=ROOT)
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "30 arrays\n"
    assert ONCE not in done.stderr


def test_f39_a_full_dev_shm_is_not_needed(tmp_path):
    """With 1 MB of /dev/shm items of 3 MB pass (large buffers lie in memory without a name)."""
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare to mount a small /dev/shm")
    code = """
from olympipe_ng import Pipeline
print([len(item) for item in Pipeline(range(4), start_method="fork").task(lambda x: bytes(3_000_000)).task(lambda b: b)])
"""
    (tmp_path / "small.py").write_text(code)
    mount = f"mount -t tmpfs -o size=1m none /dev/shm && exec {sys.executable} {tmp_path / 'small.py'}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", mount], text=True, capture_output=True, timeout=60, cwd=ROOT)
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[3000000, 3000000, 3000000, 3000000]"


@pytest.fixture
def small_group():
    """A control group with 400 MB of memory, as a container has it."""
    group = GROUPS / f"olympipe_ng_test_{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(400 << 20))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


def test_a_small_control_group_is_enough(small_group, tmp_path):
    """Two gigabytes of arrays pass through a group that has 400 MB, of which nobody is killed."""
    (tmp_path / "many.py").write_text("""
import os, sys
import numpy as np
from olympipe_ng import Pipeline
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
source = Pipeline(range(500), start_method="fork", progress=False)
made = source.task(lambda x: np.full(1 << 19, x)).task(lambda a: a + 1, 2)
assert made.task(lambda a: int(a[0])).wait_for_result() == list(range(1, 501))
""")
    done = subprocess.run([sys.executable, tmp_path / "many.py", small_group], text=True, capture_output=True, timeout=60, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert int((small_group / "memory.max_usage_in_bytes").read_text()) <= 400 << 20


def test_f02_the_kernel_kills_for_want_of_memory(small_group, tmp_path):
    """The item alone fails, with the signal, the memory that its worker held, and a hint."""
    (tmp_path / "oom.py").write_text("""
import os, sys
from olympipe_ng import Pipeline
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
def eat(x):
    return len(bytearray(os.urandom(1)) * (1 << 30)) if x == 5 else x
results = Pipeline(range(20), start_method="fork", progress=False).task(eat, 2, on_error="collect").wait_for_result()
assert results == [x for x in range(20) if x != 5]
(text,) = results.errors
assert "SIGKILL" in text and "held up to" in text and "Out of memory?" in text, text
""")
    done = subprocess.run([sys.executable, tmp_path / "oom.py", small_group], text=True, capture_output=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
