"""Schedules of a user's: by file, by entry point, and tested before they are used."""

from types import SimpleNamespace

import numpy as np
import pytest

from study.config.space import Hyperparameter, Range
from study.config.study_file import override, read_study
from study.errors import StudyError
from study.optimizers.registry import made_schedule, schedule_named
from study.optimizers.schedules import SCHEDULES, Schedule, lr_factor
from study.optimizers.testing import ScheduleContract, require_sound_schedule
from study.planning.resolve import resolve
from workloads import entry_points
from workloads.errors import WorkloadError
from workloads.registry import files_refused

FILE = """
from study.config.space import Hyperparameter, Range
from beside import ROOT

class Falling:
    hyperparameters = {"hold": Hyperparameter(default=Range(low=1.0, high=100.0), low=1.0)}

    def factor(self, step, max_steps, values):
        return (1.0 + step / values["hold"]) ** ROOT
"""


class Halving:
    hyperparameters = {}

    def factor(self, step, max_steps, values):
        return 0.5 ** (step / max_steps)


class TestInheritedKit(ScheduleContract):
    """A schedule as its author writes it."""

    def make(self):
        return Halving


@pytest.fixture
def file(tmp_path):
    (tmp_path / "beside.py").write_text("ROOT = -0.5")
    (tmp_path / "falling.py").write_text(FILE)
    return tmp_path / "falling.py"


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_built_in_name_is_found_and_sound(name):
    assert schedule_named(name) is SCHEDULES[name]
    if SCHEDULES[name].factor is not None:
        require_sound_schedule(name, SCHEDULES[name])


def test_a_file_gives_a_schedule_and_its_hyperparameters(file):
    schedule = schedule_named(f"{file}:Falling")
    factor = lr_factor(schedule, 10, None, {"hold": np.array([1.0, 3.0])})
    assert factor(3).tolist() == [0.5, 2**-0.5]
    with files_refused(), pytest.raises(WorkloadError, match="unasked; got schedule Falling in"):
        schedule_named(f"{file}:Falling")


def test_a_study_searches_what_its_schedule_declares(file):
    made = file.with_name("study.toml")
    made.write_text("workload = 'noisy-quadratic'\n[schedule]\nname = 'falling.py:Falling'")
    study, _ = resolve(read_study(str(made)))
    assert study.schedule.name == f"{file}:Falling"
    assert study.search.space["hold"] == Range(low=1.0, high=100.0)


def test_a_setting_of_a_file_is_made_absolute(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    changed = override({}, ["schedule.name=falling.py:Falling"])
    assert changed["schedule"]["name"] == f"{file}:Falling"


def test_an_entry_point_provides_a_schedule(monkeypatch):
    point = SimpleNamespace(name="mine", value="a:B", dist=None, load=lambda: Halving)
    monkeypatch.setattr(entry_points, "installed", lambda group: (point,))
    factor = schedule_named("mine").factor
    assert factor(5, 10, {}) == 0.5**0.5
    with pytest.raises(StudyError, match="schedule.name must be one of .* got 'mien'; did you"):
        schedule_named("mien")


STATE = []
ONE = {"a": Hyperparameter(default=Range(low=1.0, high=2.0), low=0.0)}


def counting(step, length, values):
    STATE.append(step)
    return values["a"] + len(STATE)


def counting_for_later(step, length, values):
    STATE.append(step)
    return 1.0 if len(STATE) < 10**6 else 0.1


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (lambda step, length, values: values["b"], "one factor per lane, got KeyError: 'b'"),
        (lambda step, length, values: values["a"][:1].repeat(2), "one factor per lane, got Value"),
        (lambda step, length, values: values["a"] - 2, "must be finite and at least 0, got"),
        (lambda step, length, values: values["a"] / step, "must be finite and at least 0, got"),
        (lambda step, length, values: values["a"] / values["a"].sum(), "each lane's factor from"),
        (counting, "each lane's factor from"),
        (counting_for_later, "keep no state between calls.*<global STATE>"),
        (lambda step, length, values: values["a"].__imul__(0.9), "a change of its values"),
    ],
)
def test_a_factor_that_is_not_a_function_of_a_lane_is_refused(factor, message):
    with np.errstate(divide="ignore"), pytest.raises(StudyError, match=message):
        require_sound_schedule("it", Schedule(hyperparameters=ONE, factor=factor))


@pytest.mark.parametrize(
    "made", [3, object, SimpleNamespace(hyperparameters={"a": 1.0}, factor=abs)]
)
def test_anything_but_a_schedule_is_refused(made):
    with pytest.raises(StudyError, match=r"of a schedule must|a schedule must be a study\.optim"):
        made_schedule(made, "it")
