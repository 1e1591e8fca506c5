"""Samplers of a user's own: found, asked, told, and refused in one message."""

import numpy as np
import pytest

from study.config.space import Range
from study.errors import StudyError
from study.planning.resolve import resolve
from study.records import Region
from study.search.queue import CohortQueue
from study.search.samplers import sampler_named
from study.search.search import Search
from study.search.testing import SamplerContract
from tests.study.search.test_search import finished
from workloads.errors import WorkloadError
from workloads.registry import files_refused

HEAD = """
import numpy as np


class Net:
    adaptive = False

    def __init__(self, dimensions, seed):
        self.shape, self.random = dimensions, np.random.default_rng(seed)

    def suggest(self, trials):
        steps = 0.618 ** np.arange(1, self.shape + 1)
        return (self.random.random(self.shape) + np.outer(trials, steps)) % 1


class Around(Net):
    adaptive = True
    best = None

    def tell(self, finished):
        self.best = min(finished, key=lambda trial: trial.objective).point if finished else None

    def suggest(self, trials):
        points = self.random.random((len(trials), self.shape))
        return points if self.best is None else 0.9 * self.best + 0.1 * points


class Mine({base}):
    {lines}
"""


@pytest.fixture
def own(tmp_path):
    """Return a function that writes such a file and gives the reference of its last class."""

    def write(base="Net", *lines):
        path = tmp_path / f"{base.lower()}.py"
        text = HEAD.replace("{base}", base).replace("{lines}", "\n    ".join(lines or ["pass"]))
        path.write_text(text)
        return f"{path}:Mine"

    return write


class Halves:
    adaptive = False

    def __init__(self, dimensions, seed):
        self.dimensions = dimensions

    def suggest(self, trials):
        return np.full((len(trials), self.dimensions), 0.5)


class TestHalves(SamplerContract):
    def make(self):
        return Halves


def study_of(make_study, name, adaptive):
    return make_study(search={"sampler": name, "trials": 8}, adaptive=adaptive)


def test_points_that_learn_nothing_follow_from_seed_and_number(make_study, own):
    name = own("Net")
    assert not sampler_named(name).learns
    study = study_of(make_study, name, adaptive=False)
    together = Search(study, 4).propose(range(8))
    assert Search(study, 4).propose([5, 6]) == together[5:7]
    assert Search(study, 16).propose(range(8)) != together
    box = study.search.space
    for point in together:
        assert all(entry.low <= point[n] <= entry.high for n, entry in box.items())


def test_a_sampler_that_learns_is_told_everything_and_asked_anew(make_study, own):
    name = own("Around")
    study = study_of(make_study, name, adaptive=True)
    assert sampler_named(name).learns
    search = Search(study, 4)
    first = search.propose(range(4))
    results = finished(first, range(4), [10, 11, 12, None])
    search.learn(results)
    second = search.propose(range(4, 8))
    best = {n: entry.position(first[0][n]) for n, entry in search.ranges.items()}
    for point in second:
        for n, entry in search.ranges.items():
            assert entry.position(point[n]) == pytest.approx(best[n], abs=0.11)
    rebuilt = Search(study, 4)
    rebuilt.learn(results)
    assert rebuilt.propose(range(4, 8)) == second


def test_it_looks_into_the_widened_box(make_study, own):
    study = study_of(make_study, own("Around"), adaptive=True)
    search = Search(study, 4)
    search.widen(Region(number=1, box={"lr": (1.0, 10.0)}, first=0, trials=4))
    assert search.ranges["lr"] == Range(low=1e-3, high=10.0, scale="log")
    lrs = [point["lr"] for point in search.propose(range(64), None)]
    assert max(lrs) > 1.0


def test_counting_the_trials_of_a_stranger_runs_no_code(make_study, own):
    study = study_of(make_study, own("Around"), adaptive=True)
    with files_refused():
        assert [s.waiting for s in CohortQueue(study, []).standings()] == [8, 8]
        with pytest.raises(WorkloadError, match="unasked; got sampler Mine in"):
            sampler_named(study.search.sampler)


FAULTS = {
    "adaptive is no truth": (["adaptive = 'yes'"], "got none of adaptive = True or False and tell"),
    "nothing to tell": (["adaptive = True"], r"got none of tell\(\) from"),
    "no suggestion": (["suggest = None"], r"got none of suggest\(\) from"),
    "other arguments": (["def __init__(self): pass"], "must suggest points, got TypeError"),
    "raises": (["def suggest(self, trials): raise OSError('no')"], "got OSError: no"),
    "a point too few": (
        ["def suggest(self, trials): return super().suggest(trials)[1:]"],
        r"must suggest points of shape \(4, 2\), one row for each trial, got \(3, 2\)",
    ),
    "outside": (["def suggest(self, trials): return 2 + super().suggest(trials)"], "from 0 to 1"),
    "nan": (["def suggest(self, trials): return np.nan * super().suggest(trials)"], "from 0 to 1"),
    "text": (["def suggest(self, trials): return 'here'"], "must suggest points, got ValueError"),
    "global draws": (
        ["def suggest(self, trials): return np.random.random((len(trials), self.shape))"],
        "must always suggest the same point for a trial, whichever other trials",
    ),
    "by place": (
        ["def suggest(self, trials): return self.random.random((len(trials), self.shape))[::-1]"],
        "must always suggest the same point for a trial, whichever other trials",
    ),
    "late global state": (
        ["def suggest(self, trials):", "    type(self).calls = getattr(self, 'calls', 0) + 1"]
        + ["    return super().suggest(trials)"],
        "must always suggest the same point for a trial, whichever other trials",
    ),
}


@pytest.mark.parametrize(("lines", "match"), FAULTS.values(), ids=FAULTS)
def test_faulty_samplers_are_refused(own, lines, match):
    search = {"sampler": own("Net", *lines)}
    with pytest.raises(StudyError, match=match):
        resolve({"workload": "noisy-quadratic", "batch_sizes": [4], "search": search})


@pytest.mark.parametrize(
    "lines",
    [
        ["def suggest(self, trials): return np.random.random((len(trials), self.shape))"],
        ["def suggest(self, trials):", "    type(self).calls = getattr(self, 'calls', 0) + 1"]
        + ["    return super().suggest(trials)"],
    ],
)
def test_a_sampler_that_learns_must_repeat_itself(own, lines):
    search = {"sampler": own("Around", *lines)}
    with pytest.raises(StudyError, match="the same points for the same seed, trials and results"):
        resolve({"workload": "noisy-quadratic", "batch_sizes": [4], "search": search})


def test_a_sampler_must_ask_no_clock(own):
    lines = ["def suggest(self, trials):", "    import time; time.time()"]
    search = {"sampler": own("Net", *lines, "    return super().suggest(trials)")}
    with pytest.raises(WorkloadError, match="but Mine.suggest calls time.time, which gives"):
        resolve({"workload": "noisy-quadratic", "batch_sizes": [4], "search": search})


def test_the_study_records_whether_it_learns(own):
    for base, adaptive in (("Net", False), ("Around", True)):
        search = {"sampler": own(base)}
        study = {"workload": "noisy-quadratic", "batch_sizes": [4], "search": search}
        assert resolve(study)[0].adaptive is adaptive
