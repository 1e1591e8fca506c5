"""Budgets by batch size, and schedules that would hardly move within them."""

import pytest

from analysis.measures.targets import steps_to_target
from analysis.tables.folder import ResultsFolder
from analysis.tables.study import read_study
from study.config.sections import MeasuredSteps
from study.errors import StudyError
from study.planning.horizons import step_budgets, still_schedules
from tests.golden.test_golden import SEARCH

DECAY = {
    "lr": {"low": 1e-3, "high": 1.0, "scale": "log"},
    "momentum": 0.9,
    "decay_fraction": {"low": 0.5, "high": 1.0},
    "end_factor": 0.0,
}


@pytest.fixture
def decaying(make_study):
    """Return a function that makes a study with a schedule, given its step budgets."""

    def make(max_steps, name="linear-decay"):
        return make_study(
            batch_sizes=[4, 16, 64],
            search={"space": DECAY},
            race={"max_steps": max_steps},
            schedule={"name": name},
        )

    return make


def test_a_schedule_that_hardly_moves_is_said_where_it_does(decaying):
    (line,) = still_schedules(decaying(1000), {4: 400, 16: 90, 64: 30})
    assert "linear-decay schedule hardly decays before the target" in line
    assert "B = 64 (0.94 at step 30 of 1,000)" in line
    assert "B = 4" not in line
    assert "B = 16" not in line  # 1 - 89 / 500 = 0.82 is possible there
    assert "race.max_steps = { 4 = 1600, 16 = 360, 64 = 120 }" in line


@pytest.mark.parametrize("name", ["linear-decay", "cosine"])
def test_budgets_in_proportion_to_the_steps_leave_nothing_to_say(decaying, name):
    study = decaying({"4": 1600, "16": 360, "64": 120}, name)
    assert still_schedules(study, {4: 400, 16: 90, 64: 30}) == []


def test_a_constant_learning_rate_has_nothing_to_move(make_study):
    assert still_schedules(make_study(), {4: 1, 16: 1}) == []


def test_budgets_follow_from_the_steps_that_a_folder_holds():
    table = steps_to_target(read_study(ResultsFolder.at(SEARCH)))
    given = MeasuredSteps(times=2.5, of=str(SEARCH))
    steps = dict(zip(table["batch_size"], table["steps"], strict=True))
    assert step_budgets(given) == {str(size): -(-5 * count // 2) for size, count in steps.items()}
    assert step_budgets(7) == 7
    assert step_budgets({"4": 7}) == {"4": 7}


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"race\.max_steps\.of must be the results folder of a"):
        step_budgets(MeasuredSteps(times=2, of=str(tmp_path)))
