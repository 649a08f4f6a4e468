"""What a process may use of the machine, in made-up control groups."""

from __future__ import annotations

import os

import pytest

from olympipe_ng import Pipeline, machine, plan
from olympipe_ng.options import RunConfig


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Write the membership, and files by their path below the mount; with 64 cores by affinity."""
    monkeypatch.setattr(machine, "GROUPS", str(tmp_path / "mount"))
    monkeypatch.setattr(machine, "MEMBERSHIP", str(tmp_path / "membership"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)

    def write(membership, **files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "mount" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_without_groups_the_affinity_counts(groups):
    """No file at all is no limit."""
    assert machine.usable_cpus() == 64
    assert machine.memory_limit() is None


def test_the_smallest_limit_of_a_group_and_those_around_it_holds(groups):
    """Version 2: a job in a slice that has less than the job was given."""
    groups("0::/slice/job\n", slice__cpu_dot_max="250000 100000\n", slice__job__cpu_dot_max="400000 100000\n", memory_dot_max="max\n")
    groups("0::/slice/job\n", slice__memory_dot_max="8000000\n", slice__job__memory_dot_max="9000000\n")
    assert machine.usable_cpus() == 2
    assert machine.memory_limit() == 8_000_000


def test_groups_of_version_1_are_known(groups):
    """A quota in microseconds of a period; -1 is none."""
    membership = "4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n"
    groups(membership, cpu__job__cpu_dot_cfs_quota_us="300000", cpu__job__cpu_dot_cfs_period_us="100000")
    groups(membership, cpu__cpu_dot_cfs_quota_us="-1", cpu__cpu_dot_cfs_period_us="100000", memory__job__memory_dot_limit_in_bytes="123456")
    assert machine.usable_cpus() == 3
    assert machine.memory_limit() == 123_456


def test_the_hosts_path_in_a_container_leads_to_the_containers_root(groups):
    """The path is not there; what is mounted is the group itself."""
    groups("0::/docker/7f/inner\n", cpu_dot_max="50000 100000")
    assert machine.usable_cpus() == 1


def test_auto_shares_the_cores_among_the_stages_that_ask_for_it(groups):
    """``count="auto"``: what other stages do not take, evenly."""
    groups("0::/\n", cpu_dot_max="800000 100000")
    chain = Pipeline([1]).task(abs, "auto").task(abs, 2).task(abs, "auto")
    laid_out, _ = plan.make_plan([chain.outlet], RunConfig())
    assert [node.workers for node in laid_out.nodes][1:4] == [3, 2, 3]


def test_a_run_holds_at_most_an_eighth_of_the_memory_limit(groups):
    """The default of ``queue_bytes`` is 256 MiB, or less where there is less memory."""
    groups("0::/\n", memory_dot_max=str(80 << 20))
    assert plan.make_plan([Pipeline([1]).outlet], RunConfig())[0].queue_bytes == 10 << 20
    groups("0::/\n", memory_dot_max=str(80 << 30))
    assert plan.make_plan([Pipeline([1]).outlet], RunConfig())[0].queue_bytes == 256 << 20
