"""Quantities measured besides loss and error: in every mode, in parts and tables."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.measures.targets import steps_to_target
from analysis.tables.folder import ResultsFolder
from analysis.tables.schema import TEST_ERROR
from study.engine.cohort import build_lanes, run_cohort
from study.engine.networks.training import Layout, fresh_model
from study.records import Curve, Status
from study.replay.recorded import recorded_trials, trials_of_tables
from study.replay.trial import Replay, same_curve
from study.storage.consolidate import consolidate, study_tables
from study.storage.parts import Parts, read_part, write_part
from study.storage.study_folder import open_folder
from study.tracking.follow import finished_run
from tests.study.cohorts import cohort_of

NAMES = ("accuracy", "surely wrong", TEST_ERROR)
FURTHER = {"quantities": NAMES}
COHORT = cohort_of([0.3, 3e38, 0.1, 1e-6])
MODES = {
    "packed": {"compute": {"mode": "packed"}},
    "several packs": {"compute": {"pack": {"lanes": 2}}},
    "looped": {"compute": {"mode": "looped"}},
    "federated": {"federated": {"clients": 2, "local_steps": 2, "shards": "iid"}},
    "to the budget": {"race": {"to": "budget", "max_steps": 40}},
}


@pytest.mark.parametrize("changes", MODES.values(), ids=MODES)
def test_each_measurement_has_them_and_the_end_a_test_error(shared_training, make_study, changes):
    study, made = make_study(**FURTHER, **changes), shared_training("measured")
    results = run_cohort(study, made, COHORT)
    assert [r.outcome.status for r in results[:2]] == [Status.REACHED, Status.DIVERGED]
    for result in results:
        curve, steps = result.curve, result.outcome.steps
        assert tuple(curve.further) == NAMES
        np.testing.assert_allclose(curve.further["accuracy"], 1 - curve.val_error, atol=1e-6)
        assert np.isfinite(curve.further["surely wrong"]).all()
        ends = {steps, study.budget(4)} if study.race.to == "budget" else {steps}
        tested = curve.step[np.isfinite(curve.further[TEST_ERROR])]
        assert set(tested) == (ends - {None} if result.outcome.status != "diverged" else set())
    replay = Replay(study, made, results[0], results)
    list(replay.measurements(int(results[0].curve.step[-1])))
    assert same_curve(replay.curve(), results[0].curve)


@pytest.mark.parametrize("mode", ["packed", "looped"])
def test_the_test_error_belongs_to_the_trained_model(shared_training, make_study, mode):
    made = shared_training("measured")
    lanes = build_lanes(make_study(**FURTHER, compute={"mode": mode}), made, COHORT)
    lanes.advance(3)
    found = lanes.occasional_quantities(np.array([True, False, False, True]))[TEST_ERROR]
    assert np.isnan(found).tolist() == [False, True, True, False]
    for lane in (0, 3):
        model, layout = fresh_model(made, 0), Layout(fresh_model(made, 0))
        model.load_state_dict(layout.unflatten(lanes.parameters[lane]))
        with torch.no_grad():
            error = made.workload.error(model, made.data.test)
        assert found[lane] == pytest.approx(float(error), abs=1e-6)


def test_they_are_in_parts_tables_and_trackers_and_survive_both(
    shared_training, make_study, tmp_path
):
    study, made = make_study(**FURTHER, batch_sizes=[4]), shared_training("measured")
    folder = ResultsFolder.at(tmp_path)
    open_folder(folder, study)
    results = run_cohort(study, made, COHORT)
    results[2] = replace(results[2], curve=Curve.empty())  # as a trial that failed has it
    results[2] = replace(
        results[2], outcome=replace(results[1].outcome, status=Status.FAILED), message="lost"
    )
    read = read_part(folder, write_part(folder, study, results), study)
    assert all(same_curve(r.curve, w.curve) for r, w in zip(read, results, strict=True))
    consolidate(Parts(folder, study))
    tabled = trials_of_tables(folder, study)
    for one, other in zip(recorded_trials(folder, study), tabled, strict=True):
        assert same_curve(one.curve, other.curve)
    tables = study_tables(folder)
    assert list(tables.curves.columns[-3:]) == list(NAMES)
    own = results[0].curve.further[TEST_ERROR][-1]
    assert tables.trials[TEST_ERROR].tolist()[0] == own
    assert tables.trials[TEST_ERROR].isna().tolist() == [r.outcome.steps is None for r in tabled]
    assert steps_to_target(tables)[TEST_ERROR].tolist() == [own]
    looser = steps_to_target(tables, target=0.5)
    assert looser["steps"].iloc[0] < results[0].outcome.steps
    assert looser[TEST_ERROR].isna().all()  # it was not measured there
    run = finished_run(study, results[0])
    assert run.curve[-1]["accuracy"] == pytest.approx(1 - run.curve[-1]["val_error"], abs=1e-6)
    assert run.numbers[TEST_ERROR] == own


def test_they_change_no_other_bit(shared_training, make_study):
    with_them = run_cohort(make_study(**FURTHER), shared_training("measured"), COHORT)
    without = run_cohort(make_study(), shared_training("plain"), COHORT)
    for one, other in zip(with_them, without, strict=True):
        assert one.outcome == other.outcome
        assert same_curve(replace(one.curve, further={}), other.curve)
