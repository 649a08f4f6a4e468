"""Too little of something, for real: address space here."""

from __future__ import annotations

import pytest

from tests.faults.helpers import Script

METHODS = ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)]

ARRAYS = """
import resource, sys
import numpy as np
from olympipe_ng import Pipeline
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), -1))
source = Pipeline(range(30), start_method=sys.argv[1], progress=False)
results = source.task(lambda x: np.full(1 << 20, x)).task(lambda a: a + 1, 2).wait_for_result()
assert all((a == k + 1).all() for k, a in enumerate(results)), "corrupt"
print(len(results), "arrays")
"""


@pytest.mark.parametrize("method", METHODS)
def test_too_little_address_space_for_shared_memory(tmp_path, method):
    """Under RLIMIT_AS no segment can be mapped by the caller: arrays travel through the sockets, the last ones too."""
    with Script(tmp_path, ARRAYS, method) as script:
        status, output, errors = script.end()
        assert not script.left()
    assert status == 0, errors
    assert output == "30 arrays\n"
