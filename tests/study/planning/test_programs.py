"""Studies of programs: what of the study file applies to them."""

import json
import math
import sys
from pathlib import Path

import pytest

from study.config.grid import members_of
from study.config.space import Range
from study.engine.programs.environment import environment, placeholder_values
from study.errors import StudyError
from study.optimizers.hyperparameters import open_domain
from study.planning.cost import estimates, probe
from study.planning.programs import worker_share
from study.planning.resolve import resolve
from study.planning.sizing import Device
from study.planning.trial_run import check_program, first_cohort
from workloads.errors import WorkloadError

LR = {"low": 0.1, "high": 1.0, "scale": "log"}
FALLS = """
import json, sys, time
for step in range(0, 400, 10):
    print(json.dumps({"step": step, "val_error": 0.9 - step / 500}), flush=True)
    time.sleep(0.01)
"""


@pytest.fixture
def study(tmp_path):
    """Return what makes a study of a program as plain data."""
    (tmp_path / "train.py").write_text(FALLS)

    def make(options=None, space=None, **changes):
        run = [sys.executable, "-IS", "train.py", "{lr}", "{batch_size}"]
        own = {"run": run, "target": 0.3, "folder": str(tmp_path)}
        space = {"lr": LR} if space is None else space
        base = {"workload": "command", "batch_sizes": [8, 16], "search": {"space": space}}
        return base | {"workload_options": own | (options or {})} | changes

    return make


def test_a_program_has_defaults_of_its_own(study):
    resolved, _ = resolve(study())
    assert (resolved.optimizer, resolved.compute.mode) == ("program", "program")
    assert (resolved.target, resolved.race.quantity, resolved.examples) == (0.3, "error", None)
    assert (resolved.lanes_at(8), resolved.pack_at(8)) == (8, 1)
    again, _ = resolve(resolved.as_data())
    assert again == resolved


def test_batch_sizes_may_follow_from_the_number_of_examples(study):
    data = study({"examples": 100}, batch_sizes={"from": 32}, race={"max_epochs": 2.0})
    resolved, _ = resolve(data)
    assert resolved.batch_sizes == (32, 64, 100)
    assert resolved.budget(100) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {}}, r"none for lr; add search\.space\.lr, or correct workload_options\.run"),
        ({"space": {"lr": LR, "decay": 0.1}}, r"search\.space\.decay must have a placeholder"),
        ({"space": {"lr": LR, "seed": 3}}, r"search\.space\.seed must have a placeholder"),
        ({"options": {"run": "{python} {steps}"}, "space": {"steps": 1.0}}, "got 'steps', which"),
        ({"optimizer": "sgd"}, "optimizer must be left out for a program, got 'sgd': the pro"),
        ({"schedule": {"name": "cosine"}}, r"schedule\.name must be left out for a program"),
        ({"federated": {"clients": 2}}, "federated must be left out for a program"),
        ({"race": {"resolution": 0.1}}, r"race\.resolution must be left out for a program"),
        ({"race": {"max_epochs": 2}}, r"race\.max_epochs needs a known num"),
        ({"race": {"target": 1.5}}, r"race\.target must lie in \(0, 1\)"),
        ({"compute": {"mode": "looped"}}, r"compute\.mode must be left out for a program"),
        ({"compute": {"precision": "bf16"}}, r"compute\.precision must be left out"),
        ({"compute": {"micro_batch": 4}}, "command line has no placeholder {micro_batch}"),
        ({"search": {"space": {"lr": 0.1}, "warm_start": True}}, "warm_start must be left out"),
        ({"batch_sizes": [200], "options": {"examples": 100}}, "must not exceed the 100 training"),
    ],
)
def test_what_does_not_apply_to_a_program_is_refused(study, changes, message):
    with pytest.raises(StudyError, match=message):
        resolve(study(**changes))


def test_a_missing_program_is_refused_before_anything_starts(study):
    with pytest.raises(WorkloadError, match="must begin with a program on this machine"):
        resolve(study({"run": "no-such-program {lr}"}))


def test_gpus_are_those_of_a_trial(study):
    with pytest.raises(StudyError, match=r"--gpus-per-worker must be left out .*got 0\.5"):
        resolve(study(), Device("cuda", 0.5))


