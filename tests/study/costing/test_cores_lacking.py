"""Cores that other programs use while steps are timed."""

import os

import pytest

from study.costing import timing
from study.costing.timing import cores_lacking_since


def stat(idle, busy):
    return f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


@pytest.mark.parametrize(
    ("busy", "threads", "lacking"),
    [
        (2.0, 2, 1.0),  # one of the two busy cores is another program's
        (1.0, 2, 0.0),  # all that is busy is this program
        (2.0, 1, 0.0),  # the core that is left is enough
        (9.0, 2, 2.0),  # more than there are, as where counters jump
    ],
)
def test_cores_lacking_are_those_that_other_programs_use(
    tmp_path, monkeypatch, busy, threads, lacking
):
    path, now, own = tmp_path / "stat", [100.0], [5.0]
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "times", lambda: (own[0], 0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(timing.time, "monotonic", lambda: now[0])
    tick = os.sysconf("SC_CLK_TCK")
    path.write_text(stat(1000 * tick, 50 * tick))
    since = cores_lacking_since(threads, path)
    path.write_text(stat(1000 * tick, round((50 + 10 * busy) * tick)))
    now[0] += 10.0
    own[0] += 10.0
    assert since() == pytest.approx(lacking)


def test_nothing_is_counted_where_the_kernel_does_not(tmp_path):
    assert cores_lacking_since(2, tmp_path / "stat") is None
