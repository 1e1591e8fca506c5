"""A replayed trial is the recorded one in every bit, however it was computed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.tables.folder import ResultsFolder
from study.engine.cohort import run_cohort
from study.engine.networks.training import Layout, fresh_model
from study.records import Cohort, Role, ScalingRule, Source, Status
from study.replay.recorded import recorded_trials, trials_of_tables
from study.replay.trial import Replay, pack_of, same_curve
from study.storage.consolidate import consolidate
from study.storage.parts import Parts, write_part
from study.storage.study_folder import open_folder
from tests.study.cohorts import cohort_of
from workloads.registry import resolve

LRS = (0.3, 1e-6, 3e38, 0.1)
"""One is slow, one diverges: lanes end at different steps, and the pack is compacted."""


def replayed(study, trainable, trial, recorded):
    replay = Replay(study, trainable, trial, recorded)
    for _ in replay.measurements(int(trial.curve.step[-1])):
        pass
    return replay.curve()


DECAY = {"decay_fraction": 0.5, "end_factor": 0.1}
ADAM = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
COMPUTED = {
    "one pack": ("plain", {"compute": {"pack": {"lanes": 8}}}, {}),
    "several packs": ("plain", {"compute": {"pack": {"lanes": 2}}}, {}),
    "looped": ("plain", {"compute": {"mode": "looped"}}, {}),
    "batch norm": ("batch norm", {"compute": {"pack": {"lanes": 3}}}, {}),
    "dropout": ("dropout", {"compute": {"mode": "looped"}}, {}),
    "dropout in packs": ("dropout", {"compute": {"pack": {"lanes": 3}}}, {}),
    "micro-batches": ("plain", {"compute": {"pack": {"lanes": 4}, "micro_batch": 3}}, {}),
    "to the budget": ("plain", {"race": {"to": "budget", "max_steps": 60}}, {}),
    "averaged": ("plain", {"race": {"weights": "averaged"}}, {"ema_decay": 0.9}),
    "optimizer with buffers": ("plain", {"optimizer": "adam"}, ADAM),
    "schedule": ("plain", {"schedule": {"name": "linear-decay"}}, DECAY),
}


@pytest.mark.parametrize(("kind", "changes", "values"), COMPUTED.values(), ids=COMPUTED)
def test_every_trial_of_a_cohort_replays_in_every_bit(
    shared_training, make_study, kind, changes, values
):
    space = {"lr": {"low": 1e-6, "high": 4e38, "scale": "log"}, **({"momentum": 0.5} | values)}
    study, made = make_study(search={"space": space}, **changes), shared_training(kind)
    results = run_cohort(study, made, cohort_of(LRS, **values))
    statuses = {result.outcome.status for result in results}
    assert {Status.REACHED, Status.DIVERGED} < statuses
    # what decides how lanes are computed may have changed in the study since then
    later = study.model_copy(update={"compute": make_study(compute={"pack": 3}).compute})
    for result in results[1:3]:
        assert same_curve(replayed(later, made, result, results), result.curve)


@pytest.mark.parametrize("pack", [2, 8])
def test_every_trial_of_a_pruned_cohort_replays_in_every_bit(shared_training, make_study, pack):
    study = make_study(race={"prune": [0.25, 0.5]}, compute={"pack": {"lanes": pack}})
    made = shared_training()
    cohort = cohort_of((1e-3, 0.03, 3e38, 0.01, 1e-4, 0.02))
    results = run_cohort(study, made, replace(cohort, expected_steps=20))
    statuses = [result.outcome.status for result in results]
    assert statuses.count(Status.PRUNED) >= 2
    assert {Status.REACHED, Status.DIVERGED} < set(statuses)
    for result in results:
        assert same_curve(replayed(study, made, result, results), result.curve)


def test_a_replay_notices_a_changed_seed(shared_training, make_study):
    study, made = make_study(), shared_training()
    results = run_cohort(study, made, cohort_of(LRS))
    point = replace(results[0].point, seed=99)
    other = [replace(results[0], point=point), *results[1:]]
    assert not same_curve(replayed(study, made, other[0], other), results[0].curve)


def test_a_workload_of_own_dynamics_replays(make_study):
    space = {"lr": {"low": 1e-3, "high": 1.0, "scale": "log"}, "momentum": 0.0}
    study = make_study(
        workload="noisy-quadratic",
        examples=None,
        search={"space": space},
        compute={"mode": "dynamics"},
        race={"quantity": "loss", "target": 0.05, "max_steps": 5000},
    )
    quadratic = resolve("noisy-quadratic")
    cohort = cohort_of((0.3, 0.1, 0.03), 16, seed=0, momentum=0.0)
    results = run_cohort(study, quadratic, cohort)
    assert Status.REACHED in {result.outcome.status for result in results}
    for result in results:
        assert same_curve(replayed(study, quadratic, result, results), result.curve)


def test_replicates_and_warm_trials_replay_from_a_folder(shared_training, make_study, tmp_path):
    study, made = make_study(compute={"pack": {"lanes": 3}}), shared_training()
    folder = ResultsFolder.at(tmp_path / "blobs")
    open_folder(folder, study)
    source = Source(4, Role.SEARCH, 0, ScalingRule.SAME)
    searched = [*cohort_of(LRS).points[:4]]
    warm = [replace(searched[0], seed=7 + i, trial=i, role=Role.WARM) for i in range(2)]
    again = [
        replace(searched[0], seed=50 + i, trial=i, role=Role.REPLICATE, source=source)
        for i in range(3)
    ]
    for points, best in (((*searched, *warm), None), (again, 20)):
        cohort = Cohort(batch_size=4, points=tuple(points), best_steps=best)
        write_part(folder, study, run_cohort(study, made, cohort))
    consolidate(Parts(folder, study))
    recorded = recorded_trials(folder, study)
    for result in recorded:
        assert same_curve(replayed(study, made, result, recorded), result.curve)
    by_role = {result.point.role: result for result in recorded}
    pack = [(r.point.role, r.point.trial) for r in pack_of(by_role[Role.WARM], recorded)]
    assert pack == [(Role.SEARCH, 3), (Role.WARM, 0), (Role.WARM, 1)]
    for one, other in zip(recorded, trials_of_tables(folder, study), strict=True):
        assert replace(one, curve=None) == replace(other, curve=None)
        assert same_curve(one.curve, other.curve)


def test_the_parameters_are_those_of_the_trial_at_each_step(shared_training, make_study):
    study, made = make_study(race={"to": "budget"}), shared_training()
    cohort = cohort_of(LRS)
    results = run_cohort(study, made, cohort)
    replay, seen = Replay(study, made, results[3], results), {}
    for step in replay.measurements(12):
        seen[step] = replay.weights().parameters
    model = fresh_model(made, results[3].point.seed)
    torch.testing.assert_close(seen[0], Layout(model).flatten(model), rtol=0, atol=0)
    for name, values in Layout(model).unflatten(seen[12]).items():
        model.get_parameter(name).data = values
    with torch.no_grad():
        loss = made.workload.loss(model, made.data.validation)
    assert list(seen) == list(range(13))
    np.testing.assert_allclose(loss, results[3].curve.val_loss[12], rtol=1e-6)