@pytest.mark.parametrize(
    ("options", "pack", "share"),
    [
        ({}, 1, (1, 0.0)),
        ({"cpus": 4, "gpus": 2}, 1, (4, 2)),
        ({"cpus": 2, "gpus": 0.25}, 2, (4, 0.5)),
        ({"gpus": 0.5}, 3, (3, 2)),
    ],
)
def test_a_worker_has_room_for_the_programs_that_it_runs_at_once(study, options, pack, share):
    resolved, _ = resolve(study(options, compute={"pack": pack}))
    assert worker_share(resolved) == share


@pytest.mark.parametrize(
    ("entry", "domain"),
    [
        (LR, "(0, inf)"),
        ({"low": 0.5, "high": 0.9, "scale": "reverse-log"}, "[0, 1)"),
        ({"low": 0.0, "high": 0.5}, "[0, 1]"),
        ({"low": 1.0, "high": 8.0}, "[0, inf)"),
        ({"low": -1.0, "high": 0.5}, "[-inf, inf)"),
    ],
)
def test_a_box_widens_as_far_as_its_range_lets_guess(entry, domain):
    assert open_domain(Range.model_validate(entry)).domain() == domain


@pytest.mark.parametrize(
    ("gpus", "slot", "visible"),
    [(0, 1, ""), (2, 0, "4,5"), (2, 1, "6,7"), (0.5, 1, "4"), (0.5, 2, "5"), (1, 3, "7")],
)
def test_a_program_sees_the_gpus_of_its_slot(study, monkeypatch, gpus, slot, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    resolved, command = resolve(study({"gpus": gpus}))
    cohort = first_cohort(resolved, 8)
    values = placeholder_values(resolved, cohort, 0, Path("saved"))
    told = environment(command, cohort.points[0], values, slot)
    assert told["CUDA_VISIBLE_DEVICES"] == visible


def test_the_folder_of_a_program_is_that_of_the_study_file(tmp_path):
    data = {"workload": "command", "workload_options": {"folder": "../code"}}
    grid = {"grid": {"workload_options.folder": ["a", "b"]}, "workload": "command"}
    assert members_of(data, tmp_path)[0].data["workload_options"]["folder"] == str(
        tmp_path.parent / "code"
    )
    found = [member.data["workload_options"]["folder"] for member in members_of(grid, tmp_path)]
    assert found == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_the_cost_is_that_of_programs_one_after_another(study):
    resolved, command = resolve(study(race={"max_steps": 1000}, search={"space": {"lr": LR}}))
    found = probe(resolved, command, 8, 0.05)
    assert found.reached is None
    # eight trials, each sleeping 1 ms a step; lines may arrive in pairs
    assert found.step_seconds > 8 * 0.0005
    assert found.memory > 0
    one = estimates(resolved, [found])[0]
    assert one.seconds > 64 / 8 * 1000 * found.step_seconds


def test_a_program_is_checked_by_two_short_runs(study):
    resolved, command = resolve(study())
    clauses = {clause.name: clause for clause in check_program(resolved, command)}
    assert all(clause.passed for clause in clauses.values())
    assert "at batch size 8, val_error 0.9 at step 0" in clauses["reports measurements"].detail
    assert clauses["ends when asked"].detail == "ends itself"
    assert "agree in every bit" in clauses["two runs of one seed"].detail


def test_a_program_that_diverges_in_its_check_is_told(study, tmp_path):
    resolved, command = resolve(study())
    for steps, found in (
        ((0, 10), "; it diverged at step 10"),
        ((10,), "must be finite at its first measurement, got NaN or infinity at step 10; measure"),
    ):
        lines = [{"step": step, "val_error": 0.9 if step == 0 else math.nan} for step in steps]
        (tmp_path / "train.py").write_text(f"print({chr(10).join(map(json.dumps, lines))!r})")
        assert found in next(iter(check_program(resolved, command))).detail


def test_a_program_that_fails_its_check_says_why(study):
    resolved, command = resolve(study({"run": "{python} -c 1/0 {lr}"}))
    (clause,) = check_program(resolved, command)
    assert not clause.passed
    assert "ZeroDivisionError" in clause.detail
    with pytest.raises(StudyError, match="the program must run: .*ZeroDivisionError"):
        probe(resolved, command, 8, 0.05)
