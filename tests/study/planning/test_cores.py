import os

import pytest
import torch

from study.planning import cores as module
from study.planning.cores import _quotas, cores, default_workers


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Return what makes control groups: the process's membership, and the content of files."""

    def make(membership, **files):
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return list(_quotas(tmp_path / "membership", tmp_path))

    return make


def test_version_2_in_a_container_and_in_a_slice(groups):
    assert groups("0::/\n", cpu_dot_max="150000 100000\n") == [1.5]
    assert groups(
        "0::/a/b\n", a__b__cpu_dot_max="max 100000\n", a__cpu_dot_max="50000 100000\n"
    ) == [
        0.5,
        1.5,
    ]


def test_version_1_by_each_name_of_its_mount(groups):
    files = {"cpu__cpu_dot_cfs_quota_us": "300000\n", "cpu__cpu_dot_cfs_period_us": "100000\n"}
    # the container's own group is the root of its mount, and has another name outside
    assert groups("4:memory:/x\n1:cpu:/docker/0123\n", **files) == [3.0]
    files = {
        "cpu,cpuacct__job__cpu_dot_cfs_quota_us": "-1\n",
        "cpu,cpuacct__job__cpu_dot_cfs_period_us": "100000\n",
        "cpu,cpuacct__cpu_dot_cfs_quota_us": "200000\n",
        "cpu,cpuacct__cpu_dot_cfs_period_us": "100000\n",
    }
    assert groups("2:cpu,cpuacct:/job\n", **files)[-1] == 2.0


def test_no_quota_where_there_are_no_groups(groups, tmp_path):
    assert list(_quotas(tmp_path / "absent", tmp_path)) == []
    assert groups("0::/\n1:cpu:/\n", cpu_dot_max="damaged\n") == []


@pytest.mark.parametrize(("quotas", "count"), [([], 3), ([9.0], 3), ([2.9, 5.0], 2), ([0.1], 1)])
def test_cores_are_those_allowed_within_the_quota(monkeypatch, quotas, count):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {4, 5, 6})
    monkeypatch.setattr(module, "_quotas", lambda membership, root: iter(quotas))
    assert cores() == count
    assert default_workers(0) == count


@pytest.mark.parametrize(
    ("share", "count"), [(0.1, 8), (0.25, 8), (0.5, 4), (1, 2), (2, 1), (5, 1)]
)
def test_workers_are_no_more_than_the_shares_of_the_gpus(monkeypatch, share, count):
    monkeypatch.setattr(module, "cores", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert default_workers(share) == count
